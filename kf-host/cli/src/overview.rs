//! The list of commands in `kf --help`, grouped under headings.
//!
//! clap supports only one heading for all subcommands. So the help template lists them, and they are hidden from clap's
//! own list.

use std::collections::BTreeMap;

use clap::Command;

use crate::show::wrap::wrapped;

/// The groups that a manifest can name, with their headings, in order.
const GROUPS: [(&str, &str); 5] = [
    ("training", "Training"),
    ("notebooks", "Notebooks"),
    ("serving", "Serving"),
    ("workloads", "Workloads"),
    ("namespaces", "Namespaces"),
];

/// The heading of kf's own commands.
const OWN_HEADING: &str = "Setup";

/// The last heading, for commands without a group, or with one that this version of kf does not know.
const OTHER_HEADING: &str = "Other commands";

/// The section of the list that a command is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section<'a> {
    Own,
    Group(Option<&'a str>),
}

impl Section<'_> {
    fn heading(self) -> &'static str {
        match self {
            Self::Own => OWN_HEADING,
            Self::Group(group) => {
                let known = GROUPS.iter().find(|(name, _)| Some(*name) == group);
                known.map_or(OTHER_HEADING, |(_, heading)| *heading)
            }
        }
    }
}

/// The command with its subcommands listed under headings, in lines of at most `width` characters.
pub fn grouped<'a>(command: Command, section: impl Fn(&str) -> Section<'a>, width: usize) -> Command {
    let list = list(&command, section, width);
    let template =
        format!("{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{list}{{all-args}}{{after-help}}");
    let usage = format!("{} [OPTIONS] <COMMAND>", command.get_name());
    command.mut_subcommands(|below| below.hide(true)).help_template(template).override_usage(usage)
}

fn list<'a>(command: &Command, section: impl Fn(&str) -> Section<'a>, width: usize) -> String {
    let shown = || command.get_subcommands().filter(|below| !below.is_hide_set());
    let names = shown().map(|below| below.get_name().len()).max().unwrap_or(0);
    let mut under: BTreeMap<&str, Vec<&Command>> = BTreeMap::new();
    for below in shown() {
        under.entry(section(below.get_name()).heading()).or_default().push(below);
    }
    let mut list = String::new();
    for heading in GROUPS.iter().map(|(_, heading)| *heading).chain([OWN_HEADING, OTHER_HEADING]) {
        let Some(commands) = under.get(heading) else { continue };
        list.push_str(heading);
        list.push_str(":\n");
        for command in commands {
            // Braces are template syntax.
            let about =
                command.get_about().map(ToString::to_string).unwrap_or_default().replace(['{', '}'], "");
            for line in wrapped(&format!("  {:names$}  ", command.get_name()), &about, width) {
                list.push_str(line.trim_end());
                list.push('\n');
            }
        }
        list.push('\n');
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(section: impl Fn(&str) -> Section<'static>, width: usize) -> String {
        let below = |name: &'static str, about: &'static str| Command::new(name).about(about);
        let command = Command::new("kf").about("The command line").subcommands([
            below("completion", "Print a script"),
            below("train", "Train a model"),
            below("tune", "Search for the best of {many} models"),
            below("hello", "Say hello"),
            below("secret", "Not listed").hide(true),
        ]);
        grouped(command, section, width).render_help().to_string()
    }

    fn section(name: &str) -> Section<'static> {
        match name {
            "completion" => Section::Own,
            "train" | "tune" => Section::Group(Some("training")),
            "hello" => Section::Group(Some("of-a-newer-kf")),
            _ => Section::Group(None),
        }
    }

    #[test]
    fn commands_are_listed_under_group_headings() {
        assert_eq!(
            help(section, 80),
            "The command line

Usage: kf [OPTIONS] <COMMAND>

Training:
  train       Train a model
  tune        Search for the best of many models

Setup:
  completion  Print a script

Other commands:
  hello       Say hello

Options:
  -h, --help  Print help
"
        );
    }

    #[test]
    fn overview_lines_fit_terminal_width() {
        let help = help(section, 40);
        assert!(help.contains("  tune        Search for the best of\n              many models\n"), "{help}");
    }

    #[test]
    fn command_without_group_is_listed_last() {
        let help = help(|_| Section::Group(None), 80);
        assert_eq!(help.matches(":\n").count(), 2, "{help}");
        assert!(help.contains("Other commands:\n  completion"), "{help}");
    }

    #[test]
    fn hidden_commands_still_parse() {
        let command = grouped(Command::new("kf").subcommand(Command::new("train")), |_| Section::Own, 80);
        assert!(command.try_get_matches_from(["kf", "train"]).is_ok());
    }
}
