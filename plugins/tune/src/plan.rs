//! The plan of an experiment: the validated flags.

use std::collections::BTreeSet;

use kf_plugin_sdk::{Error, Result};

use crate::Tune;
use crate::objective::{Direction, Objective};
use crate::search::{self, Algorithm, Assignment};
use crate::space::Parameter;

/// The limit of trials in an experiment.
const MAX_TRIALS: usize = 1_000;
/// The default number of trials of a random search.
const DEFAULT_TRIALS: usize = 12;
/// Katib's defaults.
const DEFAULT_PARALLEL: usize = 3;
const DEFAULT_MAX_FAILED: usize = 3;

/// A validated experiment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) objective: Objective,
    pub(crate) algorithm: Algorithm,
    pub(crate) seed: u64,
    pub(crate) parameters: Vec<Parameter>,
    /// The values of each trial, the first trial first.
    pub(crate) assignments: Vec<Assignment>,
    pub(crate) parallel: usize,
    /// How many trials may fail.
    pub(crate) max_failed: usize,
}

impl Plan {
    pub(crate) fn of(tune: &Tune) -> Result<Self> {
        let parameters = parameters(&tune.param)?;
        let assignments = assignments(tune, &parameters)?;
        // Katib refuses counts above the number of trials.
        let capped = |count: usize| count.min(assignments.len());
        let parallel = capped(tune.parallel.map_or(DEFAULT_PARALLEL, |count| count as usize));
        let max_failed = capped(tune.max_failed.map_or(DEFAULT_MAX_FAILED, |count| count as usize));
        Ok(Self {
            objective: objective(tune)?,
            algorithm: tune.algorithm,
            seed: tune.seed,
            parameters,
            assignments,
            parallel,
            max_failed,
        })
    }
}

fn parameters(pairs: &[String]) -> Result<Vec<Parameter>> {
    let parameters = pairs.iter().map(|pair| Parameter::parse(pair)).collect::<Result<Vec<_>>>()?;
    if parameters.is_empty() {
        return Err(Error::invalid("no parameters given")
            .hint("add a parameter and its values, such as --param lr=0.001:0.1:log"));
    }
    let mut names = BTreeSet::new();
    match parameters.iter().find(|parameter| !names.insert(parameter.name.as_str())) {
        Some(duplicate) => Err(Error::invalid(format!("--param {} is given twice", duplicate.name))),
        None => Ok(parameters),
    }
}

fn objective(tune: &Tune) -> Result<Objective> {
    let Some(metric) = &tune.objective else {
        return Err(Error::invalid("no objective given").hint(
            "add a metric that the training prints as NAME=VALUE, such as --objective loss --minimize",
        ));
    };
    let direction = match (tune.minimize, tune.maximize) {
        (true, _) => Direction::Minimize,
        (false, true) => Direction::Maximize,
        (false, false) => {
            return Err(Error::invalid(format!("no direction given for {metric}"))
                .hint("add --minimize or --maximize"));
        }
    };
    let take = tune.take.unwrap_or(direction.default_take());
    Ok(Objective { metric: metric.clone(), direction, take, goal: tune.goal })
}

fn assignments(tune: &Tune, parameters: &[Parameter]) -> Result<Vec<Assignment>> {
    let max = match (tune.max_trials, tune.algorithm) {
        (Some(count), _) => count as usize,
        (None, Algorithm::Random) => DEFAULT_TRIALS,
        // One above the limit shows that there are too many.
        (None, Algorithm::Grid) => MAX_TRIALS + 1,
    };
    let trials = search::trials(tune.algorithm, parameters, tune.seed, max.min(MAX_TRIALS + 1))?;
    if trials.len() > MAX_TRIALS {
        return Err(Error::invalid(format!("more than {MAX_TRIALS} trials"))
            .hint(format!("add --max-trials {MAX_TRIALS}, or use fewer values")));
    }
    Ok(trials)
}
