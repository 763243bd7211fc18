//! The screens and prompts before a command gets more rights.

use std::path::{Path, PathBuf};

use crate::common::registry::{self, published, set_up};
use crate::common::terminal::Terminal;
use crate::common::{Home, Ran, attacks};
use crate::kf_snapshot;

const COLUMNS: usize = 80;
const ROWS: usize = 24;

/// The screen of 80 columns and 24 rows at the prompt.
fn screen_at_prompt(home: &Home, arguments: &[&str]) -> String {
    let rows = rows_at_prompt(home, arguments, COLUMNS);
    rows[rows.len().saturating_sub(ROWS)..].join("\n")
}

/// All rows up to the prompt on a terminal with this many columns. A longer line would be broken inside a word.
fn rows_at_prompt(home: &Home, arguments: &[&str], columns: usize) -> Vec<String> {
    let mut kf = home.kf(arguments);
    // A path of the same length on every machine.
    kf.env("KUBECONFIG", "/nowhere");
    let mut terminal = Terminal::start_sized(kf, columns.try_into().unwrap(), ROWS.try_into().unwrap());
    terminal.expect("[y/N]");
    terminal.type_text("\n");
    let (status, screen) = terminal.finish();
    assert_eq!(status.code(), Some(8));
    let text = crate::common::terminal::shown(&screen);
    let question = text.lines().position(|line| line.contains("[y/N]")).unwrap();
    let rows: Vec<String> = text.lines().take(question + 1).map(|line| line.trim_end().to_owned()).collect();
    let too_long: Vec<_> = rows.iter().filter(|row| row.chars().count() > columns).collect();
    assert!(too_long.is_empty(), "{too_long:#?}");
    rows
}

#[test]
fn rights_of_each_first_party_command_fit_on_a_screen() {
    let home = Home::empty();
    set_up(&home, published());
    let mut names: Vec<String> = fs_err::read_dir(registry::artifacts())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "hello")
        .collect();
    names.sort();
    let mut screens = String::new();
    for name in names {
        let line = ["command", "add", &name];
        let screen = screen_at_prompt(&home, &line);
        // A wider terminal shows the same words.
        let words = |rows: &str| rows.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let wide = rows_at_prompt(&home, &line, 120).join("\n");
        assert_eq!(words(&screen), words(&wide), "{name}");
        assert!(wide.lines().count() <= screen.lines().count(), "{name}: {wide}");
        let first = screen.lines().next().unwrap();
        assert!(first.starts_with(&format!("{name} 0.1.0 by ")), "{name} scrolls:\n{screen}");
        screens.push_str(&format!("$ kf command add {name}\n{screen}\n\n"));
    }
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\([0-9.]+ [kM]B, sha256 [0-9a-f]{4}…[0-9a-f]{4}\)", "([SIZE], sha256 [DIGEST])");
    settings.set_snapshot_path(".");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("consent", screens));
}

/// A version of `hello` in the test's own registry.
struct Release<'a> {
    version: &'a str,
    /// The rules of its manifest and its ceiling.
    rules: &'a str,
    wasm: PathBuf,
    owner: &'a str,
    yanked: &'a [&'a str],
}

impl Default for Release<'_> {
    fn default() -> Self {
        let wasm = registry::artifacts().join("hello/plugin.wasm");
        Self { version: "0.1.0", rules: "", wasm, owner: "kubeflow", yanked: &[] }
    }
}

fn try_publish(out: &Path, release: &Release<'_>) -> Ran {
    let work = tempfile::tempdir().unwrap();
    let (index, artifacts) = (work.path().join("index"), registry::only("hello", work.path()));
    registry::copy(&registry::index(), &index);
    let edit = |path: PathBuf, edit: &dyn Fn(String) -> String| {
        let text = fs_err::read_to_string(&path).unwrap();
        let edited = edit(text.clone());
        fs_err::write(&path, edited).unwrap();
    };
    edit(artifacts.join("hello/plugin.toml"), &|text| {
        text.replace("version = \"0.1.0\"", &format!("version = \"{}\"", release.version)) + release.rules
    });
    fs_err::copy(&release.wasm, artifacts.join("hello/plugin.wasm")).unwrap();
    edit(index.join("plugins/hello.toml"), &|text| {
        let text = text.replace("owner = \"kubeflow\"", &format!("owner = \"{}\"", release.owner));
        let ceiling = release.rules.replace("permissions", "ceiling");
        format!("{text}\nyanked = {:?}\n{ceiling}", release.yanked)
    });
    let owned: &[&str] = match release.owner {
        "kubeflow" => &[],
        _ => {
            edit(index.join("authors/kubeflow.toml"), &|text| text.replace("\"hello\", ", ""));
            &["hello"]
        }
    };
    // Keys are created for the authors that exist when the registry is first built.
    let mallory =
        format!("format = 1\nid = \"mallory\"\ncontact = \"https://mallory.example\"\nplugins = {owned:?}\n");
    fs_err::write(index.join("authors/mallory.toml"), mallory).unwrap();
    registry::try_build(&index, &artifacts, out)
}

fn publish(out: &Path, release: &Release<'_>) {
    try_publish(out, release).success();
}

/// A home with `hello` added from a registry with only this version.
fn with_hello(out: &Path, release: &Release<'_>) -> Home {
    publish(out, release);
    let home = Home::empty();
    set_up(&home, out);
    registry::add(&home, "hello");
    home
}

fn rule(resources: &str, verbs: &str, more: &str) -> String {
    let (group, resources) =
        resources.rsplit_once('@').map_or(("", resources), |(plural, group)| (group, plural));
    format!(
        "\n[[permissions.kubernetes]]\napiGroups = [\"{group}\"]\nresources = [\"{resources}\"]\nverbs = [{verbs}]\n{more}\n"
    )
}

#[test]
fn long_list_of_names_hides_no_right() {
    let out = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..60).map(|n| format!("{n:02}-{}", "innocent-".repeat(27) + "x")).collect();
    let rules = rule("secrets", "\"get\", \"list\"", "data = true")
        + &rule("configmaps", "\"get\"", &format!("resourceNames = {names:?}"))
        + &rule("workflows@argoproj.io", "\"create\"", "");
    publish(out.path(), &Release { rules: &rules, ..Release::default() });
    let home = Home::empty();
    set_up(&home, out.path());
    let screen = screen_at_prompt(&home, &["command", "add", "hello"]);
    for shown in ["hello 0.1.0 by", "and 57 more", "Argo workflows", "secrets with their data", "Dangerous: "]
    {
        assert!(screen.contains(shown), "{shown}:\n{screen}");
    }
}

#[test]
fn registry_build_refuses_what_add_would_refuse() {
    let out = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..4090).map(|n| format!("n{n}")).collect();
    let rules = rule("configmaps", "\"get\"", &format!("resourceNames = {names:?}"));
    let ran = try_publish(out.path(), &Release { rules: &rules, ..Release::default() }).code(8);
    assert!(
        ran.stderr.contains("rule 1 has 4090 entries in `resourceNames`, at most 64"),
        "{}",
        ran.transcript()
    );
    let many: String = (0..65).map(|n| rule(&format!("kind-{n}"), "\"get\"", "")).collect();
    let ran = try_publish(out.path(), &Release { rules: &many, ..Release::default() }).code(8);
    assert!(ran.stderr.contains("a set has at most 64"), "{}", ran.transcript());
    assert!(!out.path().join("published/metadata/timestamp.json").exists());

    // The same manifest as a local file.
    let folder = tempfile::tempdir().unwrap();
    let wasm = registry::only("hello", folder.path()).join("hello/plugin.wasm");
    let manifest = wasm.with_file_name("plugin.toml");
    let text = fs_err::read_to_string(&manifest).unwrap();
    fs_err::write(&manifest, text + &rules).unwrap();
    let ran = Home::empty().run(["command", "add", &wasm.display().to_string()]).code(8);
    assert!(ran.stderr.contains("hello 0.1.0 is refused"), "{}", ran.transcript());
}

#[test]
fn answer_typed_before_prompt_is_ignored() {
    let home = Home::empty();
    set_up(&home, published());
    let mut terminal = Terminal::start(home.kf(["command", "add", "train"]));
    terminal.type_text("y\ny\n");
    terminal.expect("[y/N]");
    terminal.type_text("\n");
    let (status, screen) = terminal.finish();
    assert_eq!(status.code(), Some(8), "{}", String::from_utf8_lossy(&screen));
    assert_eq!(home.run(["train", "--help"]).code, Some(5));
}

#[test]
fn argument_that_becomes_a_file_needs_consent() {
    let out = tempfile::tempdir().unwrap();
    let named = Release { wasm: attacks::wasm("complete_injects").to_owned(), ..Release::default() };
    let home = with_hello(out.path(), &named);
    let opened =
        Release { version: "0.2.0", wasm: attacks::wasm("complete_paths").to_owned(), ..Release::default() };
    publish(out.path(), &opened);
    let refused = home.run_unchanged(["command", "upgrade", "hello", "--yes"]);
    kf_snapshot!(refused.clone(), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    hello 0.1.0 → 0.2.0 by kubeflow ([SIZE], sha256 [DIGEST])
    It may read the file that you pass as word 1.
    error: `--yes` does not accept new rights: refusing to upgrade hello and let it read the file that you pass as word 1
    hint: kf command add kubeflow/hello@0.2.0 --accept [DIGEST]
    ");
    // Adding it as a new command needs consent too.
    let fresh = Home::empty();
    set_up(&fresh, out.path());
    fresh.run_unchanged(["command", "add", "hello"]).code(8);
    home.run(registry::hinted(&refused)).success();
    kf_snapshot!(home.run(["command", "upgrade", "hello"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    hello 0.2.0 is up to date
    ");
}

#[test]
fn edited_receipt_cannot_open_files() {
    let out = tempfile::tempdir().unwrap();
    let home = with_hello(
        out.path(),
        &Release { wasm: attacks::wasm("complete_injects").to_owned(), ..Release::default() },
    );
    let path = home.path().join(".local/share/kf/receipts/hello.json");
    let receipt: serde_json::Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    let mut edited = receipt.clone();
    let commands =
        receipt["commands"].as_str().unwrap().replace("\"value_type\": \"text\"", "\"value_type\": \"file\"");
    assert_ne!(receipt["commands"], commands.as_str());
    edited["commands"] = commands.as_str().into();
    fs_err::write(&path, edited.to_string()).unwrap();
    let ran = home.run_unchanged(["hello", "receipt.json"]).code(8);
    assert!(ran.stderr.contains("command tree does not match the signed digest"), "{}", ran.transcript());
    // Changing the digest as well is detected by the consent.
    let part =
        edited["parts"].as_array_mut().unwrap().iter_mut().find(|part| part["kind"] == "commands").unwrap();
    part["sha256"] = kf_core::Digest::of(commands.as_bytes()).to_string().into();
    fs_err::write(&path, edited.to_string()).unwrap();
    let ran = home.run_unchanged(["hello", "receipt.json"]).code(8);
    assert!(ran.stderr.contains("differ from those that were accepted"), "{}", ran.transcript());
}

#[test]
fn another_signer_needs_consent() {
    let out = tempfile::tempdir().unwrap();
    let home = with_hello(out.path(), &Release::default());
    publish(out.path(), &Release { version: "0.2.0", owner: "mallory", ..Release::default() });
    let refused = home.run_unchanged(["command", "upgrade", "hello", "--yes"]);
    kf_snapshot!(refused.clone(), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    hello 0.1.0 → 0.2.0 by mallory ([SIZE], sha256 [DIGEST])
    warning: hello is now signed by mallory; the installed version is signed by kubeflow
    error: `--yes` does not accept new rights: refusing to upgrade hello, now signed by mallory instead of kubeflow
    hint: kf command add kubeflow/hello@0.2.0 --accept [DIGEST]
    ");
    home.run_unchanged(["command", "add", "hello"]).code(8);
    home.run(registry::hinted(&refused)).success();
    kf_snapshot!(home.run(["command", "upgrade", "hello"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    hello 0.2.0 is up to date
    ");
}

#[test]
fn yanked_version_is_downgraded_only_by_explicit_version() {
    let out = tempfile::tempdir().unwrap();
    publish(out.path(), &Release::default());
    let newer = Release { version: "0.2.0", ..Release::default() };
    let home = with_hello(out.path(), &newer);
    publish(out.path(), &Release { yanked: &["0.2.0"], ..newer });
    // The first refresh updates the receipt.
    let refused = home.run(["command", "add", "hello"]);
    kf_snapshot!(refused.clone(), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: refusing to downgrade hello from 0.2.0 (yanked by its registry) to 0.1.0
    hint: kf command add kubeflow/hello@0.1.0
    ");
    for words in [&["command", "add", "hello@0"][..], &["command", "add", "kubeflow/hello"]] {
        home.run_unchanged(words).code(8);
    }
    kf_snapshot!(home.run(["command", "upgrade", "hello"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    warning: hello 0.2.0 was yanked by its registry; no newer version is available
    ");
    assert!(home.run(["command", "list"]).success().row("hello").contains("0.2.0"));
    kf_snapshot!(home.run(registry::hinted(&refused)), @"
    exit: 0
    ----- stdout -----
    Added hello 0.1.0
    ----- stderr -----
    hello 0.2.0 → 0.1.0 by kubeflow ([SIZE], sha256 [DIGEST])
    warning: 0.1.0 is older than the installed version
    ");
}

#[test]
fn replace_installs_the_named_version() {
    let out = tempfile::tempdir().unwrap();
    publish(out.path(), &Release::default());
    let home = with_hello(out.path(), &Release { version: "0.2.0", ..Release::default() });
    let replace = |with: &str| home.run(["command", "replace", "greet", "--with", with]);
    kf_snapshot!(replace("hello"), @"
    exit: 0
    ----- stdout -----
    Replaced greet with hello 0.2.0 (kubeflow)
    ----- stderr -----
    undo with `kf command replace greet --restore`
    ");
    kf_snapshot!(replace("kubeflow/hello@^0.2"), @"
    exit: 0
    ----- stdout -----
    Replaced greet with hello 0.2.0 (kubeflow)
    ----- stderr -----
    undo with `kf command replace greet --restore`
    ");
    // Another registry or a missing version is refused.
    replace("elsewhere/hello").code(8);
    replace("hello@0.3.0").code(5);
    kf_snapshot!(replace("kubeflow/hello@0.1.0"), @"
    exit: 0
    ----- stdout -----
    Replaced greet with hello 0.1.0 (kubeflow)
    ----- stderr -----
    hello 0.2.0 → 0.1.0 by kubeflow ([SIZE], sha256 [DIGEST])
    warning: 0.1.0 is older than the installed version
    undo with `kf command replace greet --restore`
    ");
    assert!(home.run(["command", "list"]).success().row("hello").contains("0.1.0"));
}
