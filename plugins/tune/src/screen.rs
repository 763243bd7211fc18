//! What a person sees of an experiment while it runs, and what everybody gets at its end.

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
    /// A trial was good enough.
    GoalReached,
    /// More trials failed than may.
    TooManyFailed,
}

/// Whether trials are the last of an experiment of so many, of which so many may fail.
pub(crate) fn end_of(
    trials: &[Trial],
    objective: &Objective,
    total: usize,
    max_failed: Option<usize>,
) -> Option<End> {
    let ended = trials.iter().filter(|trial| trial.state.has_ended()).count();
    let runs = trials.len() > ended;
    if max_failed.is_some_and(|most| failed(trials) > most) {
        return Some(End::TooManyFailed);
    }
    let value = best(trials, objective).and_then(|best| best.value(objective));
    if value.is_some_and(|value| objective.is_reached(value)) && !runs {
        return Some(End::GoalReached);
    }
    (ended >= total && !runs).then_some(End::AllTried)
}

/// The table that changes, or the line that is waited with.
pub(crate) struct Screen<'a> {
    kf: &'a Kf,
    objective: Objective,
    kind: &'static str,
    /// How many trials there are to be, if that is known.
    total: Option<usize>,
    parameters: Vec<String>,
    live: Option<LiveRows>,
    progress: Option<Progress>,
    /// Trials whose end has been told.
    told: BTreeSet<usize>,
    shown: Vec<Trial>,
}

impl<'a> Screen<'a> {
    /// `trials` are those that have ended before, and need no telling.
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
            told: trials.iter().filter(|trial| trial.state.has_ended()).map(|trial| trial.number).collect(),
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

    /// Shows where the experiment is. `waits` is what holds it up, if something does.
    pub(crate) fn show(&mut self, trials: &[Trial], waits: Option<&str>) -> Result<()> {
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
        let news: Vec<_> = trials
            .iter()
            .filter(|trial| trial.state.has_ended() && !self.told.contains(&trial.number))
            .collect();
        if !news.is_empty() {
            // A line between two states of the wait.
            self.progress = None;
        }
        for trial in &news {
            self.kf.note(self.news(trial));
        }
        self.told.extend(news.iter().map(|trial| trial.number));
        let label = self.label(trials, waits);
        match &self.progress {
            Some(progress) => progress.say(&label),
            None => self.progress = Some(self.kf.progress(&label)),
        }
        Ok(())
    }

    fn news(&self, trial: &Trial) -> String {
        let (number, with) = (trial.number, trial.spelled());
        let metric = &self.objective.metric;
        match (trial.state, trial.value(&self.objective)) {
            (State::Succeeded, Some(value)) => format!("trial {number}: {metric}={value} with {with}"),
            _ => {
                let why = trial.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                format!("trial {number} failed with {with}{why}")
            }
        }
    }

    fn label(&self, trials: &[Trial], waits: Option<&str>) -> String {
        let count = |state: State| trials.iter().filter(|trial| trial.state == state).count();
        let ended = trials.iter().filter(|trial| trial.state.has_ended()).count();
        let of = self.total.map(|total| format!(" of {total}")).unwrap_or_default();
        let mut parts = vec![format!("{ended}{of} trials done"), format!("{} run", count(State::Running))];
        match count(State::Waiting) {
            0 => {}
            waiting => {
                parts.push(format!("{waiting} wait{}", waits.map(|w| format!(" ({w})")).unwrap_or_default()))
            }
        }
        if let (0, 0, Some(waits)) = (count(State::Running), count(State::Waiting), waits) {
            parts.push(waits.to_owned());
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

    /// The table of all trials and a last line; the exit code.
    pub(crate) fn finish(mut self, trials: &[Trial], end: End) -> Result<Exit> {
        self.show(trials, None)?;
        self.progress = None;
        if self.live.take().is_none() {
            self.print(trials)?;
        }
        self.conclude(trials, end)
    }

    /// The table as it is.
    pub(crate) fn print(&self, trials: &[Trial]) -> Result<()> {
        let names = if self.parameters.is_empty() { parameter_names(trials) } else { self.names() };
        let table = self.table(false);
        self.kf.rows(&table.columns(&names), &table.rows(trials, &names))
    }

    /// What decides the exit code is said last.
    fn conclude(&self, trials: &[Trial], end: End) -> Result<Exit> {
        let has_best = best(trials, &self.objective).is_some();
        if end != End::TooManyFailed {
            if !has_best {
                return Err(Error::failed(format!("no trial reported its {}", self.objective.metric)));
            }
            self.tell_best(trials);
            return Ok(Exit::OK);
        }
        self.tell_best(trials);
        let error = Error::failed(format!("too many trials failed: {}", failed(trials)));
        let last = trials.iter().rev().find(|trial| trial.state == State::Failed);
        let last = last.or_else(|| trials.iter().rev().find(|trial| trial.state == State::Unmeasured));
        // Katib deletes the job of a trial that has ended, and its logs with it.
        Err(match last.filter(|_| self.kind == "trainjob") {
            Some(trial) => error.hint(self.kf.same_target(&format!("kf logs {}/{}", self.kind, trial.name))),
            None => error,
        })
    }

    /// The best so far, in a line.
    pub(crate) fn tell_best(&self, trials: &[Trial]) {
        let metric = &self.objective.metric;
        let best = best(trials, &self.objective);
        match best.and_then(|best| Some((best, best.value(&self.objective)?))) {
            Some((best, value)) => {
                let (number, count, with) = (best.number, trials.len(), best.spelled());
                self.kf.note(format!("best of {count}: trial {number}, {metric}={value} with {with}"));
            }
            None => self.kf.warn(format!("no trial reported its {metric}")),
        }
    }
}
