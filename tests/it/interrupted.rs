//! Ctrl-C in every phase: kf ends with 130, the terminal is as it was, and nothing is half done.

use kf_tests::cluster::User;

use crate::common::registry::{self, hinted, location, published, set_up};
use crate::common::servers::Dripping;
use crate::common::team::Team;
use crate::common::terminal::Terminal;
use crate::common::{Home, attacks};

#[test]
fn while_a_person_is_asked() {
    let home = Home::empty();
    set_up(&home, published());
    let before = home.state();
    let mut terminal = Terminal::start(home.kf(["command", "add", "train"]));
    terminal.expect("[y/N]");
    let screen = terminal.interrupt();
    assert!(screen.ends_with("\ninterrupted\n"), "{screen}");
    assert_eq!(home.state(), before);
    // Nobody holds the name any more.
    registry::add(&home, "train");
}

/// A registry whose files of one kind never come, already trusted.
fn dripping(home: &Home, stuck: &'static str) -> Dripping {
    let server = Dripping::serve(&published().join("published"), stuck);
    let (_, root) = location(published());
    let root = root.display().to_string();
    let mut terminal = Terminal::start(home.kf(["registry", "add", "slow", &server.url, "--root", &root]));
    if stuck == "timestamp.json" {
        server.wait_until_stuck();
        terminal.expect("refreshing registry slow");
        let screen = terminal.interrupt();
        assert_eq!(screen, "interrupted\n");
    } else {
        let (status, screen) = terminal.finish();
        assert!(status.success(), "{}", String::from_utf8_lossy(&screen));
    }
    server
}

#[test]
fn while_a_registry_is_refreshed() {
    let home = Home::empty();
    dripping(&home, "timestamp.json");
    // Trusted or not, but nothing in between.
    let listed = home.run(["registry", "list", "-o", "name"]).success().stdout;
    assert!(["", "registry/slow\n"].contains(&listed.as_str()), "{listed}");
}

#[test]
fn while_a_command_is_fetched() {
    let home = Home::empty();
    let server = dripping(&home, "plugin.wasm");
    let before = home.state();
    let mut terminal = Terminal::start(home.kf(["command", "add", "hello"]));
    server.wait_until_stuck();
    terminal.expect("fetching hello");
    let screen = terminal.interrupt();
    assert_eq!(screen, "interrupted\n");
    assert_eq!(home.state(), before);
}

#[test]
fn while_it_is_compiled_or_kept() {
    let home = Home::empty();
    set_up(&home, published());
    let words = hinted(&home.run(["command", "add", "train"]).code(8));
    let mut terminal = Terminal::start(home.kf(&words));
    terminal.expect("compiling train");
    terminal.interrupt();
    // What is kept by digest may be there already; without a receipt nobody uses it.
    assert_eq!(home.run(["train", "--help"]).code, Some(5));
    let leftover = home.state().into_keys().find(|path| path.to_string_lossy().contains(".tmp-"));
    assert_eq!(leftover, None);
    home.run(&words).success();
    home.run(["train", "--help"]).success();
}

#[test]
fn while_a_command_waits_for_the_cluster() {
    let team = Team::new("never");
    team.apply(
        "apiVersion: v1
kind: Pod
metadata: {name: never}
spec: {schedulerName: nobody, containers: [{name: main, image: 'kf.test/none'}]}
",
    );
    let home = team.home(User::DataScientist, &["logs"]);
    let before = home.state();
    let mut terminal = Terminal::start(home.kf(["logs", "pod/never", "--follow"]));
    terminal.expect("never");
    terminal.expect("waiting");
    let screen = terminal.interrupt();
    assert!(screen.ends_with("interrupted\n") && !screen.contains("error:"), "{screen}");
    assert_eq!(home.state(), before);
    assert!(team.admin(&["get", "pod", "never", "-o", "name"]).contains("never"));
}

#[test]
fn while_a_command_sleeps_or_computes() {
    for command in ["sleep-for-ever", "spin"] {
        let home = attacks::home(&[command]);
        let before = home.state();
        let terminal = Terminal::start(home.kf([command]));
        assert_eq!(terminal.interrupt(), "^C\ninterrupted\n", "{command}");
        assert_eq!(home.state(), before);
    }
}
