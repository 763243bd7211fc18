//! Tuning without Katib: trials are training jobs, and this is their controller.
//!
//! All its state is in the cluster: see [`crate::definition`]. If it is stopped, running trials continue. When it
//! is started again, it reads the trials that have ended meanwhile and creates the next ones.

use std::collections::BTreeMap;
use std::time::Duration;

use kf_plugin_sdk::Pollable;
use kf_plugin_sdk::abi::WriteOptions;
use kf_plugin_sdk::manifest::read_manifest;
use kf_plugin_sdk::objects::{Change, Reflector};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Workload, outcome};
use kf_training_job::refusal::explain;
use kf_training_job::{Code, GROUP, Mount, check_access, overrides, renamed, runtime, train_job, validate};

use crate::definition::{self, Definition};
use crate::observation::{self, trial};
use crate::plan::Plan;
use crate::screen::{End, Screen, end_of};
use crate::search::Assignment;
use crate::template;
use crate::trial::{State, Trial, best};
use crate::{Tune, katib, names};

/// The labels on a trial's job: its experiment and its number.
pub(crate) use kf_plugin_sdk::workloads::OWN_EXPERIMENT_LABEL as EXPERIMENT;
use kf_plugin_sdk::workloads::OWN_TRIAL_LABEL as NUMBER;

/// The hint for code that is too large for a ConfigMap.
const TOO_LARGE_HINT: &str =
    "keep only code in it: put data on a volume of the runtime, or build an image and pass it with --image";

/// After a trial was deleted, no new one is created for this time: the others may follow one by one.
const REMOVAL_GRACE: Duration = Duration::from_secs(10);

/// How often the reason why a trial is pending is refreshed.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5);

/// The jobs of an experiment's trials.
pub(crate) fn jobs(kf: &Kf, name: &str) -> Result<Vec<Object>> {
    selection(kf, name).list()
}

fn selection(kf: &Kf, name: &str) -> Api {
    kf.api(train_job()).labels(format!("{EXPERIMENT}={name}"))
}

/// Runs the experiment until it ends.
pub(crate) fn run(kf: &Kf, tune: &Tune, file: Option<Object>) -> Result<Exit> {
    let plan = Plan::of(tune)?;
    // A trial's name adds `-` and its number.
    names::check(&tune.name, plan.assignments.len().to_string().len() + 1, tune.job.nodes)?;
    let mut template = file.unwrap_or_else(|| kf_training_job::empty(&tune.name));
    if !kf.serves(&train_job())? {
        return Err(Error::not_found("neither Katib nor Kubeflow Trainer is installed on this cluster")
            .hint("ask your admin to install Kubeflow Trainer or Katib"));
    }
    overrides::apply(&tune.job, &mut template)?;
    check_access(kf, GROUP, "trainjobs", &["create", "patch"], || {
        kf.api(train_job()).apply_with(&template, WriteOptions::DRY_RUN).map(drop)
    })?;
    let runtime = runtime::resolve(kf, tune.job.runtime.as_deref(), &mut template)?;
    template::check_placeholders(&template, &plan.parameters)?;
    let code = match &tune.job.from_dir {
        Some(directory) => Some(Code::read(kf, directory, &tune.name, TOO_LARGE_HINT)?),
        None => None,
    };
    let mount = code.as_ref().map(|code| Mount::new(code.volume(), runtime.as_ref()));
    if let Some(mount) = &mount {
        mount.run_in_workspace(&mut template)?;
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

/// The jobs of the trials by number.
type Jobs = BTreeMap<usize, Object>;

impl Controller<'_> {
    fn run(&self) -> Result<Exit> {
        let (found, mut changes) = Reflector::open(self.kf, selection(self.kf, &self.tune.name))?;
        let mut jobs = by_number(found);
        self.check_definition(&jobs)?;
        if self.kf.context().dry_run {
            return self.dry_run(&jobs);
        }
        let names = self.plan.parameters.iter().map(|parameter| parameter.name.clone()).collect();
        let objective = self.plan.objective.clone();
        let total = Some(self.plan.assignments.len());
        let before = self.trials(&mut jobs)?;
        self.announce(&before);
        let mut screen = Screen::new(self.kf, objective, "trainjob", total, self.tune.watch, &before, names);
        let mut refresh = self.kf.after(REFRESH_INTERVAL);
        let mut pending = None;
        // Set after a trial was deleted.
        let mut pause: Option<Pollable> = None;
        loop {
            let trials = self.trials(&mut jobs)?;
            if let Some(end) = self.end(&trials) {
                return screen.finish(&trials, end);
            }
            if pause.is_some() && jobs.values().all(is_terminating) {
                let name = &self.tune.name;
                return Err(Error::not_found(format!("experiment {name} was removed before it ended")));
            }
            if pause.is_none() && self.start_next(&mut jobs, &trials)? {
                continue;
            }
            screen.show(&trials, pending.as_deref())?;
            let changed = changes.subscribe();
            let timers = [Some(&changed), Some(&refresh), pause.as_ref()];
            let ready = self.kf.wait(&timers.into_iter().flatten().collect::<Vec<_>>());
            if ready.is_empty() {
                return Err(Error::timed_out(format!("timed out waiting for {}", self.tune.name)));
            }
            if ready.contains(&2) {
                pause = None;
            }
            if ready.contains(&0) {
                let before = jobs.len();
                apply_changes(changes.changes()?, &mut jobs);
                if jobs.len() < before {
                    pause = Some(self.kf.after(REMOVAL_GRACE));
                }
            }
            if ready.contains(&1) {
                pending = self.pending_reason(&trials, &jobs);
                refresh = self.kf.after(REFRESH_INTERVAL);
            }
        }
    }

    /// Refuses existing trials of another definition.
    fn check_definition(&self, jobs: &Jobs) -> Result<()> {
        for job in jobs.values() {
            let differences = self.definition.differences(&Definition::of(job)?);
            if !differences.is_empty() {
                let name = &self.tune.name;
                return Err(Error::new(
                    ErrorCode::Conflict,
                    format!(
                        "experiment {name} exists with a different definition: {}",
                        differences.join("; ")
                    ),
                )
                .hint(renamed(self.kf, &self.tune.name)));
            }
        }
        Ok(())
    }

    /// `--dry-run`: prints the trials after the server has validated the first one.
    fn dry_run(&self, jobs: &Jobs) -> Result<Exit> {
        let missing = (1..=self.plan.assignments.len()).find(|number| !jobs.contains_key(number));
        if let Some(number) = missing {
            if let Some(code) = self.code {
                code.check(self.kf)?;
            }
            let job = self.job(number)?;
            validate(self.kf, &job, self.mount.as_ref()).map_err(|error| self.refused(&job, error))?;
        }
        // With `-o json` or `-o yaml` kf prints the job of the first trial.
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

    fn announce(&self, before: &[Trial]) {
        if !self.kf.context().interactive {
            return;
        }
        let (name, total) = (&self.tune.name, self.plan.assignments.len());
        let ended = before.iter().filter(|trial| trial.state.has_ended()).count();
        if !before.is_empty() {
            self.kf.note(format!("resuming {name}: {ended} of {total} trials done"));
        }
        if ended < total {
            self.kf.note("Ctrl-C leaves the running trials; rerun this command to resume");
        }
    }

    /// All trials. Measures those that have ended.
    fn trials(&self, jobs: &mut Jobs) -> Result<Vec<Trial>> {
        let objective = &self.plan.objective;
        let mut trials = Vec::new();
        for (number, job) in jobs.iter_mut() {
            let succeeded = outcome(job).is_some_and(|outcome| outcome.succeeded);
            if succeeded && !observation::is_measured(job) {
                *job = self.measure(job)?;
            }
            trials.push(trial(*number, job, objective));
        }
        Ok(trials)
    }

    /// Reads the metrics of a successful trial and stores them on its job.
    fn measure(&self, job: &Object) -> Result<Object> {
        let observed = observation::observe(self.kf, job)?;
        let patch = observation::to_patch(&observed, &self.plan.objective);
        self.kf.api(train_job()).merge(job.name(), &patch)
    }

    fn end(&self, trials: &[Trial]) -> Option<End> {
        let total = self.plan.assignments.len();
        end_of(trials, &self.plan.objective, total, Some(self.plan.max_failed))
    }

    /// Creates trials up to the limit of parallel ones. Returns false if none was created.
    fn start_next(&self, jobs: &mut Jobs, trials: &[Trial]) -> Result<bool> {
        let objective = &self.plan.objective;
        let value = best(trials, objective).and_then(|best| best.value(objective));
        if value.is_some_and(|value| objective.is_reached(value)) {
            return Ok(false);
        }
        let unfinished = trials.iter().filter(|trial| !trial.state.has_ended()).count();
        let room = self.plan.parallel.saturating_sub(unfinished);
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
        // Also if only some of the trials could be started.
        if let Some(code) = self.code.filter(|_| !jobs.is_empty()) {
            code.set_owners(self.kf, jobs.values())?;
        }
        if let (true, Some(stored), Err(error)) = (jobs.is_empty(), &stored, &started) {
            stored.discard(self.kf, &self.trial_name(first), error);
        }
        started.map(|()| true)
    }

    fn start(&self, number: usize) -> Result<Object> {
        let job = self.job(number)?;
        let (job, _) =
            validate(self.kf, &job, self.mount.as_ref()).map_err(|error| self.refused(&job, error))?;
        match self.kf.api(train_job()).create(&job) {
            Err(error) if error.is(ErrorCode::Conflict) => self.check_conflict(job.name()),
            created => created.map_err(|error| self.refused(&job, error)),
        }
    }

    /// Accepts a job that another kf has created for the same trial.
    fn check_conflict(&self, name: &str) -> Result<Object> {
        let job = self.kf.api(train_job()).get(name)?;
        if job.label(EXPERIMENT) == Some(self.tune.name.as_str())
            && self.definition.differences(&Definition::of(&job)?).is_empty()
        {
            return Ok(job);
        }
        Err(Error::new(
            ErrorCode::Conflict,
            format!("training job {name} exists and is not a trial of {}", self.tune.name),
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

    /// A trial's job with its values, labels and annotations.
    fn job(&self, number: usize) -> Result<Object> {
        let values = self.assignment(number);
        let mut job = template::fill(&self.template, &values);
        job.set("/metadata/name", self.trial_name(number));
        let mut set = |part: &str, name: &str, text: String| {
            job.set(&format!("/metadata/{part}/{}", name.replace('/', "~1")), text);
        };
        set("labels", EXPERIMENT, self.tune.name.clone());
        set("labels", NUMBER, number.to_string());
        set("annotations", observation::PARAMETERS, serde_json::to_string(&values)?);
        set("annotations", definition::ANNOTATION, self.definition.to_text()?);
        Ok(job)
    }

    /// Why the first waiting trial is pending, if none runs.
    fn pending_reason(&self, trials: &[Trial], jobs: &Jobs) -> Option<String> {
        if !self.kf.context().interactive || trials.iter().any(|trial| trial.state == State::Running) {
            return None;
        }
        let waiting = trials.iter().find(|trial| trial.state == State::Waiting)?;
        Workload::of(jobs.get(&waiting.number)?.clone())?.verdict(self.kf).ok()?.why
    }
}

fn apply_changes(changes: Vec<Change>, jobs: &mut Jobs) {
    for change in changes {
        match change {
            Change::All(all) => *jobs = by_number(all),
            Change::Put(job) => jobs.extend(number(&job).map(|number| (number, job))),
            Change::Deleted(job) => drop(number(&job).and_then(|number| jobs.remove(&number))),
        }
    }
}

fn is_terminating(job: &Object) -> bool {
    job.str("/metadata/deletionTimestamp").is_some()
}

fn by_number(jobs: Vec<Object>) -> Jobs {
    jobs.into_iter().filter_map(|job| Some((number(&job)?, job))).collect()
}

fn number(job: &Object) -> Option<usize> {
    job.label(NUMBER)?.parse().ok()
}

/// An existing experiment: its definition and trials.
pub(crate) fn find(kf: &Kf, name: &str) -> Result<Option<(Definition, Vec<Trial>)>> {
    if !kf.serves(&train_job())? {
        return Ok(None);
    }
    let jobs = by_number(jobs(kf, name)?);
    // The number of trials may have been raised since the first ones.
    let Some(last) = jobs.values().next_back() else { return Ok(None) };
    let definition = Definition::of(last)?;
    let objective = definition.objective();
    let trials = jobs.iter().map(|(number, job)| trial(*number, job, &objective)).collect();
    Ok(Some((definition, trials)))
}

/// `--watch` for an experiment that another kf runs.
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
            return Err(Error::timed_out(format!("timed out waiting for {name}")));
        }
        apply_changes(changes.changes()?, &mut jobs);
    }
}

/// Reads a TrainJob as the template, or an Experiment, from a file.
pub(crate) fn read_template(kf: &Kf, file: &FileArg, name: &str) -> Result<Object> {
    read_manifest(kf, file, name, &[train_job(), katib::experiment_kind()])
}
