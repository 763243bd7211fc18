//! What a command may do to a cluster, and which layer says no.

use serde::Serialize;

/// Who stands between a command and a call, from the author inwards to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// The command's manifest does not ask for it.
    Manifest,
    /// It is above the ceiling the registry sets for the command.
    Registry,
    /// The user has not accepted it.
    Consent,
    /// A flag of this run takes it away.
    Run,
    /// The environment does not allow it.
    Environment,
    /// The user's own RBAC lacks it.
    Rbac,
}

/// The missing permission, in RBAC's words.
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

/// One layer's no, with the rule that would have allowed the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    pub layer: Layer,
    pub rule: MissingRule,
    /// The user as the API server names them, where RBAC said no.
    pub user: Option<String>,
}
