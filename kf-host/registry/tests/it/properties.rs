//! Property tests of parsers and of resolving versions.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use kf_core::format::FormatError;
use kf_core::manifest::{Manifest, ManifestError};
use kf_core::nearest::nearest;
use kf_core::{AuthorId, Digest, Permissions, PluginName, RegistryId};
use kf_registry::index::{Block, Entry, Listed, Release, View, Want};
use kf_registry::parts::{Part, PartKind, Parts, Program};
use kf_registry::transport::Url;
use kf_registry::yank::Yanked;
use proptest::prelude::*;
use semver::{Version, VersionReq};

use crate::fixture::start;

fn is_single_path_component(text: &str) -> bool {
    let mut parts = Path::new(text).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
}

/// Almost valid names, some with one invalid character.
fn almost_names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z][a-z0-9-]{0,42}",
        "[a-z]{1,5}[-_./\\\\ A-Z\u{0}\u{430}\u{202e}%~]{0,2}[a-z0-9]{0,5}",
        any::<String>(),
    ]
}

proptest! {
    #[test]
    fn accepted_name_is_safe_as_path_and_json(text in almost_names()) {
        if let Ok(name) = PluginName::parse(&text) {
            prop_assert_eq!(name.as_str(), text.as_str());
            prop_assert!((2..=40).contains(&text.len()));
            prop_assert!(is_single_path_component(&text));
            prop_assert!(text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')));
            prop_assert!(!text.starts_with('-') && !text.ends_with('-') && !text.contains("--"));
            // It round-trips through JSON.
            let json = serde_json::to_string(&name).unwrap();
            prop_assert_eq!(serde_json::from_str::<PluginName>(&json).unwrap(), name);
        }
    }

    #[test]
    fn valid_name_is_accepted_unless_reserved(text in "[a-z][a-z0-9]{1,12}(-[a-z0-9]{1,8}){0,3}|(com|lpt|nul|con)[0-9a-z]?") {
        let reserved = kf_core::names::RESERVED.contains(&text.as_str());
        let port = text.len() == 4 && (text.starts_with("com") || text.starts_with("lpt"));
        let device = port && text.ends_with(|c: char| c.is_ascii_digit())
            || ["aux", "con", "nul", "prn"].contains(&text.as_str());
        prop_assert_eq!(PluginName::parse(&text).is_ok(), !reserved && !device && text.len() <= 40);
    }

    #[test]
    fn digest_has_one_spelling(bytes in any::<Vec<u8>>(), odd in "[0-9a-fA-Fg]{62,66}") {
        let digest = Digest::of(&bytes);
        prop_assert_eq!(Digest::parse(&digest.to_string()).unwrap(), digest);
        if let Ok(parsed) = Digest::parse(&odd) {
            prop_assert_eq!(parsed.to_string(), odd);
        }
    }

    #[test]
    fn parsed_url_round_trips(text in any::<String>()) {
        if let Ok(url) = Url::parse(&text) {
            prop_assert_eq!(Url::parse(&url.to_string()).unwrap(), url);
        }
    }

    #[test]
    fn manifest_parser_never_panics(text in any::<String>()) {
        let _ = Manifest::parse(&text);
    }

    #[test]
    fn manifest_round_trips(
        name in "[a-z]{3,9}x", major in 0u64..99, minor in 0u64..99, summary in "[a-zA-Z0-9][ -~]{0,80}",
        verbs in prop::collection::vec("[a-z]{3,8}", 0..4),
    ) {
        let text = manifest(&name, &format!("{major}.{minor}.0"), &summary, &verbs);
        let manifest = Manifest::parse(&text).unwrap();
        prop_assert_eq!(manifest.plugin.name.as_str(), name);
        prop_assert_eq!(&manifest.plugin.summary, &summary);
        prop_assert_eq!(manifest.permissions.kubernetes[0]["verbs"].as_array().unwrap().len(), verbs.len());
        let again = Manifest::parse(&toml::to_string(&manifest).unwrap()).unwrap();
        prop_assert_eq!(again, manifest);
    }

    #[test]
    fn unknown_field_is_refused_in_every_table(field in "[a-z]{4,8}z", table in 0usize..3) {
        let heads = ["format = 1\n", "[plugin]\n", "[permissions]\n"];
        let text = manifest("train", "1.0.0", "Train", &[]).replace("[[permissions", "[permissions]\n[[permissions");
        let head = heads[table];
        let with = text.replacen(head, &format!("{head}{field} = 1\n"), 1);
        prop_assert!(Manifest::parse(&text).is_ok());
        prop_assert!(Manifest::parse(&with).is_err(), "{}", with);
    }

    #[test]
    fn control_and_invisible_characters_are_refused(
        at in 0usize..5, c in prop::sample::select(vec!['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}', '\u{ad}', '\u{2029}', '\u{3164}', '\u{fe0f}']),
    ) {
        let mut summary = String::from("Train");
        summary.insert(at, c);
        let escaped = format!("\\u{:04x}", u32::from(c));
        let text = manifest("train", "1.0.0", "SUMMARY", &[]).replace("SUMMARY", &summary.replace(c, &escaped));
        let refused = matches!(Manifest::parse(&text), Err(ManifestError::Format(FormatError::Invalid { .. })));
        prop_assert!(refused, "{:?}", text);
    }

    #[test]
    fn resolve_agrees_with_linear_search(
        facts in prop::collection::vec((0u64..3, 0u64..4, 0u64..3, any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()), 0..12),
        req in prop::sample::select(vec!["*", "^0", "^1.1", "<1", ">=1, <2", "=2.0.0", "^9"]),
    ) {
        let mut releases = BTreeMap::new();
        for (major, minor, patch, pre, yanked, blocked, old_abi) in facts {
            let mut version = Version::new(major, minor, patch);
            if pre {
                version.pre = semver::Prerelease::new("rc.1").unwrap();
            }
            releases.insert(version.clone(), release(version, yanked, blocked, old_abi));
        }
        let supported = |abi: &Version| *abi == Version::new(0, 1, 0);
        let req = VersionReq::parse(req).unwrap();
        // The oracle: a linear search for the highest usable version.
        let mut best: Option<&Release> = None;
        for r in releases.values() {
            let is_usable = req.matches(&r.version) && r.yanked.is_none() && r.blocked.is_none() && supported(&r.abi);
            if is_usable && best.is_none_or(|b| r.version > b.version) {
                best = Some(r);
            }
        }
        let best = best.map(|r| r.version.clone());
        let view = view(releases.clone());
        let name = PluginName::parse("train").unwrap();
        let found = view.resolve(&name, &Want::Newest(req), &supported).ok().map(|r| r.version);
        prop_assert_eq!(found, best);
        for r in releases.values() {
            let found = view.resolve(&name, &Want::Exact(r.version.clone()), &supported);
            prop_assert_eq!(found.is_ok(), r.blocked.is_none() && supported(&r.abi));
            // An upgrade is always to a higher version.
            if let Ok(Some(newer)) = view.newer(&name, &r.version, &supported) {
                prop_assert!(newer.version > r.version && newer.yanked.is_none());
            }
        }
    }

    #[test]
    fn nearest_finds_name_with_one_extra_letter(name in "[a-z]{4,10}", at in 0usize..3, c in "[a-z]") {
        let mut typo = name.clone();
        typo.insert_str(at, &c);
        prop_assert_eq!(nearest(&typo, [name.as_str()]), [name.as_str()]);
    }
}

fn manifest(name: &str, version: &str, summary: &str, verbs: &[String]) -> String {
    let summary = summary.replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        "format = 1\n[plugin]\nname = \"{name}\"\nversion = \"{version}\"\nabi = \"0.1.0\"\nsummary = \"{summary}\"\n\
         license = \"Apache-2.0\"\n[[permissions.kubernetes]]\napiGroups = [\"\"]\nresources = [\"pods\"]\nverbs = {verbs:?}\n"
    )
}

fn release(version: Version, yanked: bool, blocked: bool, old_abi: bool) -> Release {
    let parts = [PartKind::Component, PartKind::Manifest, PartKind::Commands];
    let parts = parts.map(|kind| Part::of(kind, kind.file_name().as_bytes()));
    Release {
        program: Program::Component,
        parts: Parts::try_from(parts.to_vec()).unwrap(),
        signed: None,
        abi: Version::new(0, if old_abi { 0 } else { 1 }, 0),
        yanked: yanked.then(Yanked::default),
        blocked: blocked.then(|| "bad".to_owned()),
        version,
    }
}

fn view(releases: BTreeMap<Version, Release>) -> View {
    let entry = Entry {
        owner: AuthorId::parse("alice").unwrap(),
        summary: "Train".into(),
        homepage: None,
        ceiling: Permissions::default(),
        yanked: Vec::new(),
    };
    let listed = Listed { entry, keyids: Vec::new(), releases, problem: None };
    View {
        registry: RegistryId::parse("team").unwrap(),
        published_as: RegistryId::parse("team").unwrap(),
        plugins: BTreeMap::from([(PluginName::parse("train").unwrap(), listed)]),
        collections: BTreeMap::new(),
        blocked: Vec::<Block>::new(),
        snapshot: 1,
        expires: start(),
        signed: None,
    }
}

#[test]
fn reserved_device_and_lookalike_names_are_refused() {
    let long = "a".repeat(41);
    for bad in [
        "command",
        "registry",
        "plugin",
        "login",
        "logout",
        "auth",
        "completion",
        "doctor",
        "controller",
        "help",
        "kf",
        "nul",
        "con",
        "com1",
        "lpt9",
        "",
        "a",
        "-a",
        "a-",
        "a--b",
        "1a",
        "Train",
        "tr_ain",
        "tr.ain",
        "трейн",
        "trаin",
        "../x",
        "a/b",
        long.as_str(),
    ] {
        assert!(PluginName::parse(bad).is_err(), "{bad:?}");
    }
    for good in ["ab", "train", "pods-top", "a1-b2", "console", "common", "comet1"] {
        assert!(PluginName::parse(good).is_ok(), "{good:?}");
    }
}

#[test]
fn incomplete_or_malformed_manifest_is_refused() {
    let good = manifest("train", "1.0.0", "Train", &[]);
    assert!(Manifest::parse(&good).is_ok());
    for field in ["format", "name", "version", "abi", "summary", "license"] {
        let without: String =
            good.lines().filter(|l| !l.starts_with(field)).map(|l| format!("{l}\n")).collect();
        assert!(Manifest::parse(&without).is_err(), "{field}");
    }
    for (from, to) in [
        ("1.0.0", "1.0"),
        ("1.0.0", "1.0.0+build"),
        ("\"Train\"", "\"\""),
        ("format = 1", "format = 0"),
        ("format = 1", "format = \"1\""),
        ("[plugin]", "[plugin]\nhomepage = \"javascript:alert(1)\""),
    ] {
        assert!(Manifest::parse(&good.replacen(from, to, 1)).is_err(), "{to}");
    }
    let newer = good.replace("format = 1", "format = 2\nsurprise = true");
    let newer = Manifest::parse(&newer);
    assert!(matches!(newer, Err(ManifestError::Format(FormatError::Newer { found: 2, supported: 1, .. }))));
}
