//! Generates the trials of an experiment.
//!
//! They depend only on the parameters, the algorithm and the seed: the same command gives the same trials, and
//! a larger number of trials begins with the same ones.

use std::collections::BTreeSet;

use kf_plugin_sdk::{Error, Result, clap};

use crate::space::Parameter;

/// How to choose values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Algorithm {
    /// Independent values, no combination twice
    #[default]
    Random,
    /// Every combination, the last parameter changing first
    Grid,
}

impl Algorithm {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Grid => "grid",
        }
    }
}

/// The values of one trial, in the order of the parameters.
pub(crate) type Assignment = Vec<(String, String)>;

/// The search ends after this many known combinations in a row: there are no others.
const MAX_REPEATS: u32 = 1_000;

/// Up to `max` trials; fewer if there are fewer combinations.
pub(crate) fn trials(
    algorithm: Algorithm,
    parameters: &[Parameter],
    seed: u64,
    max: usize,
) -> Result<Vec<Assignment>> {
    match algorithm {
        Algorithm::Random => Ok(random(parameters, seed, max)),
        Algorithm::Grid => grid(parameters, max),
    }
}

fn grid(parameters: &[Parameter], max: usize) -> Result<Vec<Assignment>> {
    let mut values = Vec::new();
    for parameter in parameters {
        let all = parameter.space.values().map_err(|why| {
            let (name, space) = (&parameter.name, &parameter.space);
            Error::invalid(format!("--param {name}={space}: {why}"))
                .hint(format!("use --param {name}=0.1:0.5:0.1, --param {name}=0.1,0.2 or --algorithm random"))
        })?;
        values.push(all);
    }
    let combinations = values.iter().fold(1_usize, |count, all| count.saturating_mul(all.len()));
    let assignment = |mut number: usize| -> Assignment {
        let mut assignment: Assignment = parameters
            .iter()
            .zip(&values)
            .rev()
            .map(|(parameter, all)| {
                let value = all.get(number % all.len().max(1)).cloned().unwrap_or_default();
                number /= all.len().max(1);
                (parameter.name.clone(), value)
            })
            .collect();
        assignment.reverse();
        assignment
    };
    Ok((0..combinations.min(max)).map(assignment).collect())
}

fn random(parameters: &[Parameter], seed: u64, max: usize) -> Vec<Assignment> {
    let mut numbers = SplitMix(seed);
    let mut seen = BTreeSet::new();
    let mut trials = Vec::new();
    let mut repeats = 0;
    while trials.len() < max && repeats < MAX_REPEATS {
        let assignment: Assignment = parameters
            .iter()
            .map(|parameter| (parameter.name.clone(), parameter.space.at(numbers.next_point())))
            .collect();
        if seen.insert(assignment.clone()) {
            trials.push(assignment);
            repeats = 0;
        } else {
            repeats += 1;
        }
    }
    trials
}

/// [SplitMix64](https://prng.di.unimi.it/splitmix64.c), implemented here because a seed must give the same
/// trials in every version of kf.
struct SplitMix(u64);

impl SplitMix {
    /// At least 0 and less than 1.
    fn next_point(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[&str]) -> Vec<Parameter> {
        pairs.iter().map(|pair| Parameter::parse(pair).unwrap()).collect()
    }

    fn values(trials: &[Assignment]) -> Vec<String> {
        let text =
            |trial: &Assignment| trial.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(" ");
        trials.iter().map(text).collect()
    }

    #[test]
    fn grid_has_every_combination_in_order() {
        let parameters = parameters(&["opt=adam,sgd", "layers=1:3"]);
        let all = trials(Algorithm::Grid, &parameters, 0, 100).unwrap();
        assert_eq!(values(&all), ["adam 1", "adam 2", "adam 3", "sgd 1", "sgd 2", "sgd 3"]);
        let first = trials(Algorithm::Grid, &parameters, 7, 2).unwrap();
        assert_eq!(values(&first), ["adam 1", "adam 2"]);
    }

    #[test]
    fn grid_of_continuous_range_is_refused() {
        let error = trials(Algorithm::Grid, &parameters(&["lr=0.1:0.5"]), 0, 9).unwrap_err();
        assert!(
            error.message.starts_with("--param lr=0.1:0.5: a grid needs discrete values"),
            "{}",
            error.message
        );
    }

    #[test]
    fn trials_of_a_seed_never_change() {
        let parameters = parameters(&["lr=0.001:0.1:log", "layers=1:8", "opt=adam,sgd"]);
        let six = trials(Algorithm::Random, &parameters, 1, 6).unwrap();
        assert_eq!(values(&six)[..2], ["0.013587 6 sgd", "0.0077396 4 sgd"]);
        assert_eq!(
            trials(Algorithm::Random, &parameters, 1, 3).unwrap(),
            six[..3],
            "more trials begin with the same ones"
        );
        assert_ne!(trials(Algorithm::Random, &parameters, 2, 6).unwrap(), six);
    }

    #[test]
    fn random_search_repeats_no_combination() {
        let few = parameters(&["a=1:2", "b=x,y"]);
        let all = trials(Algorithm::Random, &few, 5, 50).unwrap();
        assert_eq!(all.len(), 4);
        assert_eq!(values(&all).into_iter().collect::<BTreeSet<_>>().len(), 4);
    }
}
