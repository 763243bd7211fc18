//! The user's role in the namespace, found by asking what the user may do.
//!
//! Role bindings may not be readable, and a role may come from a group or from the cluster. So the
//! authorizer is asked the one thing that tells each role from the next.

use kf_plugin_sdk::Access;
use kf_plugin_sdk::prelude::*;
use serde::Serialize;

/// Kubeflow's roles, by what they are worth.
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
            Self::Admin => ("admin: may also decide who else may", Tone::Good),
            Self::Edit => ("edit: may run and change workloads", Tone::Good),
            Self::View => ("view: may look", Tone::Plain),
            Self::None => ("none: may not even list pods here", Tone::Warning),
        };
        Cell::toned(text, tone)
    }
}

/// Asks for all roles in one call.
pub(crate) fn probe(kf: &Kf) -> Result<Role> {
    let verdicts = kf.can_i(&[
        Access::new("create", "rbac.authorization.k8s.io", "rolebindings"),
        Access::new("create", "", "pods"),
        Access::new("list", "", "pods"),
    ])?;
    let may = |index: usize| verdicts.get(index).is_some_and(|verdict| verdict.allowed);
    Ok(match (may(0), may(1), may(2)) {
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
    fn each_role_is_told_from_the_next() {
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
