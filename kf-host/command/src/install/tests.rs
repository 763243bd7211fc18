//! Applying a plan leaves the old state or the new one, even if a write fails.

use std::collections::BTreeMap;

use kf_core::tree::{Command, CommandTree};
use kf_home::Home;
use kf_registry::built_in::BuiltIns;
use kf_registry::parts::{Part, PartKind, Parts};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use semver::Version;

use super::*;
use crate::reporter::NullReporter;

const RESERVED: Reserved = Reserved { long: &[], short: &[], variables: &[] };

/// A component that compiles and does nothing; each version has its own digest.
fn wasm(version: &Version) -> Vec<u8> {
    let text = format!(
        r#"(component
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (export "describe" (func $f)) (export "run" (func $f)) (export "complete" (func $f))
            (@custom "kf:abi" "0.1.0")
            (@custom "version" "{version}"))"#
    );
    wat::parse_str(text).unwrap()
}

fn fetched(version: &Version) -> Fetched {
    let manifest = format!(
        "format = 1\n[plugin]\nname = \"hello\"\nversion = \"{version}\"\nabi = \"0.1.0\"\nsummary = \"Say hello\"\n\
         license = \"Apache-2.0\"\n"
    );
    let root = Command {
        path: Vec::new(),
        about: "Say hello".into(),
        long_about: None,
        examples: Vec::new(),
        arguments: Vec::new(),
        subcommand_required: false,
        hidden: false,
    };
    let files = BTreeMap::from([
        (PartKind::Component, wasm(version)),
        (PartKind::Manifest, manifest.into_bytes()),
        (PartKind::Commands, CommandTree::new(vec![root]).unwrap().to_json()),
    ]);
    let parts: Vec<Part> = files.iter().map(|(kind, bytes)| Part::of(*kind, bytes)).collect();
    let resolved = Resolved {
        name: PluginName::parse("hello").unwrap(),
        version: version.clone(),
        abi: Version::new(0, 1, 0),
        summary: "Say hello".into(),
        origin: Origin::Registry {
            registry: RegistryId::parse("team").unwrap(),
            owner: kf_core::AuthorId::parse("alice").unwrap(),
            keyids: vec!["key".to_owned()],
            snapshot: 1,
        },
        ceiling: Permissions::default(),
        program: Program::Component,
        parts: Parts::try_from(parts).unwrap(),
        yanked: None,
    };
    Fetched::new(resolved, files).unwrap()
}

fn install(home: &Home, version: &Version) -> Result<Receipt, Failure> {
    let installer = Installer::new(
        Commands { home, built_in: BuiltIns::default() },
        &RESERVED,
        Arc::new(NullReporter),
        Timestamp::UNIX_EPOCH,
    );
    let fetched = fetched(version);
    let (lock, _, old) = installer.lock(&fetched.resolved.name)?;
    let prepared = installer.examined(lock, old.as_ref(), fetched)?;
    installer.apply(&prepared)
}

/// What makes a write fail: a file in place of a folder, or a folder in place of a file.
#[derive(Clone, Copy, Debug)]
enum Obstacle {
    Store,
    Blob(PartKind),
    Compiled,
    Receipts,
    Receipt,
}

const OBSTACLES: [Obstacle; 7] = [
    Obstacle::Store,
    Obstacle::Blob(PartKind::Component),
    Obstacle::Blob(PartKind::Manifest),
    Obstacle::Blob(PartKind::Commands),
    Obstacle::Compiled,
    Obstacle::Receipts,
    Obstacle::Receipt,
];

impl Obstacle {
    /// The path, and whether a folder is put there.
    fn location(self, home: &Home, version: &Version) -> (std::path::PathBuf, bool) {
        let name = PluginName::parse("hello").unwrap();
        match self {
            Self::Store => (home.store().into(), false),
            Self::Blob(kind) => {
                let parts = fetched(version).resolved.parts;
                let part = parts.iter().find(|part| part.kind == kind).unwrap();
                let extension = kind.file_name().rsplit_once('.').unwrap().1;
                (home.store().join("v1").join(format!("{}.{extension}", part.sha256)), true)
            }
            Self::Compiled => (home.compiled().into(), false),
            Self::Receipts => (home.receipts().into(), false),
            Self::Receipt => (home.receipt(&name).into(), true),
        }
    }

    /// Puts it there and moves the original aside until the returned function is called.
    fn put(self, home: &Home, version: &Version) -> impl FnOnce() + use<> {
        let (path, folder) = self.location(home, version);
        let aside = path.with_extension("aside");
        let moved = fs_err::rename(&path, &aside).is_ok();
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        if folder {
            fs_err::create_dir(&path).unwrap();
            fs_err::write(path.join("full"), "").unwrap();
        } else {
            fs_err::write(&path, "").unwrap();
        }
        move || {
            let removed = if folder { fs_err::remove_dir_all(&path) } else { fs_err::remove_file(&path) };
            removed.unwrap();
            if moved {
                fs_err::rename(&aside, &path).unwrap();
            }
        }
    }
}

/// Checks that the store has every part of the receipt.
fn check_whole(home: &Home, receipt: &Receipt) {
    let store = Store::open(home).unwrap();
    for part in receipt.parts.iter() {
        assert_eq!(store.read(part.kind, part.sha256).unwrap().len() as u64, part.length);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn apply_leaves_old_or_new_state(
        installed in prop::option::of(Just(Version::new(1, 0, 0))),
        obstacles in subsequence(OBSTACLES.to_vec(), 0..=2),
        to in select(vec![Version::new(1, 0, 0), Version::new(1, 1, 0)]),
    ) {
        // One obstacle cannot be below another.
        let nested = obstacles.iter().any(|one| matches!(one, Obstacle::Store))
            && obstacles.iter().any(|one| matches!(one, Obstacle::Blob(_)));
        let receipts = obstacles.iter().any(|one| matches!(one, Obstacle::Receipts))
            && obstacles.iter().any(|one| matches!(one, Obstacle::Receipt));
        prop_assume!(!nested && !receipts);
        let folder = tempfile::tempdir().unwrap();
        let home = Home::under(folder.path());
        if let Some(version) = &installed {
            install(&home, version).unwrap();
        }
        let name = PluginName::parse("hello").unwrap();
        let old = receipt::read(&home, &name).unwrap();
        let undo: Vec<_> = obstacles.iter().map(|obstacle| obstacle.put(&home, &to)).collect();
        let result = install(&home, &to);
        undo.into_iter().rev().for_each(|undo| undo());
        let now = receipt::read(&home, &name).unwrap();
        match result {
            Ok(new) => prop_assert_eq!(now.as_ref(), Some(&new)),
            Err(_) => {
                prop_assert!(!obstacles.is_empty());
                prop_assert_eq!(&now, &old);
            }
        }
        if let Some(receipt) = &now {
            check_whole(&home, receipt);
        }
        // Without obstacles it can be installed.
        let new = install(&home, &to).unwrap();
        check_whole(&home, &new);
    }
}
