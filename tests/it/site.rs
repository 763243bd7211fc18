//! `kf registry site`: the pages of a registry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use kf_core::{Digest, PluginName};
use kf_registry::publish::{self, AssembleInput, BuildInput, KeyRing, RoleName, StageInput, Submission};
use kf_registry::source::Source;
use serde_json::Value;

use crate::common::registry::{self, artifacts, published, set_up};
use crate::common::{Home, Ran};
use crate::kf_snapshot;

/// A registry that a test changes, in a folder of its own.
pub struct Registry {
    folder: tempfile::TempDir,
    keys: KeyRing,
}

impl Registry {
    /// With `hello` of the first-party commands, published at this time.
    pub fn at(now: Timestamp) -> Self {
        let registry = Self::unpublished();
        registry.build(now);
        registry
    }

    fn unpublished() -> Self {
        let folder = tempfile::tempdir().unwrap();
        registry::copy(&registry::index(), &folder.path().join("index"));
        registry::only("hello", folder.path());
        let source = Source::read(&folder.path().join("index")).unwrap();
        Self { keys: KeyRing::generate(source.authors.keys()).unwrap(), folder }
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn build(&self, now: Timestamp) {
        publish::build(&BuildInput {
            source: &self.path("index"),
            artifacts: &self.path("artifacts"),
            published: &self.path("published"),
            keys: &self.keys,
            pinned_root: None,
            approve_grants: false,
            now,
            describe: &command_json,
            gate: &gate,
        })
        .unwrap();
    }

    /// Publishes another index, which no reviewed text could be.
    pub fn forge(&self, now: Timestamp, change: impl FnOnce(&mut Value)) {
        let (staging, published) = (self.path("staging"), self.path("published"));
        // Some change, so that the role is staged.
        let text = fs_err::read_to_string(self.path("index/plugins/hello.toml")).unwrap();
        let (head, rest) = text.split_once("\nowner").unwrap();
        fs_err::write(
            self.path("index/plugins/hello.toml"),
            format!("{head}\nhomepage = \"https://kf.test\"\nowner{rest}"),
        )
        .unwrap();
        publish::stage(&StageInput {
            source: &self.path("index"),
            artifacts: None,
            published: &published,
            staging: &staging,
            only: Some(&[RoleName::Targets].into()),
            keys: Some(&self.keys.public()),
            pinned_root: None,
            now,
            describe: &command_json,
            gate: &gate,
        })
        .unwrap();
        let folder = staging.join("targets/index");
        let stored = fs_err::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        let mut index: Value = serde_json::from_slice(&fs_err::read(&stored).unwrap()).unwrap();
        change(&mut index);
        let bytes = index.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        fs_err::remove_file(stored).unwrap();
        fs_err::write(folder.join(format!("{digest}.plugins.json")), &bytes).unwrap();
        let role = staging.join("roles/targets.json");
        let mut body: Value = serde_json::from_slice(&fs_err::read(&role).unwrap()).unwrap();
        let entry = &mut body["targets"]["index/plugins.json"];
        entry["length"] = bytes.len().into();
        entry["hashes"] = serde_json::json!({ "sha256": digest });
        fs_err::write(&role, body.to_string()).unwrap();
        for key in self.keys.of(&RoleName::Targets) {
            publish::sign(&staging, &RoleName::Targets, key).unwrap();
        }
        publish::assemble(&AssembleInput {
            staging: Some(&staging),
            published: &published,
            pinned_root: None,
            keys: Some(&self.keys.public()),
            online: &[&self.keys.snapshot, &self.keys.timestamp],
            expiry: Source::read(&self.path("index")).unwrap().registry.expiry,
            now,
            gate: &gate,
        })
        .unwrap();
    }

    /// Writes the site to `site` in the registry's folder.
    pub fn site(&self) -> Ran {
        self.site_in(&Home::empty())
    }

    fn site_in(&self, home: &Home) -> Ran {
        let path = |path: &str| self.path(path).display().to_string();
        let (published, root) = (path("published"), path("published/metadata/1.root.json"));
        let url = "https://registry.kf.test";
        let ran = home.run([
            "registry",
            "site",
            "--out",
            &path("site"),
            "--published",
            &published,
            "--root",
            &root,
            "--url",
            url,
        ]);
        ran.masked(&self.folder.path().display().to_string(), "[WORK]")
    }

    fn page(&self, path: &str) -> String {
        fs_err::read_to_string(self.path("site").join(path)).unwrap()
    }
}

fn command_json(_: &PluginName, _: &[u8]) -> Result<Vec<u8>, String> {
    Ok(br#"{"format": 1, "commands": [{"path": [], "about": "Say hello", "arguments": []}]}"#.to_vec())
}

fn gate(_: &Submission<'_>) -> Result<Vec<String>, String> {
    Ok(Vec::new())
}

/// The text of a page without its tags, in single spaces.
fn words(html: &str) -> String {
    let mut text = String::new();
    for part in html.split('<') {
        match part.split_once('>') {
            Some((_, after)) => {
                text.push(' ');
                text.push_str(after);
            }
            None => text.push_str(part),
        }
    }
    let text = [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")]
        .iter()
        .fold(text, |text, (entity, character)| text.replace(entity, character));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every file of a folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(
                files(&path)
                    .into_iter()
                    .map(|(below, bytes)| (Path::new(path.file_name().unwrap()).join(below), bytes)),
            );
        } else {
            found.insert(path.file_name().unwrap().into(), fs_err::read(&path).unwrap());
        }
    }
    found
}

/// A home with the first-party registry, and its site.
pub fn first_party() -> (Home, PathBuf) {
    let home = Home::empty();
    set_up(&home, published());
    let out = home.path().join("site");
    home.run(["registry", "site", "--out", "site", "--url", "https://registry.kf.test"]).success();
    (home, out)
}

#[test]
fn each_command_page_has_the_consent_text_of_command_add() {
    let (home, out) = first_party();
    for entry in fs_err::read_dir(artifacts()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let refused = home.run(["command", "add", &name]);
        let text = refused.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        let page = fs_err::read_to_string(out.join(format!("commands/{name}.html"))).unwrap();
        let (_, rights) = page.split_once("<div class=\"rights\">").unwrap();
        let (rights, _) = rights.split_once("</div>").unwrap();
        // Before and after the caption and the heads of the columns, which are for screen readers.
        let shown = match rights.split_once("<caption") {
            Some((head, rest)) => format!("{head}{}", rest.split_once("</thead>").unwrap().1),
            None => rights.to_owned(),
        };
        if refused.code == Some(8) {
            assert!(
                text.contains(&format!("{} error: ", words(&shown))),
                "{name}: {}\n{text}",
                words(&shown)
            );
        } else {
            // Without rights there is no consent.
            let none = format!("{name} requests no rights: no cluster, no network, no files, no secrets.");
            assert_eq!(words(&shown), none, "{}", refused.transcript());
        }
    }
}

#[test]
fn page_has_help_versions_signer_and_how_to_add_it() {
    let (home, out) = first_party();
    let page = words(&fs_err::read_to_string(out.join("commands/train.html")).unwrap());
    let described = home.run(["command", "describe", "train", "-o", "json"]).success().stdout;
    let described: Value = serde_json::from_str(&described).unwrap();
    let field = |name: &str| described[name].as_str().unwrap().to_owned();
    let key = described["keyids"][0].as_str().unwrap();
    for part in ["kf command add train", &field("usage"), &field("sha256"), key, "Owner kubeflow"] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    let today = Timestamp::now().strftime("%Y-%m-").to_string();
    assert!(page.contains(&format!("0.1.0 signed {today}")), "{page}");
    for part in ["Examples", "--nodes <N> Number of nodes", "License Apache-2.0", "Group training"] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    let registry = words(&fs_err::read_to_string(out.join("registry.html")).unwrap());
    let root = Digest::of(&fs_err::read(registry::location(published()).1).unwrap());
    let add = format!("kf registry add kubeflow https://registry.kf.test --root-sha256 {root}");
    for part in [&add, "targets", "timestamp", key] {
        assert!(registry.contains(part), "{part} is not in {registry}");
    }
}

#[test]
fn same_registry_gives_same_bytes_and_replaces_older_site() {
    let (home, out) = first_party();
    let first = files(&out);
    fs_err::write(out.join("commands/gone.html"), "of an older site").unwrap();
    for folder in ["site", "other"] {
        home.run(["registry", "site", "--out", folder, "--url", "https://registry.kf.test"]).success();
        assert!(files(&home.path().join(folder)) == first, "{folder} differs");
    }
    let names: Vec<_> = first.keys().map(|path| path.display().to_string()).collect();
    for name in ["index.html", "registry.html", "index.json", "search-index.js", "search.js", "style.css"] {
        assert!(names.iter().any(|found| found == name), "{name} is not in {names:?}");
    }
    let feed: Value = serde_json::from_slice(&first[Path::new("index.json")]).unwrap();
    assert_eq!(feed["registry"], "kubeflow");
    assert!(feed["commands"].as_array().unwrap().iter().any(|command| command["name"] == "train"));
}

#[test]
fn address_of_a_folder_is_not_published() {
    let home = Home::empty();
    set_up(&home, published());
    let ran = home.run(["registry", "site", "--out", "site"]).success();
    assert!(
        ran.stderr.contains("warning: the site does not name the registry's address: pass it with --url")
    );
    for (path, bytes) in files(&home.path().join("site")) {
        let text = String::from_utf8(bytes).unwrap();
        assert!(!text.contains("file://") && !text.contains(&*published().to_string_lossy()), "{path:?}");
    }
    kf_snapshot!(home.run_unchanged(["registry", "site", "--out", "new", "--url", "kf.test"]), @r#"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid registry URL "kf.test": must start with https://, http:// or file://
    "#);
}

#[test]
fn folder_with_other_files_is_refused() {
    let home = Home::empty();
    set_up(&home, published());
    fs_err::create_dir(home.path().join("thesis")).unwrap();
    fs_err::write(home.path().join("thesis/chapter.tex"), "").unwrap();
    kf_snapshot!(home.run_unchanged(["registry", "site", "--out", "thesis"]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: thesis is not empty and not a site
    hint: name a folder that does not exist, is empty, or has a site
    ");
}

#[test]
fn registry_must_be_set_up_or_named() {
    let home = Home::empty();
    kf_snapshot!(home.run_unchanged(["registry", "site", "--out", "site"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: no registry configured
    hint: kf registry add NAME URL --root root.json
    ");
    set_up(&home, published());
    let (url, root) = registry::location(published());
    home.run(["registry", "add", "other", &url, "--root", &root.display().to_string()]).success();
    kf_snapshot!(home.run_unchanged(["registry", "site", "--out", "site"]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: several registries are set up: name one with `--registry`
    hint: kf registry site --out DIR --registry kubeflow
    ");
    kf_snapshot!(home.run_unchanged(["registry", "site", "--out", "site", "--registry", "third"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: registry third is not configured
    hint: kf registry add third URL --root root.json
    ");
    kf_snapshot!(home.run_unchanged(["registry", "site", "--out", "site", "--published", "public"]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: the following required arguments were not provided:
      --root <FILE>
      usage: kf registry site --out <DIR> --published <DIR|URL> --root <FILE>
    hint: kf registry site --help
    ");
    kf_snapshot!(home.run_unchanged([
        "registry", "site", "--out", "site", "--published", "public", "--root", &root.display().to_string(),
    ]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: cannot read the registry in public: failed to canonicalize path `public`: No such file or directory (os error 2)
    ");
}

#[test]
fn registry_without_commands_has_a_site() {
    let registry = Registry::unpublished();
    for entry in fs_err::read_dir(registry.path("index/plugins")).unwrap() {
        fs_err::remove_file(entry.unwrap().path()).unwrap();
    }
    let author = "format = 1\nid = \"kubeflow\"\ncontact = \"x\"\nplugins = []\n";
    fs_err::write(registry.path("index/authors/kubeflow.toml"), author).unwrap();
    fs_err::remove_dir_all(registry.path("artifacts/hello")).unwrap();
    registry.build(Timestamp::now());
    registry.site().success();
    let page = words(&registry.page("index.html"));
    assert!(
        page.contains("0 commands for kf") && page.contains("This registry has no commands yet."),
        "{page}"
    );
    assert!(words(&registry.page("registry.html")).contains("No author owns a command."));
}

#[test]
fn expired_registry_is_refused() {
    let registry = Registry::at(Timestamp::now() - SignedDuration::from_hours(48));
    kf_snapshot!(registry.site(), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify registry published: timestamp metadata expired at [DATE]
    hint: ask the registry's admins to publish again, or use an address that is up to date
    ");
    assert!(!registry.path("site").exists());
}

#[test]
fn changed_file_is_refused_and_older_site_kept() {
    let registry = Registry::at(Timestamp::now());
    registry.site().success();
    let before = files(&registry.path("site"));
    let folder = registry.path("published/targets/plugins/hello/0.1.0");
    let manifest = fs_err::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().ends_with(".plugin.toml"))
        .unwrap();
    let text = fs_err::read_to_string(&manifest).unwrap();
    fs_err::write(&manifest, text.replace("0.1.0", "0.1.1")).unwrap();
    let home = Home::empty();
    let refused = registry.site_in(&home).code(8);
    assert!(refused.stderr.contains("published"), "{}", refused.transcript());
    assert!(files(&registry.path("site")) == before, "the site changed");
    let left: Vec<_> = fs_err::read_dir(registry.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn withdrawn_versions_are_shown_with_the_reason() {
    let registry = Registry::at(Timestamp::now());
    let component = Digest::of(&fs_err::read(artifacts().join("hello/plugin.wasm")).unwrap());
    registry.forge(Timestamp::now(), |index| {
        index["blocked"] =
            serde_json::json!([{ "sha256": component, "reason": "sends names to a third party" }]);
    });
    registry.site().success();
    let page = words(&registry.page("commands/hello.html"));
    assert!(page.contains("Every version of hello is yanked or blocked."), "{page}");
    assert!(
        page.contains("0.1.0 blocked") && page.contains("Must not run: sends names to a third party"),
        "{page}"
    );
    assert!(!page.contains("kf command add"), "{page}");
    let page = words(&registry.page("registry.html"));
    assert!(page.contains(&format!("hello 0.1.0 sends names to a third party sha256 {component}")), "{page}");
}

#[test]
fn hostile_text_is_escaped_everywhere() {
    let registry = Registry::at(Timestamp::now());
    forge_hostile(&registry);
    registry.site().success();
    for (path, bytes) in files(&registry.path("site")) {
        let text = String::from_utf8(bytes).unwrap();
        if path.extension().is_some_and(|extension| extension == "html") {
            let scripts = text.matches("<script").count();
            assert_eq!((scripts, text.matches("<script src=\"").count()), (1, 1), "{path:?}");
            assert!(!text.contains("<img") && !text.contains("href=\"javascript"), "{path:?}");
        }
        let hidden = |c: &char| kf_core::text::is_unsafe(*c) && *c != '\n';
        assert_eq!(text.chars().find(hidden), None, "{path:?}");
    }
    let page = words(&registry.page("commands/hello.html"));
    assert!(page.contains(r"\u{202e}<script>globalThis.hacked=1</script>"), "{page}");
    assert!(page.contains("Homepage javascript:globalThis.hacked=2"), "{page}");
}

/// Gives `hello` a summary and a homepage that attack a reader.
pub fn forge_hostile(registry: &Registry) {
    registry.forge(Timestamp::now(), |index| {
        let hello = &mut index["plugins"]["hello"];
        hello["summary"] =
            "\u{202e}<script>globalThis.hacked=1</script>\u{1b}[2J'\"><img src=https://evil.test/x>".into();
        hello["homepage"] = "javascript:globalThis.hacked=2".into();
    });
}
