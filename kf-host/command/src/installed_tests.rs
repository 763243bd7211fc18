//! Which of two commands with the same name runs.

use jiff::Timestamp;
use kf_core::permissions::Permissions;
use kf_core::{AuthorId, Digest, RegistryId};
use kf_registry::built_in::Blocked;
use kf_registry::index::Origin;
use kf_registry::parts::{Part, PartKind, Parts, Program};
use kf_registry::receipt::Consent;
use proptest::prelude::*;
use proptest::sample::select;
use semver::Version;

use super::*;

fn receipt(version: u64, origin: Origin) -> Receipt {
    let part = |kind: PartKind| Part::of(kind, format!("{version}{origin:?}").as_bytes());
    let parts = [PartKind::Component, PartKind::Manifest, PartKind::Commands].map(part).to_vec();
    Receipt {
        format: kf_core::format::Format,
        name: PluginName::parse("train").unwrap(),
        version: Version::new(0, version, 0),
        abi: Version::new(0, 1, 0),
        summary: "Train".to_owned(),
        license: "Apache-2.0".to_owned(),
        group: None,
        homepage: None,
        origin,
        at: Timestamp::UNIX_EPOCH,
        program: Program::Component,
        parts: Parts::try_from(parts).unwrap(),
        permissions: Permissions::default(),
        ceiling: Permissions::default(),
        consent: Consent {
            digest: Digest::of(b""),
            permissions: Permissions::default(),
            at: Timestamp::UNIX_EPOCH,
        },
        blocked: None,
        yanked: false,
        yank_reason: None,
        compiled: None,
        commands: String::new(),
    }
}

const OWNERS: [&str; 2] = ["alice", "bob"];
const KEYS: [&str; 2] = ["one", "two"];

fn owner(name: &str) -> AuthorId {
    AuthorId::parse(name).unwrap()
}

fn built_in() -> impl Strategy<Value = Receipt> {
    (0u64..3, select(&OWNERS), select(&KEYS)).prop_map(|(version, name, key)| {
        receipt(version, Origin::BuiltIn { owner: owner(name), keyids: vec![key.to_owned()] })
    })
}

fn added() -> impl Strategy<Value = Receipt> {
    let origin = (any::<bool>(), select(&OWNERS), select(&KEYS)).prop_map(|(local, name, key)| match local {
        true => Origin::Local { path: "train.wasm".into() },
        false => Origin::Registry {
            registry: RegistryId::parse("team").unwrap(),
            owner: owner(name),
            keyids: vec![key.to_owned()],
            snapshot: 1,
        },
    });
    (0u64..3, origin).prop_map(|(version, origin)| receipt(version, origin))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn added_command_runs_unless_newer_version_by_same_author_is_built_in(
        added in prop::option::of(added()),
        built_in in prop::option::of(built_in()),
        off: bool,
        block: bool,
    ) {
        let blocked = built_in.as_ref().filter(|_| block).map(|receipt| Blocked {
            sha256: receipt.program_digest(),
            registry: RegistryId::parse("team").unwrap(),
            reason: "it was stolen".to_owned(),
        });
        let decision = Decision { off, blocked };
        let Named { answers, other } = Named::choose(added.clone(), built_in.clone(), &decision);
        // Each receipt that went in comes out once.
        let count = usize::from(added.is_some()) + usize::from(built_in.is_some());
        prop_assert_eq!([&answers, &other].into_iter().flatten().count(), count);
        match (&answers, &added, &built_in) {
            (Some(runs), Some(added), Some(built_in)) if runs.origin.is_built_in() => {
                prop_assert!(built_in.version > added.version);
                prop_assert_eq!(built_in.origin.owner(), added.origin.owner());
                prop_assert_eq!(built_in.origin.keyids(), added.origin.keyids());
                prop_assert!(!off && !block);
            }
            (Some(runs), Some(added), _) => prop_assert_eq!(runs, added),
            (Some(runs), None, Some(_)) => {
                prop_assert!(!off);
                prop_assert_eq!(runs.blocked.is_some(), block);
            }
            (None, added, _) => prop_assert!(added.is_none() && (off || built_in.is_none())),
            (Some(_), None, None) => prop_assert!(false, "unexpected receipt"),
        }
    }
}

#[test]
fn block_of_another_component_has_no_effect() {
    let decision = Decision {
        off: false,
        blocked: Some(Blocked {
            sha256: Digest::of(b"an earlier kf's"),
            registry: RegistryId::parse("team").unwrap(),
            reason: "it was stolen".to_owned(),
        }),
    };
    let built_in = receipt(1, Origin::BuiltIn { owner: owner("alice"), keyids: vec!["one".to_owned()] });
    let named = Named::choose(None, Some(built_in.clone()), &decision);
    assert_eq!(named.answers, Some(built_in));
}
