//! What adding or upgrading to a release would change.
//!
//! A plan is pure: it compares the installed release with the offered one. Showing it, asking for consent and
//! [applying](crate::install::Installer::apply) it come after.

use kf_core::tree::PathArguments;
use kf_core::{AuthorId, Digest};
use kf_registry::index::Origin;
use kf_registry::parts::Parts;
use semver::Version;

use crate::rights::Rights;

/// The installed release of the name, and what its user accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Old {
    pub version: Version,
    /// The files of the installed release.
    pub parts: Parts,
    pub accepted: Rights,
    /// The arguments that were accepted as paths.
    pub paths: PathArguments,
    pub origin: Origin,
}

/// The offered release.
#[derive(Clone, Debug, PartialEq)]
pub struct New {
    pub version: Version,
    pub parts: Parts,
    /// The rights that its manifest requests.
    pub rights: Rights,
    /// Its arguments that are paths.
    pub paths: PathArguments,
    pub origin: Origin,
    /// The digest for `--accept`, see [`consent_digest`](kf_registry::receipt::consent_digest).
    pub consent: Digest,
}

/// The kind of change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Add,
    Replace {
        from: Version,
    },
    /// The same bytes are installed, with all the rights they request.
    Unchanged,
}

/// How the signers of a command changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignerChange {
    /// Another author: the registry gave the name to another owner or, for a built-in command, nothing proves that an
    /// author of the same name is the same. The user has to consent.
    Owner { from: AuthorId, to: AuthorId },
    /// The same author with entirely new keys. The registry vouches for them.
    Keys,
}

impl SignerChange {
    pub(crate) fn between(old: &Origin, new: &Origin) -> Option<Self> {
        let (Some(from), Some(to)) = (old.owner(), new.owner()) else { return None };
        let is_vouched_for = matches!(old, Origin::Registry { .. });
        if from != to || !(is_vouched_for || new.shares_signer(old)) {
            return Some(Self::Owner { from: from.clone(), to: to.clone() });
        }
        (!new.shares_signer(old)).then_some(Self::Keys)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub change: Change,
    pub to: Version,
    /// The rights of the command afterwards.
    pub rights: Rights,
    /// Those of its rights that the user has not accepted yet.
    pub growth: Rights,
    /// Its arguments that are paths afterwards.
    pub paths: PathArguments,
    /// Those of them that the user has not accepted as paths yet.
    pub new_paths: PathArguments,
    pub signer: Option<SignerChange>,
    pub consent: Digest,
}

impl Plan {
    pub fn new(old: Option<&Old>, new: New) -> Self {
        let growth = match old {
            None => new.rights.clone(),
            Some(old) => old.accepted.growth(&new.rights),
        };
        let new_paths = match old {
            None => new.paths.clone(),
            Some(old) => old.paths.growth(&new.paths),
        };
        let signer = old.and_then(|old| SignerChange::between(&old.origin, &new.origin));
        let mut plan = Self {
            change: Change::Add,
            to: new.version,
            rights: new.rights,
            growth,
            paths: new.paths,
            new_paths,
            signer,
            consent: new.consent,
        };
        if let Some(old) = old {
            let same = old.parts == new.parts && old.version == plan.to;
            plan.change = match same && !plan.needs_consent() {
                true => Change::Unchanged,
                false => Change::Replace { from: old.version.clone() },
            };
        }
        plan
    }

    /// Whether the user has to consent before it is applied.
    pub fn needs_consent(&self) -> bool {
        !self.growth.is_empty()
            || !self.new_paths.is_empty()
            || matches!(self.signer, Some(SignerChange::Owner { .. }))
    }

    /// Whether it replaces a newer version.
    pub fn is_downgrade(&self) -> bool {
        matches!(&self.change, Change::Replace { from } if *from > self.to)
    }

    /// The number of permissions that were accepted before.
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

    fn paths() -> impl Strategy<Value = PathArguments> {
        let words = || subsequence(vec!["word 1", "--file", "-f"], 0..=2);
        (words(), words()).prop_map(|(files, directories)| {
            let set = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect();
            PathArguments { files: set(files), directories: set(directories) }
        })
    }

    fn origin() -> impl Strategy<Value = Origin> {
        (0usize..2, 0..2).prop_map(|(owner, key)| Origin::Registry {
            registry: kf_core::RegistryId::parse("team").unwrap(),
            owner: AuthorId::parse(["alice", "bob"][owner]).unwrap(),
            keyids: vec![format!("key-{key}")],
            snapshot: 1,
        })
    }

    fn old() -> impl Strategy<Value = Old> {
        (version(), parts(), rights(), paths(), origin()).prop_map(
            |(version, parts, accepted, paths, origin)| Old { version, parts, accepted, paths, origin },
        )
    }

    fn new() -> impl Strategy<Value = New> {
        let consent = Digest::of(b"consent");
        (version(), parts(), rights(), paths(), origin()).prop_map(
            move |(version, parts, rights, paths, origin)| New {
                version,
                parts,
                rights,
                paths,
                origin,
                consent,
            },
        )
    }

    fn owner(origin: &Origin) -> &AuthorId {
        let Origin::Registry { owner, .. } = origin else { panic!("{origin}") };
        owner
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn growth_needs_consent_and_is_not_unchanged(old in prop::option::of(old()), new in new()) {
            let plan = Plan::new(old.as_ref(), new.clone());
            let (accepted, paths) =
                old.as_ref().map(|old| (old.accepted.clone(), old.paths.clone())).unwrap_or_default();
            let other_owner = old.as_ref().is_some_and(|old| owner(&old.origin) != owner(&new.origin));
            let more = !accepted.cover(&new.rights) || !paths.cover(&new.paths) || other_owner;
            prop_assert_eq!(plan.needs_consent(), more);
            if plan.change == Change::Unchanged {
                prop_assert!(!plan.needs_consent());
                prop_assert_eq!(old.map(|old| old.parts), Some(new.parts));
            }
        }

        #[test]
        fn accepted_and_new_rights_cover_the_request(old in old(), new in new()) {
            let plan = Plan::new(Some(&old), new.clone());
            for permission in new.rights.rules.permissions() {
                let known = old.accepted.rules.covers_permission(permission);
                prop_assert!(known || plan.growth.rules.covers_permission(permission));
            }
            prop_assert!(plan.kept() + plan.growth.count() == new.rights.count());
            for word in &new.paths.files {
                prop_assert!(old.paths.files.contains(word) || plan.new_paths.files.contains(word));
            }
        }
    }

    #[test]
    fn new_path_and_new_owner_need_consent() {
        let part = |kind| Part::of(kind, b"");
        let parts = [PartKind::Component, PartKind::Manifest, PartKind::Commands].map(part).to_vec();
        let parts = Parts::try_from(parts).unwrap();
        let origin = |owner: &str, key: &str| Origin::Registry {
            registry: kf_core::RegistryId::parse("team").unwrap(),
            owner: AuthorId::parse(owner).unwrap(),
            keyids: vec![key.to_owned()],
            snapshot: 1,
        };
        let old = Old {
            version: Version::new(1, 0, 0),
            parts: parts.clone(),
            accepted: Rights::default(),
            paths: PathArguments::default(),
            origin: origin("alice", "a"),
        };
        let new = New {
            version: Version::new(1, 0, 0),
            parts,
            rights: Rights::default(),
            paths: PathArguments::default(),
            origin: origin("alice", "a"),
            consent: Digest::of(b""),
        };
        assert_eq!(Plan::new(Some(&old), new.clone()).change, Change::Unchanged);
        let file = PathArguments { files: ["word 1".to_owned()].into(), ..PathArguments::default() };
        let plan = Plan::new(Some(&old), New { paths: file.clone(), ..new.clone() });
        assert!(plan.needs_consent() && plan.new_paths == file && plan.change != Change::Unchanged);
        let plan = Plan::new(Some(&old), New { origin: origin("bob", "a"), ..new.clone() });
        assert!(plan.needs_consent() && plan.change != Change::Unchanged, "{plan:?}");
        let plan = Plan::new(Some(&old), New { origin: origin("alice", "b"), ..new.clone() });
        assert_eq!(plan.signer, Some(SignerChange::Keys));
        assert!(!plan.needs_consent());
        let lower = Plan::new(Some(&old), New { version: Version::new(0, 9, 0), ..new });
        assert!(lower.is_downgrade() && !plan.is_downgrade());
    }
}
