//! Ctrl-C in every phase: kf exits with 130, restores the terminal, and leaves no partial changes.

use kf_tests::cluster::User;

use crate::common::registry::{self, hinted, location, published, set_up};
use crate::common::servers::StallingServer;
use crate::common::team::Team;
use crate::common::terminal::Terminal;
use crate::common::{Home, attacks};

#[test]
fn interrupt_during_prompt_changes_nothing() {
    let home = Home::empty();
    set_up(&home, published());
    let before = home.state();
    let mut terminal = Terminal::start(home.kf(["command", "add", "train"]));
    terminal.expect("[y/N]");
    let screen = terminal.interrupt();
    assert!(screen.ends_with("\ninterrupted\n"), "{screen}");
    assert_eq!(home.state(), before);
    // The lock of the name is released.
    registry::add(&home, "train");
}

/// Adds a registry whose files of one kind stall.
fn stalling(home: &Home, stalled: &'static str) -> StallingServer {
    let server = StallingServer::serve(&published().join("published"), stalled);
    let (_, root) = location(published());
    let root = root.display().to_string();
    let mut terminal = Terminal::start(home.kf(["registry", "add", "slow", &server.url, "--root", &root]));
    if stalled == "timestamp.json" {
        server.wait_until_stalled();
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
fn interrupt_during_refresh_leaves_valid_state() {
    let home = Home::empty();
    stalling(&home, "timestamp.json");
    // Set up or not, but nothing in between.
    let listed = home.run(["registry", "list", "-o", "name"]).success().stdout;
    assert!(["", "registry/slow\n"].contains(&listed.as_str()), "{listed}");
}

#[test]
fn interrupt_during_fetch_changes_nothing() {
    let home = Home::empty();
    let server = stalling(&home, "plugin.wasm");
    let before = home.state();
    let mut terminal = Terminal::start(home.kf(["command", "add", "hello"]));
    server.wait_until_stalled();
    terminal.expect("fetching hello");
    let screen = terminal.interrupt();
    assert_eq!(screen, "interrupted\n");
    assert_eq!(home.state(), before);
}

#[test]
fn interrupt_during_compile_adds_nothing() {
    let home = Home::empty();
    set_up(&home, published());
    let words = hinted(&home.run(["command", "add", "train"]).code(8));
    let mut terminal = Terminal::start(home.kf(&words));
    terminal.expect("compiling train");
    terminal.interrupt();
    // The component may be in the store already; without a receipt it is not used.
    assert_eq!(home.run(["train", "--help"]).code, Some(5));
    let leftover = home.state().into_keys().find(|path| path.to_string_lossy().contains(".tmp-"));
    assert_eq!(leftover, None);
    home.run(&words).success();
    home.run(["train", "--help"]).success();
}

#[test]
fn interrupt_during_wait_keeps_pod() {
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
fn interrupt_stops_sleeping_and_busy_guests() {
    for command in ["sleep-for-ever", "spin"] {
        let home = attacks::home(&[command]);
        let before = home.state();
        let terminal = Terminal::start(home.kf([command]));
        assert_eq!(terminal.interrupt(), "^C\ninterrupted\n", "{command}");
        assert_eq!(home.state(), before);
    }
}
