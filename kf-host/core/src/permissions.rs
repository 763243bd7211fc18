//! What a command asks for, what its user accepted, and the most its registry allows: one shape for all three.

use serde::{Deserialize, Serialize};

/// Nothing, unless it says so. Unknown fields are refused: a grant that is not understood must not be ignored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permissions {
    /// Rules on the cluster's objects.
    #[serde(default)]
    pub kubernetes: Vec<serde_json::Value>,
    /// To change which namespace later commands use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub selection: bool,
    /// To hand the user's terminal and stdin to what runs in a pod.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub terminal: bool,
}
