//! Tuning with Katib: creates an Experiment and follows it; Katib's controller runs the trials.

use std::collections::BTreeMap;
use std::time::Duration;

use kf_plugin_sdk::abi::WriteOptions;
use kf_plugin_sdk::manifest::shorten_rejection;
use kf_plugin_sdk::objects::{Change, Reflector};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Workload, outcome};
use kf_training_job::metrics::Observed;
use kf_training_job::{check_access, overrides, renamed, runtime};
use serde_json::{Value, json};

use crate::Tune;
use crate::names::{self, KATIB_MAX, KATIB_TRIAL_LEN};
use crate::objective::{Direction, Objective, Take};
use crate::plan::Plan;
use crate::screen::{End, Screen};
use crate::search::{Algorithm, Assignment};
use crate::shell;
use crate::space::{Parameter, Space, Step};
use crate::template;
use crate::trial::{State, Trial};

const GROUP: &str = "kubeflow.org";
/// How often the reason why no trial runs is refreshed.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5);
/// Katib's default for parallel trials.
const DEFAULT_PARALLEL: i64 = 3;
const EXPERIMENT_LABEL: &str = "katib.kubeflow.org/experiment";

pub(crate) fn experiment_kind() -> Kind {
    Kind::new(GROUP, "Experiment")
}

/// Whether the cluster has Katib.
pub(crate) fn is_served(kf: &Kf) -> Result<bool> {
    kf.serves(&experiment_kind())
}

/// The experiment of this name. `None` also if the user is not allowed to read it.
pub(crate) fn find(kf: &Kf, name: &str) -> Result<Option<Object>> {
    match kf.api(experiment_kind()).find(name) {
        Err(error) if error.is(ErrorCode::Forbidden) => Ok(None),
        found => found,
    }
}

/// Creates the experiment from the file or the flags, and waits until it ends.
pub(crate) fn run(kf: &Kf, tune: &Tune, file: Option<Object>) -> Result<Exit> {
    let experiment = match file {
        Some(file) if file.kind() == "Experiment" => from_file(tune, file)?,
        template => from_flags(kf, tune, template)?,
    };
    let experiments = kf.api(experiment_kind());
    check_access(kf, GROUP, "experiments", &["create", "patch"], || {
        experiments.apply_with(&experiment, WriteOptions::DRY_RUN).map(drop)
    })?;
    let refused = |error| refused(kf, tune, error);
    let existing = experiments.find(&tune.name)?;
    if let Some(existing) = &existing {
        check_can_resume(kf, tune, existing, &experiment)?;
    }
    let checked = experiments.apply_with(&experiment, WriteOptions::DRY_RUN).map_err(refused)?;
    if let Some(existing) = &existing {
        check_same(kf, tune, existing, &checked)?;
    }
    if kf.context().dry_run {
        return Ok(Exit::OK);
    }
    let applied = experiments.apply(&experiment).map_err(refused)?;
    if kf.context().interactive {
        let again = kf.same_target(&format!("kf tune {}", tune.name));
        kf.note(format!("Ctrl-C leaves {} running; follow it again with `{again}`", tune.name));
    }
    follow(kf, applied, tune.watch)
}

/// Explains why a webhook of Katib refuses an experiment.
fn refused(kf: &Kf, tune: &Tune, error: Error) -> Error {
    if error.message.contains("are editable") {
        let name = &tune.name;
        let message =
            format!("experiment {name} exists with a different spec: only its trial counts can change");
        return Error::new(ErrorCode::Conflict, message).hint(renamed(kf, name));
    }
    shorten_rejection(error, "the experiment")
}

/// Refuses to extend an experiment that Katib cannot resume. It resumes one that has ended only if all its trials were
/// run and its policy keeps the suggestion service.
fn check_can_resume(kf: &Kf, tune: &Tune, before: &Object, after: &Object) -> Result<()> {
    let Some(end) = outcome(before) else { return Ok(()) };
    let changes = BUDGET.iter().any(|field| {
        let number = |experiment: &Object| experiment.int(&format!("/spec/{field}"));
        number(after).is_some_and(|wanted| Some(wanted) != number(before))
    });
    let policy = before.str("/spec/resumePolicy").unwrap_or("Never");
    let ran_all_trials = end.succeeded && matches!(end.reason.as_str(), "" | "ExperimentMaxTrialsReached");
    if !changes || (ran_all_trials && policy != "Never") {
        return Ok(());
    }
    let name = &tune.name;
    let why = match (end.succeeded, ran_all_trials) {
        (true, true) => format!("its spec.resumePolicy is {policy}"),
        (true, false) => "it has reached its goal".to_owned(),
        (false, _) => "it has failed".to_owned(),
    };
    Err(Error::new(
        ErrorCode::Conflict,
        format!("experiment {name} has ended and Katib cannot resume it: {why}"),
    )
    .hint(renamed(kf, name)))
}

fn from_file(tune: &Tune, mut experiment: Object) -> Result<Object> {
    names::check_length(&tune.name, KATIB_MAX)?;
    let given = [
        ("--param", !tune.param.is_empty()),
        ("--objective", tune.objective.is_some()),
        ("--runtime", tune.job.runtime.is_some()),
        ("--image", tune.job.image.is_some()),
        ("--from-dir", tune.job.from_dir.is_some()),
        ("--env", !tune.job.env.is_empty()),
        ("--nodes", tune.job.nodes.is_some()),
        ("--cpu", tune.job.cpu.is_some()),
        ("--memory", tune.job.memory.is_some()),
        ("--gpu", tune.job.gpu.is_some()),
        ("--queue", tune.job.queue.is_some()),
        ("a command", !tune.job.command.is_empty()),
    ];
    if let Some((flag, _)) = given.into_iter().find(|(_, given)| *given) {
        return Err(Error::invalid(format!("{flag} cannot be used with an Experiment from a file"))
            .hint("set its fields with --set, such as --set spec.maxTrialCount=20"));
    }
    let counts = [
        ("/spec/maxTrialCount", tune.max_trials),
        ("/spec/parallelTrialCount", tune.parallel),
        ("/spec/maxFailedTrialCount", tune.max_failed),
    ];
    for (field, count) in counts {
        if let Some(count) = count {
            experiment.set(field, count);
        }
    }
    if tune.max_trials.is_some() {
        cap(&mut experiment);
    }
    overrides::set_fields(&tune.job, &mut experiment)?;
    Ok(experiment)
}

/// Caps the other counts at a lowered number of trials: Katib refuses counts above it.
fn cap(experiment: &mut Object) {
    let Some(max) = experiment.int("/spec/maxTrialCount") else { return };
    for (field, default) in
        [("/spec/parallelTrialCount", Some(DEFAULT_PARALLEL)), ("/spec/maxFailedTrialCount", None)]
    {
        if experiment.int(field).or(default).is_some_and(|count| count > max) {
            experiment.set(field, max);
        }
    }
}

/// An Experiment whose trials are training jobs.
fn from_flags(kf: &Kf, tune: &Tune, template: Option<Object>) -> Result<Object> {
    let plan = Plan::of(tune)?;
    names::check(&tune.name, KATIB_TRIAL_LEN, tune.job.nodes)?;
    if tune.job.from_dir.is_some() {
        let line = kf.command_line().set("--engine", "trainer");
        return Err(Error::new(ErrorCode::Unsupported, "Katib cannot run an experiment with --from-dir")
            .hint(format!("{line}, to let kf run the trials; or build an image and pass it with --image")));
    }
    let mut template = template.unwrap_or_else(|| kf_training_job::empty(&tune.name));
    overrides::apply(&tune.job, &mut template)?;
    runtime::resolve(kf, tune.job.runtime.as_deref(), &mut template)?;
    template::check_placeholders(&template, &plan.parameters)?;
    // Katib replaces only `${trialParameters.…}`.
    let placeholders: Assignment = plan
        .parameters
        .iter()
        .map(|parameter| (parameter.name.clone(), format!("${{trialParameters.{}}}", parameter.name)))
        .collect();
    let mut trial = template::fill(&template, &placeholders);
    let is_quoted = shell::quote_command(&mut trial);
    shell::check_values(kf, &plan.parameters, is_quoted)?;
    let mut trial = trial.into_value();
    if let Some(metadata) = trial.get_mut("metadata").and_then(Value::as_object_mut) {
        // Katib names the trials.
        metadata.remove("name");
    }
    let objective = &plan.objective;
    let metric_strategy = json!([{ "name": objective.metric, "value": objective.take.name() }]);
    let mut spec = json!({
        "objective": {
            "type": objective.direction.name(),
            "objectiveMetricName": objective.metric,
            "metricStrategies": metric_strategy,
        },
        "algorithm": { "algorithmName": plan.algorithm.name() },
        "parallelTrialCount": plan.parallel,
        "maxTrialCount": plan.assignments.len(),
        "maxFailedTrialCount": plan.max_failed,
        "parameters": plan.parameters.iter().map(feasible).collect::<Vec<_>>(),
        "metricsCollectorSpec": { "collector": { "kind": "StdOut" } },
        "trialTemplate": {
            "primaryContainerName": "node",
            "primaryPodLabels": {
                "jobset.sigs.k8s.io/replicatedjob-name": "node",
                "batch.kubernetes.io/job-completion-index": "0",
            },
            "successCondition": "status.conditions.#(type==\"Complete\")#|#(status==\"True\")#",
            "failureCondition": "status.conditions.#(type==\"Failed\")#|#(status==\"True\")#",
            "trialParameters": plan.parameters.iter().map(|parameter| json!({
                "name": parameter.name, "reference": parameter.name,
            })).collect::<Vec<_>>(),
            "trialSpec": trial,
        },
    });
    if let (Some(goal), Some(target)) = (objective.goal, spec.pointer_mut("/objective")) {
        merge(target, "goal", json!(goal));
    }
    if let (Algorithm::Random, Some(algorithm)) = (plan.algorithm, spec.pointer_mut("/algorithm")) {
        let settings = json!([{ "name": "random_state", "value": plan.seed.to_string() }]);
        merge(algorithm, "algorithmSettings", settings);
    }
    let mut experiment = Object::new(&experiment_kind().version("v1beta1"), &tune.name);
    experiment.set("/spec", spec);
    Ok(experiment)
}

fn merge(target: &mut Value, field: &str, value: Value) {
    if let Some(fields) = target.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
}

/// A parameter in Katib's format.
fn feasible(parameter: &Parameter) -> Value {
    fn range<T: ToString>(kind: &str, min: &T, max: &T, step: &Step<T>) -> (Value, Value) {
        let mut space = json!({ "min": min.to_string(), "max": max.to_string() });
        match step {
            Step::Any => {}
            Step::By(step) => merge(&mut space, "step", step.to_string().into()),
            Step::Log => merge(&mut space, "distribution", "logUniform".into()),
        }
        (kind.into(), space)
    }
    let (kind, space) = match &parameter.space {
        Space::Integers { min, max, step } => range("int", min, max, step),
        Space::Numbers { min, max, step } => range("double", min, max, step),
        Space::Choices(choices) => ("categorical".into(), json!({ "list": choices })),
    };
    json!({ "name": parameter.name, "parameterType": kind, "feasibleSpace": space })
}

/// The fields of an experiment that may change.
const BUDGET: [&str; 3] = ["maxTrialCount", "parallelTrialCount", "maxFailedTrialCount"];

fn check_same(kf: &Kf, tune: &Tune, before: &Object, after: &Object) -> Result<()> {
    let rest = |experiment: &Object| {
        let mut spec = experiment.at("/spec").cloned().unwrap_or_default();
        if let Some(fields) = spec.as_object_mut() {
            fields.retain(|field, _| !BUDGET.contains(&field.as_str()));
        }
        spec
    };
    let (old, new) = (rest(before), rest(after));
    if old == new {
        return Ok(());
    }
    let fields = |spec: &Value| spec.as_object().cloned().unwrap_or_default();
    let (old, new) = (fields(&old), fields(&new));
    let changed: Vec<_> = new
        .iter()
        .filter(|(name, value)| old.get(*name) != Some(value))
        .map(|(name, _)| format!("spec.{name}"))
        .collect();
    Err(Error::new(
        ErrorCode::Conflict,
        format!("experiment {} exists with a different spec: {}", tune.name, changed.join(", ")),
    )
    .hint(renamed(kf, &tune.name)))
}

/// The objective of an experiment.
pub(crate) fn objective(experiment: &Object) -> Objective {
    let text = |pointer| experiment.str(pointer).unwrap_or_default();
    let metric = text("/spec/objective/objectiveMetricName").to_owned();
    let direction = match text("/spec/objective/type") {
        "maximize" => Direction::Maximize,
        _ => Direction::Minimize,
    };
    let strategy = experiment.list("/spec/objective/metricStrategies").iter().find_map(|strategy| {
        (strategy.get("name")?.as_str()? == metric).then(|| strategy.get("value")?.as_str())?
    });
    let take = match strategy {
        Some("min") => Take::Min,
        Some("max") => Take::Max,
        Some("latest") => Take::Latest,
        _ => direction.default_take(),
    };
    let goal = experiment.at("/spec/objective/goal").and_then(Value::as_f64);
    Objective { metric, direction, take, goal }
}

fn trial_selection(kf: &Kf, experiment: &Object) -> Api {
    kf.api(Kind::new(GROUP, "Trial")).labels(format!("{EXPERIMENT_LABEL}={}", experiment.name()))
}

/// The trials of an experiment, in the order of their creation.
pub(crate) fn trials(kf: &Kf, experiment: &Object) -> Result<Vec<Trial>> {
    let mut trials = BTreeMap::new();
    apply_changes(vec![Change::All(trial_selection(kf, experiment).list()?)], &mut trials);
    Ok(numbered(&trials))
}

fn numbered(trials: &Trials) -> Vec<Trial> {
    let mut trials: Vec<_> = trials.values().collect();
    trials.sort_by_cached_key(|trial| (trial.created(), trial.name().to_owned()));
    trials.iter().zip(1..).map(|(object, number)| trial(number, object)).collect()
}

fn trial(number: usize, object: &Object) -> Trial {
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
    let parameters = object
        .list("/spec/parameterAssignments")
        .iter()
        .filter_map(|one| Some((text(one, "name")?, text(one, "value")?)))
        .collect();
    let number_of = |value: &Value, field: &str| text(value, field)?.parse::<f64>().ok();
    let observed: BTreeMap<_, _> = object
        .list("/status/observation/metrics")
        .iter()
        .filter_map(|metric| {
            let latest = number_of(metric, "latest");
            let min = number_of(metric, "min").or(latest)?;
            let max = number_of(metric, "max").or(latest)?;
            Some((text(metric, "name")?, Observed { latest: latest.unwrap_or(min), min, max }))
        })
        .collect();
    let holds = |kind: &str| object.condition_holds(kind);
    let state = if holds("MetricsUnavailable") {
        State::NoMetric
    } else if holds("Succeeded") || holds("EarlyStopped") {
        State::Succeeded
    } else if holds("Failed") || holds("Killed") {
        State::Failed
    } else if holds("Running") {
        State::Running
    } else {
        State::Waiting
    };
    let why = ["Failed", "Killed", "MetricsUnavailable"]
        .iter()
        .filter(|kind| holds(kind))
        .find_map(|kind| object.condition(kind).map(|condition| condition.message.to_owned()));
    let took = object
        .time("/status/completionTime")
        .zip(object.time("/status/startTime"))
        .map(|(end, start)| start.age(end));
    Trial { number, name: object.name().to_owned(), state, parameters, observed, took, why }
}

/// Follows the experiment until it ends.
pub(crate) fn follow(kf: &Kf, experiment: Object, watch: bool) -> Result<Exit> {
    let name = experiment.name().to_owned();
    let itself = kf.api(experiment_kind()).fields(format!("metadata.name={name}"));
    let (found, mut of_experiment) = Reflector::open(kf, itself)?;
    let mut experiment = found.into_iter().next().unwrap_or(experiment);
    let (found, mut of_trials) = Reflector::open(kf, trial_selection(kf, &experiment))?;
    let mut trials = BTreeMap::new();
    apply_changes(vec![Change::All(found)], &mut trials);
    let names = parameter_names(&experiment);
    let total = experiment.int("/spec/maxTrialCount").and_then(|count| usize::try_from(count).ok());
    let mut screen =
        Screen::new(kf, objective(&experiment), "trial", total, watch, &numbered(&trials), names);
    let mut refresh = kf.after(REFRESH_INTERVAL);
    let mut waits = None;
    loop {
        let known = numbered(&trials);
        if let Some(outcome) = outcome(&experiment) {
            let end = if outcome.succeeded { End::AllTried } else { End::TooManyFailed };
            return screen.finish(&known, end);
        }
        screen.show(&known, waits.as_deref())?;
        let ready = kf.wait(&[&of_experiment.subscribe(), &of_trials.subscribe(), &refresh]);
        if ready.is_empty() {
            return Err(Error::timed_out(format!("timed out waiting for {name}")));
        }
        if ready.contains(&0) {
            for change in of_experiment.changes()? {
                experiment = match change {
                    Change::Put(object) => Some(object),
                    Change::All(objects) => objects.into_iter().next(),
                    Change::Deleted(_) => None,
                }
                .ok_or_else(|| Error::not_found(format!("experiment {name} was deleted before it ended")))?;
            }
            // The end and the last changes of trials arrive on two watches, in any order.
            if outcome(&experiment).is_some() {
                apply_changes(vec![Change::All(trial_selection(kf, &experiment).list()?)], &mut trials);
            }
        }
        if ready.contains(&1) {
            apply_changes(of_trials.changes()?, &mut trials);
        }
        if ready.contains(&2) {
            waits = pending_reason(kf, &experiment, &numbered(&trials));
            refresh = kf.after(REFRESH_INTERVAL);
        }
    }
}

/// Why no trial runs: because of their pods, or of the service that suggests their values.
fn pending_reason(kf: &Kf, experiment: &Object, trials: &[Trial]) -> Option<String> {
    if !kf.context().interactive || trials.iter().any(|trial| trial.state == State::Running) {
        return None;
    }
    Workload::of(experiment.clone())?.verdict(kf).ok()?.why
}

type Trials = BTreeMap<String, Object>;

fn apply_changes(changes: Vec<Change>, trials: &mut Trials) {
    let named = |trial: Object| (trial.name().to_owned(), trial);
    for change in changes {
        match change {
            Change::All(all) => *trials = all.into_iter().map(named).collect(),
            Change::Put(trial) => trials.extend([named(trial)]),
            Change::Deleted(trial) => drop(trials.remove(trial.name())),
        }
    }
}

/// The names of an experiment's parameters, in its order.
pub(crate) fn parameter_names(experiment: &Object) -> Vec<String> {
    let parameters = experiment.list("/spec/parameters").iter();
    parameters.filter_map(|parameter| Some(parameter.get("name")?.as_str()?.to_owned())).collect()
}
