//! Tuning where there is no Katib: trials are training jobs, and this is their controller.
//!
//! It needs nobody else and remembers nothing itself: see [`crate::definition`]. Stopped, it leaves the
//! trials that run; started again, it takes up what has ended meanwhile and makes the next ones.

use std::collections::BTreeMap;
use std::time::Duration;

use kf_plugin_sdk::Pollable;
use kf_plugin_sdk::border::WriteOptions;
use kf_plugin_sdk::manifest::read_manifest;
use kf_plugin_sdk::objects::{Change, Reflector};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Component, outcome};
use kf_training_job::refusal::explain;
use kf_training_job::{Code, GROUP, Mount, check_access, fit, overrides, renamed, runtime, train_job};

use crate::definition::{self, Definition};
use crate::observation::{self, trial};
use crate::plan::Plan;
use crate::screen::{End, Screen, end_of};
use crate::search::Assignment;
use crate::template;
use crate::trial::{State, Trial, best};
use crate::{Tune, katib, names};

/// On a trial's job: whose trial it is, and which.
pub(crate) use kf_plugin_sdk::workloads::OWN_EXPERIMENT_LABEL as EXPERIMENT;
use kf_plugin_sdk::workloads::OWN_TRIAL_LABEL as NUMBER;

/// What to do with more code than a ConfigMap holds.
const TOO_LARGE: &str =
    "keep data out of it; put data on a volume of the runtime, or build an image and name it with --image";

/// Trials are deleted one after the other. While they may be, none is made in place of one that is gone.
const REMOVAL_TAKES: Duration = Duration::from_secs(10);

/// How often it is asked what a waiting trial waits for.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The jobs of an experiment's trials, as they are.
pub(crate) fn jobs(kf: &Kf, name: &str) -> Result<Vec<Object>> {
    selection(kf, name).list()
}

fn selection(kf: &Kf, name: &str) -> Api {
    kf.api(train_job()).labels(format!("{EXPERIMENT}={name}"))
}

/// Runs the experiment to its end.
pub(crate) fn run(kf: &Kf, tune: &Tune, file: Option<Object>) -> Result<Exit> {
    let plan = Plan::of(tune)?;
    // `-` and the number.
    names::check(&tune.name, plan.assignments.len().to_string().len() + 1, tune.job.nodes)?;
    let mut template = file.unwrap_or_else(|| kf_training_job::empty(&tune.name));
    if !kf.serves(&train_job())? {
        return Err(Error::not_found("this cluster has neither experiments nor training jobs")
            .hint("ask your admin to install Kubeflow Trainer or Katib"));
    }
    overrides::apply(&tune.job, &mut template)?;
    check_access(kf, GROUP, "trainjobs", &["create", "patch"], || {
        kf.api(train_job()).apply_with(&template, WriteOptions::CHECK_ONLY).map(drop)
    })?;
    let runtime = runtime::settle(kf, tune.job.runtime.as_deref(), &mut template)?;
    template::check_places(&template, &plan.parameters)?;
    let code = match &tune.job.from_dir {
        Some(directory) => Some(Code::read(kf, directory, &tune.name, TOO_LARGE)?),
        None => None,
    };
    let mount = code.as_ref().map(|code| Mount::new(code.volume(), runtime.as_ref()));
    if let Some(mount) = &mount {
        mount.run_there(&mut template)?;
    }
    let definition = Definition::new(&plan, &tune.job, &template, code.as_ref().map(Code::name));
    let controller = Controller { kf, tune, plan, template, definition, code: code.as_ref(), mount };
    controller.run()
}

struct Controller<'a> {
    kf: &'a Kf,
    tune: &'a Tune,
    plan: Plan,
    template: Object,
    definition: Definition,
    code: Option<&'a Code>,
    mount: Option<Mount>,
}

/// The jobs of the trials by number, and what they told.
type Jobs = BTreeMap<usize, Object>;

impl Controller<'_> {
    fn run(&self) -> Result<Exit> {
        let (found, mut changes) = Reflector::open(self.kf, selection(self.kf, &self.tune.name))?;
        let mut jobs = by_number(found);
        self.check_definition(&jobs)?;
        if self.kf.context().dry_run {
            return self.rehearse(&jobs);
        }
        let names = self.plan.parameters.iter().map(|parameter| parameter.name.clone()).collect();
        let objective = self.plan.objective.clone();
        let total = Some(self.plan.assignments.len());
        let before = self.trials(&mut jobs)?;
        self.greet(&before);
        let mut screen = Screen::new(self.kf, objective, "trainjob", total, self.tune.watch, &before, names);
        let mut look_again = self.kf.after(LOOK_AGAIN);
        let mut waits = None;
        // Since somebody deleted a trial.
        let mut pause: Option<Pollable> = None;
        loop {
            let trials = self.trials(&mut jobs)?;
            if let Some(end) = self.end(&trials) {
                return screen.finish(&trials, end);
            }
            if pause.is_some() && jobs.values().all(is_leaving) {
                let name = &self.tune.name;
                return Err(Error::not_found(format!("experiment {name} was removed before it ended")));
            }
            if pause.is_none() && self.start_next(&mut jobs, &trials)? {
                continue;
            }
            screen.show(&trials, waits.as_deref())?;
            let changed = changes.subscribe();
            let timers = [Some(&changed), Some(&look_again), pause.as_ref()];
            let ready = self.kf.wait(&timers.into_iter().flatten().collect::<Vec<_>>());
            if ready.is_empty() {
                return Err(Error::timed_out(format!("nothing more was heard of {}", self.tune.name)));
            }
            if ready.contains(&2) {
                pause = None;
            }
            if ready.contains(&0) {
                let before = jobs.len();
                take(changes.changes()?, &mut jobs);
                if jobs.len() < before {
                    pause = Some(self.kf.after(REMOVAL_TAKES));
                }
            }
            if ready.contains(&1) {
                waits = self.what_is_waited_for(&trials, &jobs);
                look_again = self.kf.after(LOOK_AGAIN);
            }
        }
    }

    /// Trials of another definition are not this experiment's.
    fn check_definition(&self, jobs: &Jobs) -> Result<()> {
        for job in jobs.values() {
            let differences = self.definition.differences(&Definition::of(job)?);
            if !differences.is_empty() {
                let name = &self.tune.name;
                return Err(Error::new(
                    ErrorCode::Conflict,
                    format!("{name} has trials that were made otherwise: {}", differences.join("; ")),
                )
                .hint(renamed(self.kf, &self.tune.name)));
            }
        }
        Ok(())
    }

    /// `--dry-run`: what would be tried, once the server has agreed to the first of it.
    fn rehearse(&self, jobs: &Jobs) -> Result<Exit> {
        let missing = (1..=self.plan.assignments.len()).find(|number| !jobs.contains_key(number));
        if let Some(number) = missing {
            if let Some(code) = self.code {
                code.check(self.kf)?;
            }
            let job = self.job(number)?;
            fit(self.kf, &job, self.mount.as_ref()).map_err(|error| self.refused(&job, error))?;
        }
        // For a program kf prints the job of the first trial.
        if !self.kf.output_format().is_table() {
            return Ok(Exit::OK);
        }
        let objective = self.plan.objective.clone();
        let trials: Vec<_> = (1..=self.plan.assignments.len())
            .map(|number| match jobs.get(&number) {
                Some(job) => trial(number, job, &objective),
                None => self.planned(number),
            })
            .collect();
        let names = self.plan.parameters.iter().map(|parameter| parameter.name.clone()).collect();
        Screen::new(self.kf, objective, "trainjob", None, false, &trials, names).print(&trials)?;
        Ok(Exit::OK)
    }

    fn planned(&self, number: usize) -> Trial {
        Trial {
            number,
            name: self.trial_name(number),
            state: State::Planned,
            parameters: self.assignment(number),
            observed: BTreeMap::new(),
            took: None,
            why: None,
        }
    }

    fn greet(&self, before: &[Trial]) {
        if !self.kf.context().interactive {
            return;
        }
        let (name, total) = (&self.tune.name, self.plan.assignments.len());
        let ended = before.iter().filter(|trial| trial.state.has_ended()).count();
        if !before.is_empty() {
            self.kf.note(format!("{name} goes on: {ended} of {total} trials are done"));
        }
        if ended < total {
            self.kf.note("Ctrl-C leaves the trials that run; the same command goes on");
        }
    }

    /// The trials as they are, those that have ended measured.
    fn trials(&self, jobs: &mut Jobs) -> Result<Vec<Trial>> {
        let objective = &self.plan.objective;
        let mut trials = Vec::new();
        for (number, job) in jobs.iter_mut() {
            let succeeded = outcome(job).is_some_and(|outcome| outcome.succeeded);
            if succeeded && !observation::is_noted(job) {
                *job = self.measure(job)?;
            }
            trials.push(trial(*number, job, objective));
        }
        Ok(trials)
    }

    /// Reads the log of a trial that has ended well, and writes down what it came to.
    fn measure(&self, job: &Object) -> Result<Object> {
        let observed = observation::observe(self.kf, job)?;
        let note = observation::note(&observed, &self.plan.objective);
        self.kf.api(train_job()).merge(job.name(), &note)
    }

    fn end(&self, trials: &[Trial]) -> Option<End> {
        let total = self.plan.assignments.len();
        end_of(trials, &self.plan.objective, total, Some(self.plan.max_failed))
    }

    /// Makes as many trials as there is room for. False if there was none.
    fn start_next(&self, jobs: &mut Jobs, trials: &[Trial]) -> Result<bool> {
        let objective = &self.plan.objective;
        let value = best(trials, objective).and_then(|best| best.value(objective));
        if value.is_some_and(|value| objective.is_reached(value)) {
            return Ok(false);
        }
        let open = trials.iter().filter(|trial| !trial.state.has_ended()).count();
        let room = self.plan.parallel.saturating_sub(open);
        let next: Vec<_> = (1..=self.plan.assignments.len())
            .filter(|number| !jobs.contains_key(number))
            .take(room)
            .collect();
        let Some(first) = next.first().copied() else { return Ok(false) };
        let stored = self.code.map(|code| code.store(self.kf)).transpose()?;
        let started = next.into_iter().try_for_each(|number| {
            jobs.insert(number, self.start(number)?);
            Ok(())
        });
        // Also of those that were started before one could not be.
        if let Some(code) = self.code.filter(|_| !jobs.is_empty()) {
            code.own(self.kf, jobs.values())?;
        }
        if let (true, Some(stored), Err(error)) = (jobs.is_empty(), &stored, &started) {
            stored.discard(self.kf, &self.trial_name(first), error);
        }
        started.map(|()| true)
    }

    fn start(&self, number: usize) -> Result<Object> {
        let job = self.job(number)?;
        let (job, _) = fit(self.kf, &job, self.mount.as_ref()).map_err(|error| self.refused(&job, error))?;
        match self.kf.api(train_job()).create(&job) {
            Err(error) if error.is(ErrorCode::Conflict) => self.made_by_another(job.name()),
            made => made.map_err(|error| self.refused(&job, error)),
        }
    }

    /// Another kf with the same command may have been quicker.
    fn made_by_another(&self, name: &str) -> Result<Object> {
        let job = self.kf.api(train_job()).get(name)?;
        if job.label(EXPERIMENT) == Some(self.tune.name.as_str())
            && self.definition.differences(&Definition::of(&job)?).is_empty()
        {
            return Ok(job);
        }
        Err(Error::new(
            ErrorCode::Conflict,
            format!("training job {name} exists and is no trial of {}", self.tune.name),
        )
        .hint(renamed(self.kf, &self.tune.name)))
    }

    fn refused(&self, job: &Object, error: Error) -> Error {
        explain(self.kf, error, job.name(), &self.tune.name)
    }

    fn trial_name(&self, number: usize) -> String {
        format!("{}-{number}", self.tune.name)
    }

    fn assignment(&self, number: usize) -> Assignment {
        number.checked_sub(1).and_then(|index| self.plan.assignments.get(index)).cloned().unwrap_or_default()
    }

    /// A trial's job with its values and its memory.
    fn job(&self, number: usize) -> Result<Object> {
        let values = self.assignment(number);
        let mut job = template::fill(&self.template, &values);
        job.set("/metadata/name", self.trial_name(number));
        let mut mark = |part: &str, name: &str, text: String| {
            job.set(&format!("/metadata/{part}/{}", name.replace('/', "~1")), text);
        };
        mark("labels", EXPERIMENT, self.tune.name.clone());
        mark("labels", NUMBER, number.to_string());
        mark("annotations", observation::PARAMETERS, serde_json::to_string(&values)?);
        mark("annotations", definition::ANNOTATION, self.definition.to_text()?);
        Ok(job)
    }

    /// What the first waiting trial waits for, when nothing runs.
    fn what_is_waited_for(&self, trials: &[Trial], jobs: &Jobs) -> Option<String> {
        if !self.kf.context().interactive || trials.iter().any(|trial| trial.state == State::Running) {
            return None;
        }
        let waiting = trials.iter().find(|trial| trial.state == State::Waiting)?;
        Component::of(jobs.get(&waiting.number)?.clone())?.verdict(self.kf).ok()?.why
    }
}

fn take(changes: Vec<Change>, jobs: &mut Jobs) {
    for change in changes {
        match change {
            Change::All(all) => *jobs = by_number(all),
            Change::Put(job) => jobs.extend(number(&job).map(|number| (number, job))),
            Change::Deleted(job) => drop(number(&job).and_then(|number| jobs.remove(&number))),
        }
    }
}

fn is_leaving(job: &Object) -> bool {
    job.str("/metadata/deletionTimestamp").is_some()
}

fn by_number(jobs: Vec<Object>) -> Jobs {
    jobs.into_iter().filter_map(|job| Some((number(&job)?, job))).collect()
}

fn number(job: &Object) -> Option<usize> {
    job.label(NUMBER)?.parse().ok()
}

/// An experiment that is there, without its definition at hand: its trials and what they are for.
pub(crate) fn find(kf: &Kf, name: &str) -> Result<Option<(Definition, Vec<Trial>)>> {
    if !kf.serves(&train_job())? {
        return Ok(None);
    }
    let jobs = by_number(jobs(kf, name)?);
    // Later trials know of a larger budget.
    let Some(last) = jobs.values().next_back() else { return Ok(None) };
    let definition = Definition::of(last)?;
    let objective = definition.objective();
    let trials = jobs.iter().map(|(number, job)| trial(*number, job, &objective)).collect();
    Ok(Some((definition, trials)))
}

/// `--watch` of an experiment that another kf runs.
pub(crate) fn watch(kf: &Kf, name: &str, definition: &Definition) -> Result<Exit> {
    let objective = definition.objective();
    let (found, mut changes) = Reflector::open(kf, selection(kf, name))?;
    let mut jobs = by_number(found);
    let of = |jobs: &Jobs| -> Vec<Trial> {
        jobs.iter().map(|(number, job)| trial(*number, job, &objective)).collect()
    };
    let trials = of(&jobs);
    let names = crate::table::parameter_names(&trials).into_iter().map(str::to_owned).collect();
    let mut screen =
        Screen::new(kf, objective.clone(), "trainjob", Some(definition.trials), true, &trials, names);
    loop {
        let trials = of(&jobs);
        if let Some(end) = end_of(&trials, &objective, definition.trials, definition.max_failed) {
            return screen.finish(&trials, end);
        }
        screen.show(&trials, None)?;
        if kf.wait(&[&changes.subscribe()]).is_empty() {
            return Err(Error::timed_out(format!("nothing more was heard of {name}")));
        }
        take(changes.changes()?, &mut jobs);
    }
}

/// Reads a template out of the file, if the file holds a training job.
pub(crate) fn read_template(kf: &Kf, file: &FileArg, name: &str) -> Result<Object> {
    read_manifest(kf, file, name, &[train_job(), katib::experiment_kind()])
}
