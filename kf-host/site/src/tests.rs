//! Sites of views that no registry published.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kf_command::reserved::Reserved;
use kf_core::Kind;
use kf_core::failure::{Failure, Result};
use kf_core::manifest::Manifest;
use kf_core::tree::CommandTree;
use kf_core::{AuthorId, Digest, Permissions, PluginName, RegistryId};
use kf_registry::index::{Block, Entry, Listed, Release, Resolved, View};
use kf_registry::parts::{Part, PartKind, Parts, Program};
use kf_registry::trust::{Description, RoleStatus};
use kf_registry::yank::Yanked;
use semver::Version;
use serde_json::{Value, json};

use crate::help::{Argument, Example, Help, Section, Value as Allowed};
use crate::{Pin, Site, Text};

/// Markup, an escape sequence, a change of direction, and characters that are special in attributes and JavaScript.
const HOSTILE: &str =
    "\u{202e}</script><script>alert(1)</script>\u{1b}[2J\u{2028}'\"`${x}<img src=x onerror=y>&amp;";

fn name(text: &str) -> PluginName {
    PluginName::parse(text).unwrap()
}

fn release(version: &str) -> Release {
    let part = |kind: PartKind| Part::of(kind, kind.file_name().as_bytes());
    let parts = [PartKind::Component, PartKind::Manifest, PartKind::Commands].map(part);
    Release {
        version: Version::parse(version).unwrap(),
        abi: Version::new(0, 1, 0),
        signed: Some("2026-11-21T08:00:00Z".parse().unwrap()),
        program: Program::Component,
        parts: Parts::try_from(parts.to_vec()).unwrap(),
        yanked: None,
        blocked: None,
    }
}

fn listed(summary: &str, owner: &str, ceiling: &[Value], releases: Vec<Release>) -> Listed {
    let entry = Entry {
        owner: AuthorId::parse(owner).unwrap(),
        summary: summary.to_owned(),
        homepage: None,
        ceiling: Permissions { kubernetes: ceiling.to_vec(), ..Permissions::default() },
        yanked: Vec::new(),
    };
    let releases = releases.into_iter().map(|release| (release.version.clone(), release)).collect();
    Listed { entry, keyids: vec![Digest::of(owner.as_bytes()).to_string()], releases, problem: None }
}

fn view(plugins: BTreeMap<PluginName, Listed>) -> View {
    View {
        registry: RegistryId::parse("team").unwrap(),
        published_as: RegistryId::parse("team").unwrap(),
        plugins,
        blocked: Vec::new(),
        collections: BTreeMap::new(),
        snapshot: 7,
        expires: "2026-12-01T08:00:00Z".parse().unwrap(),
        signed: Some("2026-11-30T08:00:00Z".parse().unwrap()),
    }
}

const RESERVED: Reserved = Reserved { long: &[], short: &[], variables: &[] };

/// A manifest with the ceiling as its permissions, and a tree with one command.
fn describe(resolved: &Resolved) -> Result<Description> {
    let text = format!(
        "format = 1\n[plugin]\nname = \"{}\"\nversion = \"{}\"\nabi = \"0.1.0\"\nsummary = \"x\"\nlicense = \"MIT\"\n",
        resolved.name, resolved.version
    );
    let mut manifest = Manifest::parse(&text).unwrap();
    manifest.permissions = resolved.ceiling.clone();
    let commands = json!({ "format": 1, "commands": [{ "path": [], "about": "Do it" }] });
    Ok(Description { manifest, commands: commands.to_string().into_bytes() })
}

fn no_help(_: &PluginName, _: &CommandTree) -> Vec<Help> {
    Vec::new()
}

fn site<'a>(
    view: &'a View,
    describe: &'a dyn Fn(&Resolved) -> Result<Description>,
    help: &'a dyn Fn(&PluginName, &CommandTree) -> Vec<Help>,
) -> Site<'a> {
    let pin = Pin { sha256: Digest::of(b"root"), version: 1 };
    Site { view, roles: &[], pin, url: Some("https://registry.test"), describe, help, reserved: &RESERVED }
}

fn files(site: &Site<'_>) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    site.write(|path, bytes| {
        let twice = files.insert(path.to_owned(), String::from_utf8(bytes.to_vec()).unwrap());
        assert!(twice.is_none(), "{path} is written twice");
        Ok(())
    })
    .unwrap();
    files
}

/// Help with hostile text in every field.
fn hostile_help(_: &PluginName, _: &CommandTree) -> Vec<Help> {
    let text = || Text::line(HOSTILE);
    let value = Allowed { name: text(), about: Some(text()) };
    let argument = Argument { spec: text(), about: text(), default: Some(text()), values: vec![value] };
    let help = Help {
        words: text(),
        about: text(),
        long_about: Some(Text::lines(HOSTILE)),
        usage: text(),
        examples: vec![Example { line: text(), about: text() }],
        sections: vec![Section { heading: text(), arguments: vec![argument] }],
    };
    vec![help.clone(), help]
}

#[test]
fn hostile_text_in_every_field_is_escaped() {
    let rule = json!({ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": ["x'\"<y>"] });
    let mut hello = listed(HOSTILE, "alice", &[rule], vec![release("1.0.0")]);
    hello.entry.homepage = Some(format!("https://x.test/{HOSTILE}"));
    hello.keyids = vec![HOSTILE.to_owned()];
    let mut yanked = release("1.0.0");
    yanked.yanked = Some(Yanked { reason: Some(HOSTILE.to_owned()) });
    let mut blocked = release("1.0.0");
    blocked.blocked = Some(HOSTILE.to_owned());
    let mut lost = listed(HOSTILE, "bob", &[], Vec::new());
    lost.problem = Some(HOSTILE.to_owned());
    let plugins = [
        (name("hello"), hello),
        (name("yanked"), listed(HOSTILE, "alice", &[], vec![yanked])),
        (name("blocked"), listed(HOSTILE, "alice", &[], vec![blocked])),
        (name("lost"), lost),
    ];
    let mut view = view(plugins.into());
    view.blocked = vec![Block { sha256: Digest::of(b"x"), reason: HOSTILE.to_owned() }];
    let role = RoleStatus { name: HOSTILE.to_owned(), version: 1, signed: None, expires: view.expires };
    let roles = [role];
    let describe = |resolved: &Resolved| {
        let mut description = describe(resolved)?;
        description.manifest.plugin.license = HOSTILE.to_owned();
        Ok(description)
    };
    let site = Site { roles: &roles, url: Some(HOSTILE), ..site(&view, &describe, &hostile_help) };
    let shown = Text::line(HOSTILE);
    for (path, text) in files(&site) {
        let hidden = |c: char| kf_core::text::is_unsafe(c) && c != '\n';
        assert_eq!(text.find(hidden), None, "{path}");
        if path.ends_with(".html") {
            assert_eq!(text.matches("<script").count(), 1, "{path}: {text}");
            assert!(!text.contains("<img") && !text.contains("onerror=y>"), "{path}: {text}");
            assert!(
                !text.contains("href=\"https://x.test"),
                "{path} links to an address with hidden characters"
            );
            assert!(text.contains("&#60;script&#62;alert(1)"), "{path} does not show it");
        }
        if path == "search-index.js" || path == "index.json" {
            let json = text.trim_start_matches("globalThis.kfSearchIndex=");
            let value: Value = serde_json::from_str(json).unwrap();
            assert!(value.to_string().contains(&json!(shown).to_string()), "{path}");
        }
    }
}

#[test]
fn yanked_version_is_shown_with_its_reason() {
    let mut silent = release("1.0.0");
    silent.yanked = Some(Yanked::default());
    let mut because = release("1.1.0");
    because.yanked = Some(Yanked { reason: Some("it loses <data>".into()) });
    let mut both = release("1.2.0");
    both.yanked = Some(Yanked { reason: Some("too slow".into()) });
    both.blocked = Some("sends names".into());
    let releases = vec![silent, because, both, release("1.3.0")];
    let view = view([(name("hello"), listed("Say hello", "alice", &[], releases))].into());
    let files = files(&site(&view, &describe, &no_help));
    let page = &files["commands/hello.html"];
    assert_eq!(page.matches(">yanked</span>").count(), 2, "{page}");
    assert!(
        page.contains("<p class=\"note warning\">No longer chosen: it loses &#60;data&#62;</p>"),
        "{page}"
    );
    assert!(page.contains("No longer chosen; kf adds it only when"), "{page}");
    assert!(page.contains("Must not run: sends names") && !page.contains("too slow"), "{page}");
    let list = &files["registry.html"];
    let versions = ["1.2.0", "1.1.0", "1.0.0"]
        .map(|version| list.find(&format!("<a href=\"commands/hello.html\">hello {version}</a>")).unwrap());
    assert!(versions.is_sorted(), "{list}");
    assert!(list.contains("<p>it loses &#60;data&#62;</p>") && !list.contains("hello 1.3.0"), "{list}");
}

#[test]
fn only_plain_https_homepage_is_a_link() {
    for (address, is_link) in [
        ("https://kf.test/x", true),
        ("http://kf.test", false),
        ("javascript:alert(1)", false),
        ("https://kf.test/\u{202e}", false),
        (" https://kf.test", false),
    ] {
        let mut hello = listed("Say hello", "alice", &[], vec![release("1.0.0")]);
        hello.entry.homepage = Some(address.to_owned());
        let view = view([(name("hello"), hello)].into());
        let page = &files(&site(&view, &describe, &no_help))["commands/hello.html"];
        assert_eq!(page.contains("rel=\"external nofollow noreferrer\""), is_link, "{address}");
    }
}

#[test]
fn release_that_kf_refuses_is_not_offered() {
    let secrets = json!({ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "data": true });
    let above = |resolved: &Resolved| {
        let mut description = describe(resolved)?;
        description.manifest.permissions.kubernetes = vec![secrets.clone()];
        Ok(description)
    };
    let mut other_abi = release("1.0.0");
    other_abi.abi = Version::new(9, 0, 0);
    let plugins = [
        (name("greedy"), listed("Read secrets", "alice", &[], vec![release("1.0.0")])),
        (name("newer"), listed("For a newer kf", "alice", &[], vec![other_abi])),
        (name("none"), listed("Nothing yet", "alice", &[], Vec::new())),
    ];
    let view = view(plugins.into());
    let files = files(&site(&view, &above, &no_help));
    for (page, words) in [
        (
            "greedy",
            "kf refuses greedy 1.0.0: it exceeds the registry&#39;s ceiling: read secrets with their data.",
        ),
        ("newer", "kf cannot add newer: "),
        ("none", "none has no version yet."),
    ] {
        let text = &files[&format!("commands/{page}.html")];
        assert!(text.contains(words), "{text}");
        assert!(!text.contains("kf command add"), "{text}");
    }
    assert_eq!(files["index.html"].matches("not available").count(), 3);
}

#[test]
fn release_that_cannot_be_verified_fails_the_site() {
    let view = view([(name("hello"), listed("Say hello", "alice", &[], vec![release("1.0.0")]))].into());
    let fails = |_: &Resolved| Err(Failure::untrusted("the manifest was changed"));
    let refused = site(&view, &fails, &no_help).write(|_, _| Ok(())).unwrap_err();
    assert_eq!(refused.kind(), Kind::Untrusted);
}

#[test]
fn templates_disable_no_escaping() {
    let templates = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    for entry in fs_err::read_dir(templates).unwrap() {
        let path = entry.unwrap().path();
        let text = fs_err::read_to_string(&path).unwrap();
        // Neither a filter such as `safe` nor a change of the escaper.
        assert!(!text.contains('|') && !text.contains("escape"), "{}", path.display());
        assert_eq!(path.extension().unwrap(), "html", "the extension selects the escaper");
        let is_attribute_quoted = text.split("{{").all(|before| !before.trim_end().ends_with('='));
        assert!(is_attribute_quoted, "{} has an attribute without quotes", path.display());
    }
}

/// 10,000 commands by 1,000 authors, with summaries and rights that differ.
fn large() -> View {
    const VERBS: [&str; 10] =
        ["Show", "List", "Compare", "Export", "Plot", "Explain", "Repair", "Tune", "Watch", "Convert"];
    const THINGS: [&str; 20] = [
        "pods",
        "jobs",
        "models",
        "metrics",
        "runs",
        "volumes",
        "images",
        "nodes",
        "quotas",
        "secrets",
        "events",
        "queues",
        "traces",
        "datasets",
        "features",
        "pipelines",
        "notebooks",
        "services",
        "reports",
        "costs",
    ];
    let plugins = (0..10_000_usize).map(|at| {
        let (verb, thing, place) = (VERBS[at % 10], THINGS[at / 10 % 20], THINGS[at / 200 % 20]);
        let summary = format!("{verb} the {thing} of {place} number {at} as a table or a chart");
        let kinds = ["pods", "configmaps", "persistentvolumeclaims", "events", "services"];
        let rules = [
            json!({ "apiGroups": [""], "resources": [kinds[at % 5]], "verbs": ["get", "list"] }),
            json!({ "apiGroups": [format!("g{}.example.org", at % 300)], "resources": [thing], "verbs": ["create"] }),
        ];
        let owner = format!("author-{}", at % 1000);
        let name = name(&format!("{}-{thing}-{at}", verb.to_lowercase()));
        (name, listed(&summary, &owner, &rules, vec![release("1.4.0"), release("1.5.0")]))
    });
    view(plugins.collect())
}

#[test]
fn ten_thousand_commands_have_a_small_index_and_many_pages() {
    let view = large();
    let (mut index, mut pages, mut lists, mut largest) = (0, 0, 0, 0);
    site(&view, &describe, &no_help)
        .write(|path, bytes| {
            match path {
                "search-index.js" => index = bytes.len(),
                _ if path.starts_with("commands/") => pages += 1,
                _ if path == "index.html" || path.starts_with("list/") => {
                    lists += 1;
                    largest = largest.max(bytes.len());
                }
                _ => {}
            }
            Ok(())
        })
        .unwrap();
    assert_eq!((pages, lists), (10_000, 50));
    assert!(index < 1_500_000, "the search index has {index} bytes");
    assert!(largest < 120_000, "a list has {largest} bytes");
}

#[test]
fn dates_are_in_utc() {
    let at: Timestamp = "2026-11-30T23:59:59.5Z".parse().unwrap();
    let moment = crate::pages::Moment::new(at);
    assert_eq!(
        [moment.day, moment.minute, moment.machine],
        ["2026-11-30", "2026-11-30 23:59 UTC", "2026-11-30T23:59:59Z"]
    );
}
