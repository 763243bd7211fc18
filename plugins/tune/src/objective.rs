//! The objective of an experiment.

use kf_plugin_sdk::clap;
use kf_training_job::metrics::Observed;

/// The metric and its direction.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Objective {
    pub(crate) metric: String,
    pub(crate) direction: Direction,
    pub(crate) take: Take,
    /// The value at which to stop.
    pub(crate) goal: Option<f64>,
}

/// Whether smaller or larger values are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Minimize,
    Maximize,
}

/// Which of a trial's values counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Take {
    /// The last one
    Latest,
    /// The smallest
    Min,
    /// The largest
    Max,
}

impl Direction {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Minimize => "minimize",
            Self::Maximize => "maximize",
        }
    }

    /// Katib's default: the best value of the trial.
    pub(crate) fn default_take(self) -> Take {
        match self {
            Self::Minimize => Take::Min,
            Self::Maximize => Take::Max,
        }
    }

    pub(crate) fn is_better(self, one: f64, other: f64) -> bool {
        match self {
            Self::Minimize => one < other,
            Self::Maximize => one > other,
        }
    }
}

impl Take {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Latest => "latest",
            Self::Min => "min",
            Self::Max => "max",
        }
    }

    pub(crate) fn of(self, observed: &Observed) -> f64 {
        match self {
            Self::Latest => observed.latest,
            Self::Min => observed.min,
            Self::Max => observed.max,
        }
    }
}

impl Objective {
    /// Whether a value is good enough to stop.
    pub(crate) fn is_reached(&self, value: f64) -> bool {
        self.goal.is_some_and(|goal| value == goal || self.direction.is_better(value, goal))
    }
}
