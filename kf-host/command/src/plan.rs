//! What would change if a release was installed.
//!
//! A plan is pure: facts about what is installed and what is offered in, a verdict out. Showing it, asking
//! about it and [applying](crate::install::Installer::apply) it come after.

use kf_core::Digest;
use kf_registry::parts::Parts;
use semver::Version;

use crate::rights::Rights;

/// What is installed under the name, and what its user accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Old {
    pub version: Version,
    /// Everything the installed release consists of.
    pub parts: Parts,
    pub accepted: Rights,
}

/// What is offered.
#[derive(Clone, Debug, PartialEq)]
pub struct New {
    pub version: Version,
    pub parts: Parts,
    /// What its manifest asks for.
    pub rights: Rights,
    /// The digest by which a script consents, see [`consent_digest`](kf_registry::receipt::consent_digest).
    pub consent: Digest,
}

/// Which sort of change it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Add,
    Replace {
        from: Version,
    },
    /// The very bytes are installed, with all the rights they ask for.
    Unchanged,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub change: Change,
    pub to: Version,
    /// What the command may do afterwards.
    pub rights: Rights,
    /// What it may do afterwards that nobody has accepted yet.
    pub growth: Rights,
    pub consent: Digest,
}

impl Plan {
    pub fn new(old: Option<&Old>, new: New) -> Self {
        let growth = match old {
            None => new.rights.clone(),
            Some(old) => old.accepted.growth(&new.rights),
        };
        let change = match old {
            None => Change::Add,
            Some(old) if old.parts == new.parts && old.version == new.version && growth.is_empty() => {
                Change::Unchanged
            }
            Some(old) => Change::Replace { from: old.version.clone() },
        };
        Self { change, to: new.version, rights: new.rights, growth, consent: new.consent }
    }

    /// Whether somebody has to agree before it is applied.
    pub fn needs_consent(&self) -> bool {
        !self.growth.is_empty()
    }

    /// How many permissions were accepted before and stay.
    pub fn kept(&self) -> usize {
        self.rights.count().saturating_sub(self.growth.count())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kf_core::grants::RuleSet;
    use kf_core::pod_http::PodHeader;
    use kf_registry::parts::{Part, PartKind};
    use proptest::prelude::*;
    use proptest::sample::subsequence;
    use serde_json::json;

    use super::*;

    fn rights() -> impl Strategy<Value = Rights> {
        let verbs = subsequence(vec!["get", "list", "watch", "create", "patch"], 0..=5);
        let resources = subsequence(vec!["pods", "pods/log", "jobs", "secrets"], 1..=4);
        let flags = (any::<bool>(), any::<bool>(), any::<bool>());
        (verbs, resources, flags).prop_map(|(verbs, resources, (cluster, selection, terminal))| {
            let scope = if cluster { "cluster" } else { "environment" };
            let rule = json!({"apiGroups": [""], "resources": resources, "verbs": verbs, "scope": scope});
            let rules = if verbs.is_empty() { vec![] } else { vec![rule] };
            let headers =
                if cluster { BTreeSet::from([PodHeader::parse("x-a").unwrap()]) } else { BTreeSet::new() };
            Rights { rules: RuleSet::parse(&rules).unwrap(), selection, terminal, headers }
        })
    }

    fn parts() -> impl Strategy<Value = Parts> {
        (0u8..2, 0u8..2, 0u8..2).prop_map(|(program, manifest, commands)| {
            let parts = [
                Part::of(PartKind::Component, &[program]),
                Part::of(PartKind::Manifest, &[manifest]),
                Part::of(PartKind::Commands, &[commands]),
            ];
            Parts::try_from(parts.to_vec()).unwrap()
        })
    }

    fn version() -> impl Strategy<Value = Version> {
        (0u64..2).prop_map(|patch| Version::new(1, 0, patch))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn growth_is_never_called_unchanged(
            old in prop::option::of((version(), parts(), rights())),
            version in version(), parts in parts(), wanted in rights(),
        ) {
            let old = old.map(|(version, parts, accepted)| Old { version, parts, accepted });
            let consent = Digest::of(b"consent");
            let plan = Plan::new(old.as_ref(), New { version, parts: parts.clone(), rights: wanted.clone(), consent });
            let accepted = old.as_ref().map(|old| old.accepted.clone()).unwrap_or_default();
            prop_assert_eq!(plan.needs_consent(), !accepted.cover(&wanted));
            if plan.change == Change::Unchanged {
                prop_assert!(!plan.needs_consent());
                prop_assert_eq!(old.map(|old| old.parts), Some(parts));
            }
        }

        #[test]
        fn what_was_accepted_and_what_grows_make_up_what_is_wanted(accepted in rights(), wanted in rights(), parts in parts()) {
            let version = Version::new(1, 0, 0);
            let old = Old { version: version.clone(), parts: parts.clone(), accepted: accepted.clone() };
            let new = New { version, parts, rights: wanted.clone(), consent: Digest::of(b"") };
            let plan = Plan::new(Some(&old), new);
            for permission in wanted.rules.permissions() {
                let known = accepted.rules.covers_permission(permission);
                prop_assert!(known || plan.growth.rules.covers_permission(permission));
            }
            prop_assert!(plan.kept() + plan.growth.count() == wanted.count());
        }
    }
}
