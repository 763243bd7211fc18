//! Adding, reading back, replacing and removing commands.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::SignedDuration;
use kf_core::format::FormatError;
use kf_core::pod_http::PodHeader;
use kf_core::{AuthorId, Kind, Permissions};
use kf_home::Home;
use kf_home::lock::NameLock;
use kf_registry::index::{Origin, Request, Want};
use kf_registry::parts::{Part, PartKind, Parts};
use kf_registry::receipt::{self, Receipt};
use kf_registry::store::{Store, open_compiled};
use kf_registry::yank::Yanked;
use kf_registry::{Error, replacement};
use serde_json::Value;

use crate::fixture::*;
use crate::programs::await_line;

/// hello by alice and audit by bob, both published.
fn two_commands() -> Fixture {
    let fixture = Fixture::new();
    fixture.artifact("audit", "1.0.0", b"\0asm audit");
    fixture.build(start()).unwrap();
    fixture
}

#[test]
fn command_is_resolved_fetched_stored_and_removed() {
    let fixture = Fixture::published();
    let session = fixture.refresh(start()).unwrap();
    let resolved = resolve(&session, "hello").unwrap();
    assert_eq!(resolved.version, semver::Version::new(0, 1, 0));
    let Origin::Registry { owner, keyids, .. } = &resolved.origin else { panic!("{:?}", resolved.origin) };
    assert_eq!(owner.as_str(), "alice");
    assert_eq!(*keyids, [fixture.alice().id()]);
    assert_eq!(session.view().signed, Some(start()));
    assert_eq!(session.view().expires, start() + days(1));
    let roles: Vec<_> = session.roles().into_iter().map(|role| (role.name, role.expires)).collect();
    assert_eq!(roles[1], ("timestamp".to_owned(), start() + days(1)));
    assert_eq!(roles.last().unwrap(), &("author-bob".to_owned(), start() + days(180)));
    let fetched = session.fetch(&resolved).unwrap();
    assert_eq!(fetched.program(), b"\0asm hello");

    let home = fixture.home();
    let written = install(&home, &fetched, start()).unwrap();
    let read = receipt::require(&home, &name("hello")).unwrap();
    assert_eq!(read, written);
    let store = Store::open(&home).unwrap();
    assert_eq!(store.read(PartKind::Component, read.program_digest()).unwrap(), b"\0asm hello");
    assert_eq!(
        store.read(PartKind::Manifest, read.parts.manifest().sha256).unwrap(),
        fetched.file(PartKind::Manifest)
    );
    assert_eq!(store.read(PartKind::Commands, read.parts.commands().sha256).unwrap(), fetched.commands());

    let lock = NameLock::acquire(&home, &name("hello"), |_| {}).unwrap();
    receipt::remove(&home, &lock).unwrap();
    assert!(matches!(receipt::require(&home, &name("hello")), Err(Error::NotInstalled { .. })));
    assert!(matches!(receipt::remove(&home, &lock), Err(Error::NotInstalled { .. })));
}

#[test]
fn reason_of_yank_is_recorded_at_refresh_and_removed_again() {
    let fixture = two_commands();
    add(&fixture, "hello", start()).unwrap();
    let path = fixture.home().receipt(&name("hello"));
    let recorded = || {
        let receipt = receipt::require(&fixture.home(), &name("hello")).unwrap();
        let text = fs_err::read_to_string(path.display().to_string()).unwrap();
        (receipt.yank(), text.contains("yank"))
    };
    let because = Yanked { reason: Some("it loses data".into()) };
    for (hours, yanked, expected) in [
        (1, "yanked = [\"0.1.0\"]\n", Some(Yanked::default())),
        (2, "yanked = [{ version = \"0.1.0\", reason = \"it loses data\" }]\n", Some(because.clone())),
        (3, "yanked = [\"0.2.0\"]\n", None),
        (4, "yanked = [{ version = \"0.1.0\", reason = \"it loses data\" }]\n", Some(because)),
        (5, "yanked = [\"0.1.0\"]\n", Some(Yanked::default())),
        (6, "", None),
    ] {
        fixture.plugin_toml("hello", "alice", yanked);
        let now = start() + SignedDuration::from_hours(hours);
        fixture.build(now).unwrap();
        let session = fixture.refresh(now).unwrap();
        assert_eq!(recorded(), (expected.clone(), expected.is_some()), "{yanked}");
        let request = Request::parse("hello@0.1.0").unwrap();
        let resolved = session.view().resolve(&request.name, &request.want, &any_abi).unwrap();
        assert_eq!(resolved.yanked, expected, "{yanked}");
        // A receipt written now records the same.
        let fetched = session.fetch(&resolved).unwrap();
        assert_eq!(Receipt::new(&fetched, None, now).unwrap().yank(), expected, "{yanked}");
    }
}

#[test]
fn receipt_without_reason_of_yank_is_read() {
    let fixture = two_commands();
    add(&fixture, "hello", start()).unwrap();
    let path = fixture.home().receipt(&name("hello"));
    let text = fs_err::read_to_string(path.display().to_string()).unwrap();
    for (field, expected) in [
        ("\"yanked\": true,", Some(Yanked::default())),
        ("\"yanked\": false,", None),
        ("\"yanked\": true, \"yank_reason\": null,", Some(Yanked::default())),
    ] {
        let edited = text.replacen('{', &format!("{{ {field}"), 1);
        let receipt: Receipt = serde_json::from_str(&edited).unwrap();
        assert_eq!(receipt.yank(), expected, "{field}");
    }
}

#[test]
fn newest_match_is_resolved_and_yanked_only_by_version() {
    let fixture = Fixture::published();
    for (hours, version) in [(1, "0.2.0"), (2, "0.3.0"), (3, "1.0.0-rc.1")] {
        fixture.artifact("hello", version, version.as_bytes());
        fixture.build(start() + SignedDuration::from_hours(hours)).unwrap();
    }
    fixture.plugin_toml("hello", "alice", "yanked = [\"0.3.0\"]\n");
    let now = start() + SignedDuration::from_hours(4);
    fixture.build(now).unwrap();
    let session = fixture.refresh(now).unwrap();
    let want = |text: &str| {
        let request = Request::parse(text).unwrap();
        session.view().resolve(&request.name, &request.want, &any_abi)
    };
    assert_eq!(want("hello").unwrap().version.to_string(), "0.2.0");
    assert_eq!(want("hello@0.1").unwrap().version.to_string(), "0.1.0");
    let yanked = want("hello@0.3.0").unwrap();
    assert_eq!(yanked.yanked, Some(Yanked::default()));
    assert_eq!(want("hello@1.0.0-rc.1").unwrap().version.to_string(), "1.0.0-rc.1");
    let error = want("hello@^2").unwrap_err();
    let newest_available = match &error {
        Error::NoVersion { available, .. } => available.iter().max().map(ToString::to_string),
        _ => None,
    };
    assert_eq!(newest_available.as_deref(), Some("1.0.0-rc.1"), "{error}");
    assert_eq!(session.view().plugins[&name("hello")].newest().unwrap().version.to_string(), "0.2.0");

    let error = want("helo").unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(matches!(&error, Error::UnknownPlugin { nearest, .. } if nearest[..] == ["hello"]), "{error:?}");
    let error = session.view().resolve(&name("hello"), &newest(), &|_| false).unwrap_err();
    assert!(matches!(error, Error::UnsupportedAbi { .. }), "{error}");
}

#[test]
fn request_parses_registry_name_and_version() {
    let request = Request::parse("team/train@^1.2").unwrap();
    assert_eq!(request.registry.unwrap().as_str(), "team");
    assert_eq!(request.want.to_string(), "^1.2");
    assert_eq!(Request::parse("train@1.2.3").unwrap().want, Want::Exact(semver::Version::new(1, 2, 3)));
    for bad in ["", "train@", "train@latest", "a/b/c", "../x", "Train", "registry", "train@1.2.3.4"] {
        assert!(Request::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn replacement_runs_until_command_is_restored() {
    let fixture = two_commands();
    let home = fixture.home();
    add(&fixture, "hello", start()).unwrap();
    let (hello, audit) = (name("hello"), name("audit"));
    let lock = NameLock::acquire(&home, &hello, |_| {}).unwrap();
    add(&fixture, "audit", start()).unwrap();

    replacement::replace(&home, &lock, &audit).unwrap();
    assert_eq!(replacement::resolve(&home, &hello).unwrap(), audit);
    assert_eq!(replacement::resolve(&home, &audit).unwrap(), audit);
    assert_eq!(replacement::replaced_by(&home, &audit).unwrap(), std::slice::from_ref(&hello));
    assert!(receipt::read(&home, &hello).unwrap().is_some(), "the replaced command stays installed");

    replacement::restore(&home, &lock).unwrap();
    assert_eq!(replacement::resolve(&home, &hello).unwrap(), hello);
    replacement::restore(&home, &lock).unwrap();
}

#[test]
fn second_lock_of_name_reports_its_holder() {
    let home = Home::under(tempfile::tempdir().unwrap().path().join("home"));
    let held = NameLock::try_acquire(&home, &name("hello")).unwrap();
    let error = NameLock::try_acquire(&home, &name("hello")).unwrap_err();
    let kf_home::Error::Busy { pid, .. } = &error else { panic!("{error}") };
    assert_eq!(*pid, Some(std::process::id()));
    NameLock::try_acquire(&home, &name("audit")).unwrap();

    let waiting = std::thread::spawn({
        let home = home.clone();
        move || {
            let (sender, receiver) = std::sync::mpsc::channel();
            NameLock::acquire(&home, &name("hello"), |pid| sender.send(pid).unwrap()).unwrap();
            receiver.try_recv()
        }
    });
    // Released before or while the other waits: either way the other acquires it.
    drop(held);
    waiting.join().unwrap().ok();
    NameLock::try_acquire(&home, &name("hello")).unwrap();
}

#[test]
fn lock_covers_only_its_name() {
    let fixture = two_commands();
    let home = fixture.home();
    let receipt = add(&fixture, "hello", start()).unwrap();
    let lock = NameLock::acquire(&home, &name("audit"), |_| {}).unwrap();
    assert!(receipt::write(&home, &lock, &receipt).is_err());
}

#[test]
fn concurrent_adds_all_succeed() {
    let fixture = two_commands();
    std::thread::scope(|scope| {
        for n in 0..16 {
            let fixture = &fixture;
            scope.spawn(move || add(fixture, ["hello", "audit"][n % 2], start()).unwrap());
        }
    });
    let home = fixture.home();
    let store = Store::open(&home).unwrap();
    let installed = receipt::list(&home).unwrap();
    assert_eq!(installed.len(), 2);
    for (_, receipt) in installed {
        store.read(PartKind::Component, receipt.unwrap().program_digest()).unwrap();
    }
    let leftovers = tree(&home.data).into_keys().filter(|p| p.to_string_lossy().contains(".tmp-"));
    assert_eq!(leftovers.count(), 0);
}

/// Not a test: the process that the next test kills.
#[test]
#[ignore = "run by kill_at_any_moment_leaves_old_or_new_state"]
fn child_that_adds_until_killed() {
    let Some(dir) = std::env::var_os("KF_TEST_DIR") else { return };
    let home = Home::under(std::path::Path::new(&dir).join("home"));
    let root = fs_err::read(std::path::Path::new(&dir).join("published/metadata/1.root.json")).unwrap();
    let url = format!("file://{}/published", std::path::Path::new(&dir).display());
    let url = kf_registry::transport::Url::parse(&url).unwrap();
    let id = kf_core::RegistryId::parse("team").unwrap();
    let registry = kf_registry::registries::Registry::new(id, vec![url], root).unwrap();
    println!("ready");
    loop {
        let options = kf_registry::trust::Options::at(start());
        let session = kf_registry::trust::refresh(&home, &registry, &options).unwrap();
        install(&home, &fetch(&session, "hello").unwrap(), start()).unwrap();
        let lock = NameLock::acquire(&home, &name("hello"), |_| {}).unwrap();
        receipt::remove(&home, &lock).unwrap();
        Store::open(&home).unwrap().sweep(&|_| false, Duration::ZERO).unwrap();
    }
}

#[test]
fn kill_at_any_moment_leaves_old_or_new_state() {
    let fixture = Fixture::published();
    let home = fixture.home();
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "install::child_that_adds_until_killed", "--nocapture"])
            .env("KF_TEST_DIR", fixture.dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        await_line(&mut child, "ready");
        std::thread::sleep(Duration::from_millis(7 * round));
        child.kill().unwrap();
        child.wait().unwrap();

        // If it is installed it is complete, and otherwise adding it works.
        if home.store().exists() {
            let store = Store::open(&home).unwrap();
            if let Some(receipt) = receipt::read(&home, &name("hello")).unwrap() {
                assert_eq!(
                    store.read(PartKind::Component, receipt.program_digest()).unwrap(),
                    b"\0asm hello"
                );
                store.read(PartKind::Manifest, receipt.parts.manifest().sha256).unwrap();
                store.read(PartKind::Commands, receipt.parts.commands().sha256).unwrap();
            }
        }
        add(&fixture, "hello", start()).unwrap();
    }
}

#[test]
fn broken_receipt_disables_only_its_command() {
    let fixture = two_commands();
    let home = fixture.home();
    add(&fixture, "hello", start()).unwrap();
    add(&fixture, "audit", start()).unwrap();
    fs_err::write(home.receipt(&name("hello")), "{ \"format\": 1, ").unwrap();
    let all = receipt::list(&home).unwrap();
    assert!(all.iter().any(|(n, r)| n.as_str() == "hello" && r.is_err()));
    assert!(all.iter().any(|(n, r)| n.as_str() == "audit" && r.is_ok()));
    // Adding it again repairs it.
    add(&fixture, "hello", start()).unwrap();
    assert!(receipt::list(&home).unwrap().iter().all(|(_, r)| r.is_ok()));
    // A receipt under another name is refused.
    fs_err::copy(home.receipt(&name("hello")), home.receipt(&name("audit"))).unwrap();
    assert!(receipt::read(&home, &name("audit")).is_err());
}

#[test]
fn newer_format_is_reported_and_not_changed() {
    let fixture = Fixture::published();
    let home = fixture.home();
    let receipt = add(&fixture, "hello", start()).unwrap();
    let newer = |path: std::path::PathBuf, supported: u64, act: &dyn Fn() -> kf_registry::Result<()>| {
        let old = fs_err::read(&path).unwrap();
        let found = supported + 1;
        let document = format!("{{ \"format\": {found}, \"something\": \"else\" }}");
        let text = if path.extension().is_some() { document } else { format!("{found}\n") };
        fs_err::write(&path, text).unwrap();
        let before = tree(&home.data);
        let error = act().unwrap_err();
        let newer = FormatError::Newer { what: path.display().to_string(), found, supported };
        assert_eq!(error.to_string(), newer.to_string());
        assert_eq!(tree(&home.data), before);
        fs_err::write(&path, old).unwrap();
    };
    newer(home.store().join("format"), 1, &|| add(&fixture, "hello", start()).map(drop));
    let format = receipt::FORMAT;
    newer(home.receipt(&name("hello")).into(), format, &|| receipt::read(&home, &name("hello")).map(drop));
    newer(home.receipt(&name("hello")).into(), format, &|| {
        let lock = NameLock::acquire(&home, &name("hello"), |_| {}).unwrap();
        receipt::write(&home, &lock, &receipt)
    });
    newer(home.receipt(&name("hello")).into(), format, &|| {
        let lock = NameLock::acquire(&home, &name("hello"), |_| {}).unwrap();
        receipt::remove(&home, &lock)
    });
    let state = fixture.path("home/data/registries/team/state.json");
    newer(state, 1, &|| fixture.refresh(start()).map(drop));
}

/// A receipt of an older format is not migrated.
#[test]
fn receipt_of_older_format_can_be_removed() {
    let fixture = Fixture::published();
    let home = fixture.home();
    add(&fixture, "hello", start()).unwrap();
    fs_err::write(home.receipt(&name("hello")), "{ \"format\": 1, \"name\": \"hello\" }").unwrap();
    let error = receipt::read(&home, &name("hello")).unwrap_err();
    assert_eq!(error.kind(), Kind::Untrusted, "{error}");
    assert!(matches!(error, Error::BadReceipt { .. }), "{error:?}");
    let lock = NameLock::acquire(&home, &name("hello"), |_| {}).unwrap();
    receipt::remove(&home, &lock).unwrap();
}

#[test]
fn unwritable_home_is_reported() {
    let fixture = Fixture::published();
    let session = fixture.refresh(start()).unwrap();
    let fetched = fetch(&session, "hello").unwrap();
    // Tests may run as root, who can write anywhere; a file in place of a folder stops root as well.
    fixture.write("file", "");
    let home = Home::under(fixture.path("file/home"));
    let error = install(&home, &fetched, start()).unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
    assert!(matches!(error, Error::Home(kf_home::Error::Unwritable { .. })), "{error}");
    assert!(error.to_string().starts_with("cannot write to "), "{error}");
    let error =
        kf_registry::trust::refresh(&home, &fixture.registry(), &kf_registry::trust::Options::at(start()))
            .unwrap_err();
    assert_eq!(error.kind(), Kind::Failed, "{error}");
}

#[test]
fn native_code_is_opened_for_its_engine_and_in_own_folder_only() {
    let fixture = Fixture::published();
    let home = fixture.home();
    let receipt = add(&fixture, "hello", start()).unwrap();
    let store = Store::open(&home).unwrap();
    let sha256 = receipt.program_digest();
    let relative = store.put_compiled("48-x86_64-1a2b", sha256, b"native").unwrap();
    assert_eq!(relative, format!("48-x86_64-1a2b/{sha256}.cwasm"));
    let found = |engine: &str| open_compiled(&home, engine, sha256);
    let code = std::io::read_to_string(found("48-x86_64-1a2b").unwrap().unwrap()).unwrap();
    assert_eq!(code, "native");
    assert!(found("49-x86_64-1a2b").unwrap().is_none());
    assert!(store.put_compiled("../x", sha256, b"native").is_err());
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs_err::set_permissions(home.compiled().join("48-x86_64-1a2b"), open).unwrap();
    assert!(matches!(found("48-x86_64-1a2b"), Err(Error::Home(kf_home::Error::UnsafePath { .. }))));
}

#[test]
fn sweep_keeps_files_in_use() {
    let fixture = two_commands();
    let home = fixture.home();
    let keep = add(&fixture, "hello", start()).unwrap();
    let drop = add(&fixture, "audit", start()).unwrap();
    let store = Store::open(&home).unwrap();
    let wanted = |r: &Receipt| [r.program_digest(), r.parts.manifest().sha256, r.parts.commands().sha256];
    let keep_wanted = |digest| wanted(&keep).contains(&digest);
    assert_eq!(store.sweep(&keep_wanted, Duration::from_secs(3600)).unwrap(), 0, "too young");
    assert!(store.sweep(&keep_wanted, Duration::ZERO).unwrap() > 0);
    store.read(PartKind::Component, keep.program_digest()).unwrap();
    store.read(PartKind::Manifest, keep.parts.manifest().sha256).unwrap();
    assert!(store.read(PartKind::Component, drop.program_digest()).is_err());
    assert!(home.store().join("format").exists());
}

#[test]
fn consent_digest_binds_release_signer_and_rights() {
    let rule = |verb: &str| -> Value {
        serde_json::json!({ "apiGroups": [""], "resources": ["pods"], "verbs": [verb] })
    };
    let parts = |program: &[u8], commands: &[u8]| {
        let parts =
            [(PartKind::Component, program), (PartKind::Manifest, b""), (PartKind::Commands, commands)];
        Parts::try_from(parts.map(|(kind, bytes)| Part::of(kind, bytes)).to_vec()).unwrap()
    };
    let by = |owner: &str| Origin::Registry {
        registry: kf_core::RegistryId::parse("team").unwrap(),
        owner: AuthorId::parse(owner).unwrap(),
        keyids: Vec::new(),
        snapshot: 1,
    };
    let (a, b, alice) = (parts(b"a", b"tree"), parts(b"b", b"tree"), by("alice"));
    let digest = |parts: &Parts, rules: &[Value]| {
        let permissions = Permissions { kubernetes: rules.to_vec(), ..Permissions::default() };
        receipt::consent_digest(parts, &alice, &permissions)
    };
    let list = digest(&a, &[rule("list")]);
    assert_eq!(list, digest(&a, &[rule("list")]));
    assert_ne!(list, digest(&b, &[rule("list")]));
    assert_ne!(list, digest(&parts(b"a", b"another tree"), &[rule("list")]));
    assert_ne!(list, digest(&a, &[rule("delete")]));
    assert_ne!(list, digest(&a, &[rule("list"), rule("delete")]));
    assert_ne!(list, digest(&a, &[rule("list"), Value::from("selection")]));
    assert_ne!(list, digest(&a, &[]));
    assert_ne!(list, digest(&a, &[rule("list"), Value::from("terminal")]));
    let listing = Permissions { kubernetes: vec![rule("list")], ..Permissions::default() };
    let of = |permissions: &Permissions| receipt::consent_digest(&a, &alice, permissions);
    let selecting = of(&Permissions { selection: true, ..listing.clone() });
    let joining = of(&Permissions { terminal: true, ..listing.clone() });
    assert!(list != selecting && list != joining && selecting != joining);
    let headers = ["x-a", "x-b"].map(|name| {
        let headers = BTreeSet::from([PodHeader::parse(name).unwrap()]);
        of(&Permissions { headers, ..listing.clone() })
    });
    assert!(headers[0] != headers[1] && !headers.contains(&list));
    let turned: Value =
        serde_json::from_str(r#"{"verbs":["list"],"resources":["pods"],"apiGroups":[""]}"#).unwrap();
    assert_eq!(list, digest(&a, &[turned]), "the order of keys does not matter");

    let built_in = Origin::BuiltIn { owner: AuthorId::parse("alice").unwrap(), keyids: Vec::new() };
    for origin in [by("bob"), built_in, Origin::Local { path: "x.wasm".into() }] {
        assert_ne!(list, receipt::consent_digest(&a, &origin, &listing), "{origin}");
    }
}
