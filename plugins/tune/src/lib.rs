//! `kf tune`: searches for the best parameters of a training job.
//!
//! [`space`] is the search space of a parameter and [`search`] generates the trials; [`plan`] combines both
//! with the [`objective`]. If the cluster has Katib, [`katib`] creates an Experiment. Otherwise [`trainer`]
//! runs the trials itself, as training jobs from a [`template`], and keeps its state in the cluster
//! ([`definition`], [`observation`]). Both print the same [`table`].

mod definition;
mod katib;
mod names;
mod objective;
mod observation;
mod plan;
mod plot;
mod screen;
mod search;
mod shell;
mod space;
mod table;
mod template;
mod trainer;
mod trial;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use kf_plugin_sdk::prelude::*;
use kf_training_job::{JobFlags, runtime, train_job};

use crate::objective::{Objective, Take};
use crate::screen::Screen;
use crate::search::Algorithm;
use crate::table::Table;
use crate::trial::Trial;

const SEARCH: &str = "Search";
const EXECUTION: &str = "Execution";
const OUTPUT: &str = "Output";

/// Search for the best parameters of a training job
///
/// Each trial is a training job with its own values in place of ${NAME}, in the command or in --env. The
/// objective is a metric that the training prints as NAME=VALUE. Katib runs the experiment if it is
/// installed. Otherwise kf runs it until the last trial has ended; if kf is stopped, running trials
/// continue, and the same command resumes the experiment. Without parameters, the experiment is shown.
#[derive(clap::Parser, Debug, Describe)]
#[kf(example(
    "tune lr --param lr=0.001:0.1:log --objective loss --minimize --runtime torch-distributed -- python train.py --lr '${lr}'",
    "12 trials, 3 at a time, to minimize the loss"
))]
#[kf(example("tune lr", "show the trials and the best one"))]
#[kf(example("tune lr --compare 1,4", "compare two trials"))]
pub struct Tune {
    /// The experiment's name
    #[kf(complete = dynamic)]
    name: String,
    /// An Experiment, or a TrainJob as the template of the trials; - for stdin
    file: Option<FileArg>,
    /// A parameter as MIN:MAX, MIN:MAX:STEP, MIN:MAX:log or A,B,C; may be repeated
    #[arg(long, value_name = "NAME=VALUES", help_heading = SEARCH)]
    param: Vec<String>,
    /// The metric to optimize
    #[arg(long, value_name = "METRIC", help_heading = SEARCH)]
    objective: Option<String>,
    /// Minimize the objective
    #[arg(long, help_heading = SEARCH)]
    minimize: bool,
    /// Maximize the objective
    #[arg(long, conflicts_with = "minimize", help_heading = SEARCH)]
    maximize: bool,
    /// Which value of the objective counts for a trial [default: the best]
    #[arg(long, value_enum, help_heading = SEARCH)]
    take: Option<Take>,
    /// Stop once a trial reaches this value
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, help_heading = SEARCH)]
    goal: Option<f64>,
    /// How to choose values
    #[arg(long, value_enum, default_value_t, help_heading = SEARCH)]
    algorithm: Algorithm,
    /// Seed of the random search; the same seed gives the same trials
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = SEARCH)]
    seed: u64,
    #[command(flatten)]
    job: JobFlags,
    /// How many trials to run [default: 12, or the whole grid]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = EXECUTION)]
    max_trials: Option<u32>,
    /// How many trials to run at once [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100), help_heading = EXECUTION)]
    parallel: Option<u32>,
    /// How many trials may fail [default: 3]
    #[arg(long, value_name = "N", help_heading = EXECUTION)]
    max_failed: Option<u32>,
    /// What runs the trials [default: katib, if it is installed]
    #[arg(long, value_enum, help_heading = EXECUTION)]
    engine: Option<Engine>,
    /// Watch the trials and chart the objective
    #[arg(long, short, help_heading = OUTPUT)]
    watch: bool,
    /// Compare these trials side by side
    #[arg(long, value_name = "N,N", help_heading = OUTPUT)]
    compare: Option<Numbers>,
}

/// Numbers of trials, such as `1,4`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Numbers(Vec<usize>);

impl FromStr for Numbers {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let numbers = text.split(',').map(str::parse).collect::<std::result::Result<_, _>>();
        numbers.map(Self).map_err(|_| format!("invalid trial numbers `{text}`: expected a list such as 1,4"))
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<_> = self.0.iter().map(usize::to_string).collect();
        formatter.write_str(&numbers.join(","))
    }
}

/// What runs the trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Engine {
    /// Katib's controller
    Katib,
    /// kf, with training jobs
    Trainer,
}

#[kf_plugin_sdk::main(complete = complete)]
pub fn main(tune: Tune, kf: &Kf) -> Result<Exit> {
    kf_training_job::check_name(&tune.name)?;
    if !tune.defines() {
        tune.check_unused_flags()?;
        return show(kf, &tune);
    }
    if let Some(compare) = &tune.compare {
        return Err(Error::invalid("--compare shows an existing experiment, and these flags define one")
            .hint(format!("kf tune {} --compare {compare}", tune.name)));
    }
    let file = tune.file.as_ref().map(|file| trainer::read_template(kf, file, &tune.name)).transpose()?;
    match tune.engine_for(kf, file.as_ref())? {
        Engine::Katib => katib::run(kf, &tune, file),
        Engine::Trainer => trainer::run(kf, &tune, file),
    }
}

impl Tune {
    /// Whether the flags define an experiment rather than show one.
    fn defines(&self) -> bool {
        self.file.is_some()
            || !self.param.is_empty()
            || self.objective.is_some()
            || !self.job.command.is_empty()
    }

    /// Refuses flags that have no effect when an experiment is only shown.
    fn check_unused_flags(&self) -> Result<()> {
        let job = &self.job;
        let given = [
            ("--minimize", self.minimize),
            ("--maximize", self.maximize),
            ("--take", self.take.is_some()),
            ("--goal", self.goal.is_some()),
            ("--algorithm", self.algorithm != Algorithm::default()),
            ("--seed", self.seed != 0),
            ("--max-trials", self.max_trials.is_some()),
            ("--parallel", self.parallel.is_some()),
            ("--max-failed", self.max_failed.is_some()),
            ("--runtime", job.runtime.is_some()),
            ("--image", job.image.is_some()),
            ("--from-dir", job.from_dir.is_some()),
            ("--env", !job.env.is_empty()),
            ("--set", !job.set.is_empty()),
            ("--nodes", job.nodes.is_some()),
            ("--cpu", job.cpu.is_some()),
            ("--memory", job.memory.is_some()),
            ("--gpu", job.gpu.is_some()),
            ("--queue", job.queue.is_some()),
        ];
        let Some((flag, _)) = given.into_iter().find(|(_, given)| *given) else { return Ok(()) };
        Err(Error::invalid(format!("{flag} has no effect without --param"))
            .hint(format!("add {flag} to the command that started {}, which resumes it", self.name)))
    }

    fn engine_for(&self, kf: &Kf, file: Option<&Object>) -> Result<Engine> {
        let is_served = katib::is_served(kf)?;
        let is_experiment = file.is_some_and(|file| file.kind() == "Experiment");
        match self.engine {
            Some(Engine::Katib) | None if is_experiment && !is_served => {
                Err(Error::not_found("Katib is not installed on this cluster, and an Experiment needs it")
                    .hint("use --param and --objective instead: kf then runs the trials as training jobs"))
            }
            Some(Engine::Trainer) if is_experiment => {
                Err(Error::invalid("--engine trainer cannot run an Experiment")
                    .hint("remove --engine, or pass a TrainJob as the template of the trials"))
            }
            Some(Engine::Katib) if !is_served => {
                Err(Error::not_found("Katib is not installed on this cluster")
                    .hint(kf.command_line().without("--engine")))
            }
            Some(engine) => Ok(engine),
            None if is_experiment => Ok(Engine::Katib),
            // An experiment that was started without Katib is resumed without it.
            None if is_served && trainer::find(kf, &self.name)?.is_none() => Ok(Engine::Katib),
            None => Ok(Engine::Trainer),
        }
    }
}

/// Shows the experiment of this name.
fn show(kf: &Kf, tune: &Tune) -> Result<Exit> {
    let experiment = match tune.engine {
        Some(Engine::Trainer) => None,
        _ if katib::is_served(kf)? => katib::find(kf, &tune.name)?,
        _ => None,
    };
    if let Some(experiment) = experiment {
        if tune.watch {
            return katib::follow(kf, experiment, true);
        }
        let trials = katib::trials(kf, &experiment)?;
        let names = katib::parameter_names(&experiment);
        return present(kf, tune, &katib::objective(&experiment), "trial", &trials, names);
    }
    let Some((definition, trials)) = trainer::find(kf, &tune.name)? else {
        let define = kf
            .command_line()
            .without("--compare")
            .set("--param", "lr=0.001:0.1:log")
            .set("--objective", "loss")
            .with("--minimize")
            .with_last(&["COMMAND"]);
        return Err(
            Error::not_found(format!("no experiment `{}` in {}", tune.name, kf.namespace())).hint(define)
        );
    };
    if tune.watch {
        return trainer::watch(kf, &tune.name, &definition);
    }
    let ended = trials.iter().filter(|trial| trial.state.has_ended()).count();
    let exit = present(kf, tune, &definition.objective(), "trainjob", &trials, Vec::new())?;
    if ended < definition.trials && kf.context().interactive {
        let total = definition.trials;
        kf.note(format!("{ended} of {total} trials done; rerun the command that started it to resume"));
    }
    Ok(exit)
}

fn present(
    kf: &Kf,
    tune: &Tune,
    objective: &Objective,
    kind: &'static str,
    trials: &[Trial],
    names: Vec<String>,
) -> Result<Exit> {
    if let Some(Numbers(numbers)) = &tune.compare {
        Table { objective, kind, chart: false }.compare(kf, trials, numbers)?;
        return Ok(Exit::OK);
    }
    let screen = Screen::new(kf, objective.clone(), kind, None, false, trials, names);
    screen.print(trials)?;
    screen.report_best(trials);
    Ok(Exit::OK)
}

/// Completes the names of experiments and of runtimes.
fn complete(request: &CompletionRequest, kf: &Kf) -> Result<Vec<Candidate>> {
    if request.argument == "runtime" {
        return runtime::complete(request, kf);
    }
    let mut names = BTreeSet::new();
    let of_katib = kf.api(katib::experiment_kind()).list().unwrap_or_default();
    names.extend(of_katib.iter().map(|experiment| experiment.name().to_owned()));
    let of_trainer = kf.api(train_job()).list().unwrap_or_default();
    names.extend(of_trainer.iter().filter_map(|job| job.label(trainer::EXPERIMENT)).map(str::to_owned));
    let matching = names.into_iter().filter(|name| name.starts_with(request.word()));
    Ok(matching.map(|value| Candidate { value, help: None }).collect())
}
