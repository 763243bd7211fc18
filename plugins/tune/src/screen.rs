//! The live view of an experiment, and its final report.

use std::collections::BTreeSet;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::ui::{LiveRows, Progress};

use crate::objective::Objective;
use crate::plot::sparkline;
use crate::table::{Table, parameter_names};
use crate::trial::{State, Trial, best, failed};

/// How an experiment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Every trial has ended.
    AllTried,
    /// A trial reached the goal.
    GoalReached,
    /// More trials failed than allowed.
    TooManyFailed,
}

/// How an experiment of `total` trials, of which `max_failed` may fail, has ended; `None` while it runs.
pub(crate) fn end_of(
    trials: &[Trial],
    objective: &Objective,
    total: usize,
    max_failed: Option<usize>,
) -> Option<End> {
    let ended = trials.iter().filter(|trial| trial.state.has_ended()).count();
    let is_running = trials.len() > ended;
    if max_failed.is_some_and(|max| failed(trials) > max) {
        return Some(End::TooManyFailed);
    }
    let value = best(trials, objective).and_then(|best| best.value(objective));
    if value.is_some_and(|value| objective.is_reached(value)) && !is_running {
        return Some(End::GoalReached);
    }
    (ended >= total && !is_running).then_some(End::AllTried)
}

/// The live table, or the progress line.
pub(crate) struct Screen<'a> {
    kf: &'a Kf,
    objective: Objective,
    kind: &'static str,
    /// The planned number of trials, if known.
    total: Option<usize>,
    parameters: Vec<String>,
    live: Option<LiveRows>,
    progress: Option<Progress>,
    /// Trials whose end was reported.
    reported: BTreeSet<usize>,
    shown: Vec<Trial>,
}

impl<'a> Screen<'a> {
    /// `trials` that have ended already are not reported.
    pub(crate) fn new(
        kf: &'a Kf,
        objective: Objective,
        kind: &'static str,
        total: Option<usize>,
        watch: bool,
        trials: &[Trial],
        parameters: Vec<String>,
    ) -> Self {
        let mut screen = Self {
            kf,
            objective,
            kind,
            total,
            parameters,
            live: None,
            progress: None,
            reported: trials
                .iter()
                .filter(|trial| trial.state.has_ended())
                .map(|trial| trial.number)
                .collect(),
            shown: Vec::new(),
        };
        if watch {
            let columns = screen.table(true).columns(&screen.names());
            screen.live = Some(kf.live_rows(&columns));
        }
        screen
    }

    fn table(&self, chart: bool) -> Table<'_> {
        let chart = chart && self.kf.context().interactive && self.kf.output_format().is_table();
        Table { objective: &self.objective, kind: self.kind, chart }
    }

    fn names(&self) -> Vec<&str> {
        self.parameters.iter().map(String::as_str).collect()
    }

    /// Shows the progress. `pending` is the reason why no trial runs.
    pub(crate) fn show(&mut self, trials: &[Trial], pending: Option<&str>) -> Result<()> {
        if let Some(live) = &self.live {
            if self.shown != trials {
                live.update(&self.table(true).rows(trials, &self.names()))?;
                self.shown = trials.to_vec();
            }
            return Ok(());
        }
        if !self.kf.context().interactive {
            return Ok(());
        }
        let ended: Vec<_> = trials
            .iter()
            .filter(|trial| trial.state.has_ended() && !self.reported.contains(&trial.number))
            .collect();
        if !ended.is_empty() {
            // Notes are printed between two progress lines.
            self.progress = None;
        }
        for trial in &ended {
            self.kf.note(self.summary(trial));
        }
        self.reported.extend(ended.iter().map(|trial| trial.number));
        let label = self.label(trials, pending);
        match &self.progress {
            Some(progress) => progress.say(&label),
            None => self.progress = Some(self.kf.progress(&label)),
        }
        Ok(())
    }

    fn summary(&self, trial: &Trial) -> String {
        let (number, with) = (trial.number, trial.parameters_text());
        let metric = &self.objective.metric;
        match (trial.state, trial.value(&self.objective)) {
            (State::Succeeded, Some(value)) => format!("trial {number}: {metric}={value} with {with}"),
            _ => {
                let why = trial.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                format!("trial {number} failed with {with}{why}")
            }
        }
    }

    fn label(&self, trials: &[Trial], pending: Option<&str>) -> String {
        let count = |state: State| trials.iter().filter(|trial| trial.state == state).count();
        let ended = trials.iter().filter(|trial| trial.state.has_ended()).count();
        let of = self.total.map(|total| format!(" of {total}")).unwrap_or_default();
        let mut parts =
            vec![format!("{ended}{of} trials done"), format!("{} running", count(State::Running))];
        match count(State::Waiting) {
            0 => {}
            waiting => {
                let reason = pending.map(|reason| format!(" ({reason})")).unwrap_or_default();
                parts.push(format!("{waiting} waiting{reason}"));
            }
        }
        if let (0, 0, Some(reason)) = (count(State::Running), count(State::Waiting), pending) {
            parts.push(reason.to_owned());
        }
        if let Some(best) = best(trials, &self.objective)
            && let Some(value) = best.value(&self.objective)
        {
            parts.push(format!("best {}={value} (trial {})", self.objective.metric, best.number));
            let values: Vec<_> = trials
                .iter()
                .filter(|trial| trial.state.has_ended())
                .map(|trial| trial.value(&self.objective))
                .collect();
            parts.push(sparkline(&values));
        }
        parts.join(", ")
    }

    /// Prints the table of all trials and the conclusion, and returns the exit code.
    pub(crate) fn finish(mut self, trials: &[Trial], end: End) -> Result<Exit> {
        self.show(trials, None)?;
        self.progress = None;
        if self.live.take().is_none() {
            self.print(trials)?;
        }
        self.conclude(trials, end)
    }

    /// Prints the table.
    pub(crate) fn print(&self, trials: &[Trial]) -> Result<()> {
        let names = if self.parameters.is_empty() { parameter_names(trials) } else { self.names() };
        let table = self.table(false);
        self.kf.rows(&table.columns(&names), &table.rows(trials, &names))
    }

    /// Prints the best trial, and returns the exit code.
    fn conclude(&self, trials: &[Trial], end: End) -> Result<Exit> {
        let has_best = best(trials, &self.objective).is_some();
        if end != End::TooManyFailed {
            if !has_best {
                return Err(Error::failed(format!("no trial reported its {}", self.objective.metric)));
            }
            self.report_best(trials);
            return Ok(Exit::OK);
        }
        self.report_best(trials);
        let error = Error::failed(format!("too many trials failed: {}", failed(trials)));
        let last = trials.iter().rev().find(|trial| trial.state == State::Failed);
        let last = last.or_else(|| trials.iter().rev().find(|trial| trial.state == State::NoMetric));
        // Katib deletes the job of a trial that has ended, and its logs with it.
        Err(match last.filter(|_| self.kind == "trainjob") {
            Some(trial) => error.hint(self.kf.same_target(&format!("kf logs {}/{}", self.kind, trial.name))),
            None => error,
        })
    }

    /// Prints the best trial so far.
    pub(crate) fn report_best(&self, trials: &[Trial]) {
        let metric = &self.objective.metric;
        let best = best(trials, &self.objective);
        match best.and_then(|best| Some((best, best.value(&self.objective)?))) {
            Some((best, value)) => {
                let (number, count, with) = (best.number, trials.len(), best.parameters_text());
                self.kf.note(format!("best of {count}: trial {number}, {metric}={value} with {with}"));
            }
            None => self.kf.warn(format!("no trial reported its {metric}")),
        }
    }
}
