//! What is to be tuned, and how far: the flags, checked.

use std::collections::BTreeSet;

use kf_plugin_sdk::{Error, Result};

use crate::Tune;
use crate::objective::{Direction, Objective};
use crate::search::{self, Algorithm, Assignment};
use crate::space::Parameter;

/// More trials than anybody reads a table of.
const MOST_TRIALS: usize = 1_000;
/// How many trials a random search has that does not say.
const USUAL_TRIALS: usize = 12;
/// As Katib has them.
const USUAL_PARALLEL: usize = 3;
const USUAL_FAILED: usize = 3;

/// A checked experiment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) objective: Objective,
    pub(crate) algorithm: Algorithm,
    pub(crate) seed: u64,
    pub(crate) parameters: Vec<Parameter>,
    /// The values of each trial, the first trial first.
    pub(crate) assignments: Vec<Assignment>,
    pub(crate) parallel: usize,
    /// It goes on with so many failed trials, and no more.
    pub(crate) max_failed: usize,
}

impl Plan {
    pub(crate) fn of(tune: &Tune) -> Result<Self> {
        let parameters = parameters(&tune.param)?;
        let assignments = assignments(tune, &parameters)?;
        // Katib refuses more than there are trials.
        let no_more = |count: usize| count.min(assignments.len());
        let parallel = no_more(tune.parallel.map_or(USUAL_PARALLEL, |count| count as usize));
        let max_failed = no_more(tune.max_failed.map_or(USUAL_FAILED, |count| count as usize));
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
        return Err(Error::invalid("nothing says what to try")
            .hint("name a parameter and its values, such as --param lr=0.001:0.1:log"));
    }
    let mut names = BTreeSet::new();
    match parameters.iter().find(|parameter| !names.insert(parameter.name.as_str())) {
        Some(twice) => Err(Error::invalid(format!("--param {} is given twice", twice.name))),
        None => Ok(parameters),
    }
}

fn objective(tune: &Tune) -> Result<Objective> {
    let Some(metric) = &tune.objective else {
        return Err(Error::invalid("nothing says which metric to tune for")
            .hint("name one that the training prints as NAME=VALUE: --objective loss --minimize"));
    };
    let direction = match (tune.minimize, tune.maximize) {
        (true, _) => Direction::Minimize,
        (false, true) => Direction::Maximize,
        (false, false) => {
            return Err(Error::invalid(format!("nothing says whether {metric} should be small or great"))
                .hint("add --minimize or --maximize"));
        }
    };
    let take = tune.take.unwrap_or(direction.usual_take());
    Ok(Objective { metric: metric.clone(), direction, take, goal: tune.goal })
}

fn assignments(tune: &Tune, parameters: &[Parameter]) -> Result<Vec<Assignment>> {
    let most = match (tune.max_trials, tune.algorithm) {
        (Some(count), _) => count as usize,
        (None, Algorithm::Random) => USUAL_TRIALS,
        // One more than there may be tells that there are too many.
        (None, Algorithm::Grid) => MOST_TRIALS + 1,
    };
    let trials = search::trials(tune.algorithm, parameters, tune.seed, most.min(MOST_TRIALS + 1))?;
    if trials.len() > MOST_TRIALS {
        return Err(Error::invalid(format!("that is more than {MOST_TRIALS} trials"))
            .hint(format!("--max-trials {MOST_TRIALS}, or fewer values")));
    }
    Ok(trials)
}
