//! The help of every command, of the host and of the first-party plugins, in one file: `reference.snap`.
//!
//! A review sees every change of it. `INSTA_UPDATE=always cargo xtask test reference` updates it.

use std::collections::BTreeSet;

use crate::common::Home;
use crate::common::registry::artifacts;

/// The first-party commands.
fn plugins() -> Vec<String> {
    let folders = fs_err::read_dir(artifacts()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = folders.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

/// The section that most commands share; it is shown in full only where it differs.
const GLOBAL: &str = "Global options:\n";

/// Adds the help of a command and of its subcommands.
fn collect(home: &Home, command: &[&str], shown: &mut BTreeSet<String>, reference: &mut String) {
    let help = home.run(command.iter().chain(&["--help"])).success();
    assert_eq!(help.stderr, "", "{command:?}");
    let global = global_options(&help.stdout);
    let text = if shown.contains(&global) {
        help.stdout.replace(&global, &format!("{GLOBAL}  as above\n"))
    } else {
        help.stdout.clone()
    };
    shown.insert(global);
    let line = [&["kf"], command, &["--help"]].concat().join(" ");
    reference.push_str(&format!("$ {line}\n{text}\n"));
    for name in subcommands(&help.stdout) {
        collect(home, &[command, &[name]].concat(), shown, reference);
    }
}

/// The section of the global options, up to the next one or the end.
fn global_options(help: &str) -> String {
    let (_, section) = help.split_once(GLOBAL).unwrap();
    let lines = section.split_inclusive('\n').take_while(|line| line.starts_with([' ', '\n']));
    let section: String = std::iter::once(GLOBAL).chain(lines).collect();
    format!("{}\n", section.trim_end())
}

/// The headings in kf's help under which added commands are listed.
const GROUPS: [&str; 6] =
    ["Training:", "Notebooks:", "Serving:", "Workloads:", "Namespaces:", "Other commands:"];

/// The names in lists of commands, without `help`. kf's own come first; the others are sorted, so that a new group does
/// not move them.
fn subcommands(help: &str) -> Vec<&str> {
    let listed = |heads: &[&str]| {
        let paragraphs = help.split("\n\n").filter_map(|paragraph| paragraph.split_once('\n'));
        let lists = paragraphs.filter(|(head, _)| heads.contains(head));
        let lines = lists
            .flat_map(|(_, list)| list.lines())
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let names = lines.filter_map(|line| line.split_whitespace().next());
        names.filter(|name| *name != "help" && !name.starts_with('-')).collect::<Vec<_>>()
    };
    let mut added = listed(&GROUPS);
    added.sort_unstable();
    [listed(&["Commands:", "Setup:"]), added].concat()
}

#[test]
fn reference_has_help_of_every_command() {
    let names = plugins();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let home = Home::with_commands(&names);
    let mut reference = String::new();
    collect(&home, &[], &mut BTreeSet::new(), &mut reference);
    for name in names {
        assert!(reference.contains(&format!("$ kf {name} --help\n")), "{name} is not reached from kf --help");
    }
    let reference = reference.replace(&home.path().display().to_string(), "[HOME]");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(".");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("reference", reference));
}
