//! Adding, upgrading, replacing and removing commands.

use crate::common::registry::{self, artifacts, build, published, set_up};
use crate::common::terminal::Terminal;
use crate::common::{Home, Ran};
use crate::kf_snapshot;

fn fresh() -> Home {
    let home = Home::empty();
    set_up(&home, published());
    home
}

#[test]
fn a_command_without_rights_is_added_at_once() {
    let home = fresh();
    kf_snapshot!(home.run(["command", "add", "hello"]), @"");
    kf_snapshot!(home.run(["hello", "Ada"]), @"");
}

#[test]
fn without_a_person_the_answer_is_no() {
    let home = fresh();
    kf_snapshot!(home.run(["command", "add", "train"]), @"");
    assert_eq!(home.run(["train", "x"]).code, Some(5));
}

#[test]
fn yes_does_not_cover_rights() {
    let home = fresh();
    let ran = home.run(["command", "add", "train", "--yes"]).code(8);
    assert!(ran.stderr.contains("`--yes` does not cover new rights"), "{}", ran.transcript());
}

#[test]
fn the_hinted_line_adds_it() {
    let home = fresh();
    let hint = registry::hinted(&home.run(["command", "add", "train"]).code(8));
    home.run(&hint).success();
    home.run(["train", "--help"]).success();
}

#[test]
fn a_person_is_shown_the_rights_and_asked() {
    let home = fresh();
    let mut terminal = Terminal::start(home.kf(["command", "add", "train"]));
    terminal.expect("training jobs");
    terminal.expect("[y/N]");
    terminal.type_text("y\n");
    let (status, screen) = terminal.finish();
    assert!(status.success(), "{}", String::from_utf8_lossy(&screen));
    home.run(["train", "--help"]).success();
}

#[test]
fn a_person_who_says_nothing_says_no() {
    let home = fresh();
    let mut terminal = Terminal::start(home.kf(["command", "add", "train"]));
    terminal.expect("[y/N]");
    terminal.type_text("\n");
    let (status, _) = terminal.finish();
    assert_eq!(status.code(), Some(8));
    assert_eq!(home.run(["train", "--help"]).code, Some(5));
}

#[test]
fn a_removed_command_is_gone_and_others_stay() {
    let home = Home::with_commands(&["hello", "whoami"]);
    kf_snapshot!(home.run(["command", "remove", "hello"]), @"");
    assert_eq!(home.run(["hello"]).code, Some(5));
    home.run(["whoami", "--help"]).success();
    assert_eq!(home.run(["command", "remove", "hello"]).code, Some(5));
}

#[test]
fn another_command_can_answer_to_a_name_and_step_back() {
    let home = Home::with_commands(&["hello", "whoami"]);
    home.run(["command", "replace", "whoami", "--with", "hello"]).success();
    assert_eq!(home.run(["whoami", "Ada"]).success().stdout, "hello Ada\n");
    home.run(["command", "replace", "whoami", "--restore"]).success();
    assert_ne!(home.run(["whoami", "Ada"]).stdout, "hello Ada\n");
}

#[test]
fn the_trust_root_cannot_be_replaced() {
    let home = Home::with_commands(&["hello"]);
    for name in ["command", "registry", "completion", "login"] {
        assert_eq!(home.run(["command", "replace", name, "--with", "hello"]).code, Some(2), "{name}");
    }
}

/// A registry whose `hello` is of another version, and may ask for rights.
fn registry_with_hello(version: &str, rules: &str, out: &std::path::Path) {
    let work = tempfile::tempdir().unwrap();
    let copy = |from: &std::path::Path, to: &str| {
        let to = work.path().join(to);
        assert!(std::process::Command::new("cp").arg("-a").arg(from).arg(&to).status().unwrap().success());
        to
    };
    let index = copy(&registry::index(), "index");
    let artifacts = copy(&artifacts(), "artifacts");
    let manifest = artifacts.join("hello/plugin.toml");
    let text = fs_err::read_to_string(&manifest).unwrap();
    fs_err::write(
        &manifest,
        text.replace("version = \"0.1.0\"", &format!("version = \"{version}\"")) + rules,
    )
    .unwrap();
    let entry = index.join("plugins/hello.toml");
    let text = fs_err::read_to_string(&entry).unwrap();
    fs_err::write(&entry, text + &rules.replace("permissions", "ceiling")).unwrap();
    build(&index, &artifacts, out);
}

const READ_PODS: &str = r#"
[[permissions.kubernetes]]
apiGroups = [""]
resources = ["pods"]
verbs = ["list"]
"#;

#[test]
fn an_upgrade_asks_only_when_it_wants_more() {
    let out = tempfile::tempdir().unwrap();
    build(&registry::index(), &artifacts(), out.path());
    let home = Home::empty();
    set_up(&home, out.path());
    home.run(["command", "add", "hello"]).success();
    kf_snapshot!(home.run(["command", "upgrade", "hello"]), @"");

    registry_with_hello("0.2.0", "", out.path());
    kf_snapshot!(home.run(["command", "upgrade", "--all"]), @"");

    registry_with_hello("0.3.0", READ_PODS, out.path());
    kf_snapshot!(home.run(["command", "upgrade", "hello", "--dry-run"]), @"");
    let refused: Ran = home.run(["command", "upgrade", "hello"]).code(8);
    let still = home.run(["command", "list"]).success().stdout;
    assert!(still.contains("0.2.0"), "{still}");
    home.run(&registry::hinted(&refused)).success();
    assert!(home.run(["command", "list"]).success().stdout.contains("0.3.0"));
}

#[test]
fn a_command_that_asks_for_more_than_its_ceiling_is_not_published() {
    let work = tempfile::tempdir().unwrap();
    let artifacts_copy = work.path().join("artifacts");
    assert!(
        std::process::Command::new("cp")
            .arg("-a")
            .arg(artifacts())
            .arg(&artifacts_copy)
            .status()
            .unwrap()
            .success()
    );
    let manifest = artifacts_copy.join("hello/plugin.toml");
    let text = fs_err::read_to_string(&manifest).unwrap();
    fs_err::write(&manifest, text + READ_PODS).unwrap();
    let ran = registry::try_build(&registry::index(), &artifacts_copy, work.path()).code(8);
    assert!(ran.stderr.contains("more than the registry allows"), "{}", ran.transcript());
    assert!(!work.path().join("published/metadata/timestamp.json").exists());
}

#[test]
fn what_is_added_is_listed_with_its_source() {
    let home = Home::with_commands(&["hello", "train"]);
    kf_snapshot!(home.run(["command", "list"]), @"");
}

#[test]
fn what_could_be_added_is_listed_with_the_way_to_get_it() {
    let home = Home::with_commands(&["hello"]);
    kf_snapshot!(home.run(["command", "list", "--available"]), @"");
}

#[test]
fn a_command_is_described_with_its_signer_and_rules() {
    let home = Home::with_commands(&["train"]);
    kf_snapshot!(home.run(["command", "describe", "train"]), @"");
}
