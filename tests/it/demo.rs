//! `cargo xtask demo --keep`, followed by README.md's tour.
//!
//! The demo runs in the cluster of this test run. Its last lines, and then the lines of the README's tour, are typed in
//! an empty shell. kf's output must have every line that the README shows, except for numbers and durations.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use kf_tests::cluster::{Cluster, Profile, skip_without_node};

use crate::common::bash::{Session, Typed};
use crate::common::readme::{missing, steps};
use crate::common::registry::artifacts;
use crate::common::{Home, output_of};

/// The last lines of the demo's output.
struct Kept {
    /// Sets up a shell for the tour.
    set_up: Vec<String>,
    /// After that, switches to a home without added commands.
    start_over: Vec<String>,
}

/// Runs the demo in the cluster of this run, once.
fn kept() -> &'static Kept {
    static KEPT: OnceLock<Kept> = OnceLock::new();
    KEPT.get_or_init(|| {
        let cluster = Cluster::attach_or_start(Profile::Node).unwrap();
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut demo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        demo.args(["xtask", "demo", "--keep", "--cluster"]).arg(cluster.directory()).current_dir(repository);
        let output = output_of(&mut demo);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "the demo failed: {stderr}");
        let (_, last) = stderr.split_once("\n# The cluster stays.").unwrap();
        let mut parts = last.split("\n# ").map(|part| part.lines().skip(1).map(str::to_owned).collect());
        Kept { set_up: parts.next().unwrap(), start_over: parts.next().unwrap() }
    })
}

/// A shell without the outer environment in which these lines were typed, and the result of the last one.
fn shell(home: &Home, lines: &[&[String]]) -> (Session, Typed) {
    let mut shell = Session::start(home.path());
    let mut last = None;
    for line in lines.concat() {
        let typed = shell.enter(&line, None);
        assert_eq!(typed.code, 0, "`{line}`: {}", typed.output);
        last = Some(typed);
    }
    (shell, last.unwrap())
}

/// The first-party commands.
fn commands() -> BTreeSet<String> {
    let folders = fs_err::read_dir(artifacts()).unwrap();
    folders.map(|folder| folder.unwrap().file_name().into_string().unwrap()).collect()
}

/// The first-party commands in the list of available commands, and whether each is added.
fn listed(list: &str) -> BTreeMap<String, bool> {
    let rows =
        list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).filter(|row| row.len() > 4);
    let rows = rows.map(|row| (row[0].to_owned(), row[3..5] != ["not", "installed"]));
    let commands = commands();
    rows.filter(|(name, _)| commands.contains(name)).collect()
}

/// All first-party commands, and whether each should be added.
fn all_with(is_added: fn(&str) -> bool) -> BTreeMap<String, bool> {
    commands().into_iter().map(|name| (name.clone(), is_added(&name))).collect()
}

#[test]
fn readme_tour_works_after_demo() {
    if skip_without_node("readme_tour_works_after_demo") {
        return;
    }
    let home = Home::empty();
    let (mut shell, list) = shell(&home, &[&kept().set_up]);
    assert_eq!(listed(&list.output), all_with(|name| name != "train"), "{}", list.output);

    let steps = steps(include_str!("../../README.md"), "A five-minute tour");
    let lines: Vec<&str> = steps.iter().map(|step| step.line.as_str()).collect();
    assert!(lines.len() > 7 && lines.contains(&"kf command add train"), "{lines:?}");
    for step in &steps {
        let line = &step.line;
        let Typed { code, output } = shell.enter(line, step.answer.as_deref());
        assert_eq!(missing(step, &output), [""; 0], "`{line}` exited with {code}:\n{output}");
        let is_refused = step.output.iter().any(|line| line.starts_with("error: "));
        assert_eq!(code == 0, !is_refused, "`{line}` exited with {code}: {output}");
        if line == "echo $?" {
            assert_eq!(output.trim(), step.output.concat(), "the exit code shown");
        }
    }
}

#[test]
fn demo_registry_works_in_empty_home() {
    if skip_without_node("demo_registry_works_in_empty_home") {
        return;
    }
    let home = Home::empty();
    let (mut shell, _) = shell(&home, &[&kept().set_up, &kept().start_over]);
    let list = shell.enter("kf command list --available", None);
    assert_eq!(listed(&list.output), all_with(|_| false), "{}", list.output);
    for (line, expected) in [("kf command add hello", "Added hello 0.1.0"), ("kf hello", "hello world")] {
        let typed = shell.enter(line, None);
        assert!(typed.code == 0 && typed.output.contains(expected), "`{line}`: {}", typed.output);
    }
}
