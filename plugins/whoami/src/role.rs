//! The user's role in the namespace, derived from access reviews.
//!
//! The user may not be able to read role bindings, and a role may come from a group or a cluster role. So the
//! authorizer is asked about one permission that only each role and the ones above it have.

use kf_plugin_sdk::Access;
use kf_plugin_sdk::prelude::*;
use serde::Serialize;

/// Kubeflow's roles, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Admin,
    Edit,
    View,
    None,
}

impl Role {
    pub(crate) fn cell(self) -> Cell {
        let (text, tone) = match self {
            Self::Admin => ("admin: can also grant access to other users", Tone::Good),
            Self::Edit => ("edit: can run and change workloads", Tone::Good),
            Self::View => ("view: read-only", Tone::Plain),
            Self::None => ("none: cannot list pods", Tone::Warning),
        };
        Cell::toned(text, tone)
    }
}

/// Checks all roles in one call.
pub(crate) fn probe(kf: &Kf) -> Result<Role> {
    let verdicts = kf.can_i(&[
        Access::new("create", "rbac.authorization.k8s.io", "rolebindings"),
        Access::new("create", "", "pods"),
        Access::new("list", "", "pods"),
    ])?;
    let allowed = |index: usize| verdicts.get(index).is_some_and(|verdict| verdict.allowed);
    Ok(match (allowed(0), allowed(1), allowed(2)) {
        (true, _, true) => Role::Admin,
        (_, true, true) => Role::Edit,
        (_, _, true) => Role::View,
        (_, _, false) => Role::None,
    })
}

#[cfg(test)]
mod tests {
    use kf_plugin_sdk::testing::FakeHost;

    use super::*;

    #[test]
    fn each_role_is_detected() {
        let denied = [
            ("create", "rbac.authorization.k8s.io", "rolebindings"),
            ("create", "", "pods"),
            ("list", "", "pods"),
        ];
        for (denials, role) in [(0, Role::Admin), (1, Role::Edit), (2, Role::View), (3, Role::None)] {
            let host = FakeHost::new("team-a");
            for (verb, group, resource) in denied.iter().take(denials) {
                host.cluster(|cluster| cluster.deny(verb, group, resource));
            }
            assert_eq!(probe(&host.kf()), Ok(role));
        }
    }
}
