//! Tables of trials.

use std::collections::BTreeSet;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use kf_plugin_sdk::ui::{Column, Row};
use serde_json::{Map, Value, json};

use crate::objective::Objective;
use crate::plot;
use crate::trial::{State, Trial, best};

/// The width of a chart's bars in characters.
const CHART_WIDTH: u32 = 20;

/// A table of trials.
pub(crate) struct Table<'a> {
    pub(crate) objective: &'a Objective,
    /// The kind of the trials, for `-o name`.
    pub(crate) kind: &'static str,
    /// Whether to draw a bar beside the objective.
    pub(crate) chart: bool,
}

impl Table<'_> {
    /// `parameters` are the columns after the objective.
    pub(crate) fn columns(&self, parameters: &[&str]) -> Vec<Column> {
        let mut columns = vec![Column::new("TRIAL"), Column::new("STATE")];
        columns.push(Column::new(self.objective.metric.to_uppercase()));
        if self.chart {
            columns.push(Column::new(""));
        }
        columns.extend(parameters.iter().map(|name| Column::new(name.to_uppercase())));
        columns.push(Column::new("TOOK"));
        columns.push(Column::wide("NAME"));
        columns.push(Column::new("WHY"));
        columns
    }

    pub(crate) fn rows(&self, trials: &[Trial], parameters: &[&str]) -> Vec<Row> {
        let best = best(trials, self.objective).map(|trial| trial.number);
        let values: Vec<_> = trials.iter().map(|trial| trial.value(self.objective)).collect();
        trials.iter().map(|trial| self.row(trial, parameters, &values, best == Some(trial.number))).collect()
    }

    fn row(&self, trial: &Trial, parameters: &[&str], values: &[Option<f64>], is_best: bool) -> Row {
        let value = trial.value(self.objective);
        let tone = if is_best { Tone::Good } else { Tone::Plain };
        let mut cells = vec![Cell::toned(trial.number.to_string(), tone), state(trial.state)];
        let shown = value.map(|value| format!("{value}{}", if is_best { " (best)" } else { "" }));
        cells.push(Cell::toned(shown.unwrap_or_default(), tone));
        if self.chart {
            cells.push(Cell::toned(
                value.map(|v| plot::bar(v, values, CHART_WIDTH)).unwrap_or_default(),
                tone,
            ));
        }
        for name in parameters {
            let value = trial.parameters.iter().find(|(known, _)| known == name);
            cells.push(Cell::toned(value.map(|(_, value)| value.as_str()).unwrap_or_default(), tone));
        }
        cells.push(Cell::toned(trial.took.map(short_duration).unwrap_or_default(), Tone::Plain));
        cells.push(Cell::toned(trial.name.as_str(), Tone::Plain));
        cells.push(Cell::toned(trial.why.clone().unwrap_or_default(), Tone::Plain));
        Row {
            cells,
            object: self.object(trial, value, is_best),
            name: format!("{}/{}", self.kind, trial.name),
        }
    }

    fn object(&self, trial: &Trial, value: Option<f64>, is_best: bool) -> Value {
        let parameters: Map<String, Value> =
            trial.parameters.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        let metrics: Map<String, Value> = trial
            .observed
            .iter()
            .map(|(name, seen)| {
                (name.clone(), json!({ "latest": seen.latest, "min": seen.min, "max": seen.max }))
            })
            .collect();
        json!({
            "trial": trial.number,
            "name": trial.name,
            "state": trial.state.name(),
            "best": is_best,
            "objective": value,
            "parameters": parameters,
            "metrics": metrics,
            "seconds": trial.took.map(|took| took.as_secs()),
            "why": trial.why,
        })
    }

    /// Prints trials side by side, one column each.
    pub(crate) fn compare(&self, kf: &Kf, trials: &[Trial], numbers: &[usize]) -> Result<()> {
        let mut chosen = Vec::new();
        for number in numbers {
            let trial = trials.iter().find(|trial| trial.number == *number);
            chosen.push(trial.ok_or_else(|| Error::not_found(format!("no trial {number}")))?.clone());
        }
        if !kf.output_format().is_table() {
            let all = self.rows(trials, &[]);
            let rows: Vec<_> = trials
                .iter()
                .zip(all)
                .filter(|(trial, _)| numbers.contains(&trial.number))
                .map(|(_, row)| row)
                .collect();
            return kf.rows(&self.columns(&[]), &rows);
        }
        let mut columns = vec![Column::new("")];
        columns.extend(chosen.iter().map(|trial| Column::new(format!("TRIAL {}", trial.number))));
        kf.rows(&columns, &self.side_by_side(trials, &chosen))
    }

    fn side_by_side(&self, trials: &[Trial], chosen: &[Trial]) -> Vec<Row> {
        let best = best(trials, self.objective).map(|trial| trial.number);
        let line = |title: &str, cells: Vec<String>| {
            let differs = cells.windows(2).any(|pair| pair.first() != pair.last());
            let tone = if differs { Tone::Plain } else { Tone::Faint };
            let mut all = vec![Cell::toned(title, Tone::Plain)];
            all.extend(cells.into_iter().map(|text| Cell::toned(text, tone)));
            Row { cells: all, object: Value::Null, name: String::new() }
        };
        let each = |text: &dyn Fn(&Trial) -> Option<String>| -> Vec<String> {
            chosen.iter().map(|trial| text(trial).unwrap_or_default()).collect()
        };
        let mut rows = vec![line("state", each(&|trial| Some(trial.state.name().to_owned())))];
        let objective = format!("{} ({})", self.objective.metric, self.objective.take.name());
        rows.push(line(
            &objective,
            each(&|trial| {
                let mark = if best == Some(trial.number) { " (best)" } else { "" };
                trial.value(self.objective).map(|value| format!("{value}{mark}"))
            }),
        ));
        for name in names(chosen, |trial| trial.parameters.iter().map(|(name, _)| name)) {
            let of = |trial: &Trial| trial.parameters.iter().find(|(known, _)| *known == name).cloned();
            rows.push(line(&name, each(&|trial| of(trial).map(|(_, value)| value))));
        }
        for name in names(chosen, |trial| trial.observed.keys()) {
            let latest = |trial: &Trial| trial.observed.get(&name).map(|seen| seen.latest.to_string());
            rows.push(line(&format!("{name} (latest)"), each(&latest)));
        }
        rows.push(line("took", each(&|trial| trial.took.map(short_duration))));
        rows.push(line("why", each(&|trial| trial.why.clone())));
        rows
    }
}

/// Distinct names, in order of appearance.
fn names<'t, I: Iterator<Item = &'t String>>(
    trials: &'t [Trial],
    of: impl Fn(&'t Trial) -> I,
) -> Vec<String> {
    let mut seen = BTreeSet::new();
    trials.iter().flat_map(of).filter(|name| seen.insert(name.as_str())).cloned().collect()
}

fn state(state: State) -> Cell {
    let tone = match state {
        State::Planned | State::Waiting => Tone::Faint,
        State::Running | State::Unread | State::Succeeded => Tone::Plain,
        State::Failed => Tone::Bad,
        State::NoMetric => Tone::Warning,
    };
    Cell::toned(state.name(), tone)
}

/// The names of all trials' parameters.
pub(crate) fn parameter_names(trials: &[Trial]) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    trials
        .iter()
        .flat_map(|trial| trial.parameters.iter().map(|(name, _)| name.as_str()))
        .filter(|name| seen.insert(*name))
        .collect()
}
