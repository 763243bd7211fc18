//! What a command is allowed to do in a cluster, and which layer refuses the rest.

pub mod danger;
pub mod decide;
mod granter;
mod known;
#[cfg(test)]
pub(crate) mod oracle;
pub mod rule;
#[cfg(test)]
mod sentence_table;
pub mod set;
pub mod strength;
pub mod words;

pub use danger::{Danger, danger};
pub use decide::{Access, Allowed, Ceiling, Consent, Grants, RunFlags, Want, decide};
pub use granter::Granter;
pub use known::{Containers, containers};
pub use rule::{Rule, RuleError, Scope, Verb};
pub use set::{Permission, RuleSet};
pub use strength::{Strength, consequences};
pub use words::{Reach, Sentence, joined, sentences, sentences_of_all, sentences_within, shortened};

use std::fmt;

use serde::Serialize;

/// What has to allow a call of a command, from the author to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// The command's manifest does not ask for it.
    Manifest,
    /// It is above the ceiling the registry sets for the command.
    Registry,
    /// The user has not accepted it.
    Consent,
    /// A flag of this run forbids it.
    Run,
    /// The environment does not allow it.
    Environment,
    /// The user's own RBAC does not allow it.
    Rbac,
}

impl Layer {
    /// As it is written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Registry => "registry",
            Self::Consent => "consent",
            Self::Run => "run",
            Self::Environment => "environment",
            Self::Rbac => "rbac",
        }
    }
}

impl Serialize for Layer {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The missing permission, in the terms of RBAC.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct MissingRule {
    pub verb: String,
    pub group: String,
    /// The plural, with the subresource after a slash.
    pub resource: String,
    pub name: Option<String>,
    /// Absent for cluster scope.
    pub namespace: Option<String>,
}

impl MissingRule {
    /// `trainjobs.trainer.kubeflow.org`, `pods/log`.
    pub fn full_resource(&self) -> String {
        match self.resource.split_once('/') {
            _ if self.group.is_empty() => self.resource.clone(),
            None => format!("{}.{}", self.resource, self.group),
            Some((plural, sub)) => format!("{plural}.{}/{sub}", self.group),
        }
    }

    /// `in team-a`, or `in the whole cluster`.
    pub fn place(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("in {namespace}"),
            None => "in the whole cluster".to_owned(),
        }
    }
}

/// `create trainjobs.trainer.kubeflow.org in team-a`
impl fmt::Display for MissingRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.full_resource())?;
        if let Some(name) = &self.name {
            write!(f, " named {name}")?;
        }
        write!(f, " {}", self.place())
    }
}

/// The layer that refused a call, and the rule that would have allowed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    pub layer: Layer,
    pub rule: MissingRule,
    /// The user as the API server names them, if RBAC refused.
    pub user: Option<String>,
}
