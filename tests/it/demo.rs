//! What `cargo xtask demo --keep` leaves, used as its last lines and README.md's tour tell a newcomer to.
//!
//! The demo plays in the cluster of this run as it plays in the one that it keeps, and its last lines are typed in a shell
//! that has nothing else. The tour's lines and what is shown below them are read out of the README. So neither the demo nor
//! the README nor kf can drift: what kf says has every line that the README shows, but for numbers and durations.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use kf_tests::cluster::{Cluster, Profile, skip_without_node};

use crate::common::bash::{Session, Typed};
use crate::common::readme::{missing, steps};
use crate::common::registry::artifacts;
use crate::common::{Home, output_of};

/// What the demo printed last.
struct Kept {
    /// Sets up a shell for the tour.
    set_up: Vec<String>,
    /// Goes on from there to a home in which nothing is added.
    begin_anew: Vec<String>,
}

/// Plays the demo in the cluster of this run, once.
fn kept() -> &'static Kept {
    static KEPT: OnceLock<Kept> = OnceLock::new();
    KEPT.get_or_init(|| {
        let cluster = Cluster::attach_or_start(Profile::Node).unwrap();
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut demo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        demo.args(["xtask", "demo", "--keep", "--cluster"]).arg(cluster.directory()).current_dir(repository);
        let output = output_of(&mut demo);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "the demo failed: {said}");
        let (_, last) = said.split_once("\n# The cluster stays.").unwrap();
        let mut parts = last.split("\n# ").map(|part| part.lines().skip(1).map(str::to_owned).collect());
        Kept { set_up: parts.next().unwrap(), begin_anew: parts.next().unwrap() }
    })
}

/// A shell with nothing of the outer environment, in which these lines were typed; what the last of them came to.
fn shell(home: &Home, lines: &[&[String]]) -> (Session, Typed) {
    let mut shell = Session::start(home.path());
    let mut last = None;
    for line in lines.concat() {
        let typed = shell.enter(&line, None);
        assert_eq!(typed.code, 0, "`{line}`: {}", typed.said);
        last = Some(typed);
    }
    (shell, last.unwrap())
}

/// The first-party commands.
fn commands() -> BTreeSet<String> {
    let folders = fs_err::read_dir(artifacts()).unwrap();
    folders.map(|folder| folder.unwrap().file_name().into_string().unwrap()).collect()
}

/// The first-party commands in a list of what is available, and whether it says that each is added.
fn listed(list: &str) -> BTreeMap<String, bool> {
    let rows =
        list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).filter(|row| row.len() > 4);
    let rows = rows.map(|row| (row[0].to_owned(), row[3..5] != ["not", "installed"]));
    let commands = commands();
    rows.filter(|(name, _)| commands.contains(name)).collect()
}

/// All first-party commands, and whether each is to be added.
fn all_with(is_added: fn(&str) -> bool) -> BTreeMap<String, bool> {
    commands().into_iter().map(|name| (name.clone(), is_added(&name))).collect()
}

#[test]
fn tour_of_the_readme_works_word_for_word_after_the_demo() {
    if skip_without_node("tour_of_the_readme_works_word_for_word_after_the_demo") {
        return;
    }
    let home = Home::empty();
    let (mut shell, list) = shell(&home, &[&kept().set_up]);
    assert_eq!(listed(&list.said), all_with(|name| name != "train"), "{}", list.said);

    let steps = steps(include_str!("../../README.md"), "A five-minute tour");
    let lines: Vec<&str> = steps.iter().map(|step| step.line.as_str()).collect();
    assert!(lines.len() > 7 && lines.contains(&"kf command add train"), "{lines:?}");
    for step in &steps {
        let line = &step.line;
        let Typed { code, said } = shell.enter(line, step.answer.as_deref());
        assert_eq!(missing(step, &said), [""; 0], "`{line}` ends with {code} and says:\n{said}");
        let is_refused = step.output.iter().any(|line| line.starts_with("error: "));
        assert_eq!(code == 0, !is_refused, "`{line}` ends with {code}: {said}");
        if line == "echo $?" {
            assert_eq!(said.trim(), step.output.concat(), "the exit code that is shown");
        }
    }
}

#[test]
fn empty_home_with_the_registry_of_the_demo_lists_and_adds_its_commands() {
    if skip_without_node("empty_home_with_the_registry_of_the_demo_lists_and_adds_its_commands") {
        return;
    }
    let home = Home::empty();
    let (mut shell, _) = shell(&home, &[&kept().set_up, &kept().begin_anew]);
    let list = shell.enter("kf command list --available", None);
    assert_eq!(listed(&list.said), all_with(|_| false), "{}", list.said);
    for (line, said) in [("kf command add hello", "Added hello 0.1.0"), ("kf hello", "hello world")] {
        let typed = shell.enter(line, None);
        assert!(typed.code == 0 && typed.said.contains(said), "`{line}`: {}", typed.said);
    }
}
