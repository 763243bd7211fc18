//! What a command asks for, what its user accepted, and the most its registry allows: one shape for all three.

use serde::{Deserialize, Serialize};
use sigstore_tuf::canonical_json::to_canonical_bytes;

use crate::Rule;

/// Nothing, unless it says so. Unknown fields are refused: a grant that is not understood must not be ignored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permissions {
    /// Rules on the cluster's objects.
    #[serde(default)]
    pub kubernetes: Vec<Rule>,
    /// To change which namespace later commands use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub selection: bool,
}

impl Permissions {
    /// One line for each permission, the same whoever wrote it down. No two sets have the same lines.
    pub(crate) fn canonical(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for rule in &self.kubernetes {
            // Canonical JSON sorts keys, so the digest does not depend on who wrote the rule down. It knows no
            // fractions, which no rule has either; one that did would still be bound, in its own spelling.
            let line = to_canonical_bytes(rule).unwrap_or_else(|_| rule.to_string().into_bytes());
            text.extend_from_slice(&line);
            text.push(b'\n');
        }
        // No JSON document reads so.
        if self.selection {
            text.extend_from_slice(b"selection\n");
        }
        text
    }
}
