//! The list of commands in `kf --help`, under headings.
//!
//! clap has one heading for all subcommands of a command. So they are listed in the template of the help, and hidden
//! from the list that clap would make.

use std::collections::BTreeMap;

use clap::Command;

use crate::show::wrap::wrapped;

/// The groups that a manifest may name, with their headings, in the order of the list.
const GROUPS: [(&str, &str); 5] = [
    ("training", "Training"),
    ("notebooks", "Notebooks"),
    ("serving", "Serving"),
    ("workloads", "Workloads"),
    ("namespaces", "Namespaces"),
];

/// The heading of kf's own commands.
const OWN: &str = "Setup";

/// The last heading: of commands without a group, or of one that this kf does not know.
const OTHERS: &str = "Other commands";

/// Where a command belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belongs<'a> {
    ToKf,
    ToGroup(Option<&'a str>),
}

impl Belongs<'_> {
    fn heading(self) -> &'static str {
        match self {
            Self::ToKf => OWN,
            Self::ToGroup(group) => {
                let known = GROUPS.iter().find(|(name, _)| Some(*name) == group);
                known.map_or(OTHERS, |(_, heading)| *heading)
            }
        }
    }
}

/// The command with its subcommands listed under headings, in lines that are not wider than `width`.
pub fn grouped<'a>(command: Command, belongs: impl Fn(&str) -> Belongs<'a>, width: usize) -> Command {
    let list = list(&command, belongs, width);
    let template =
        format!("{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{list}{{all-args}}{{after-help}}");
    let usage = format!("{} [OPTIONS] <COMMAND>", command.get_name());
    command.mut_subcommands(|below| below.hide(true)).help_template(template).override_usage(usage)
}

fn list<'a>(command: &Command, belongs: impl Fn(&str) -> Belongs<'a>, width: usize) -> String {
    let shown = || command.get_subcommands().filter(|below| !below.is_hide_set());
    let names = shown().map(|below| below.get_name().len()).max().unwrap_or(0);
    let mut under: BTreeMap<&str, Vec<&Command>> = BTreeMap::new();
    for below in shown() {
        under.entry(belongs(below.get_name()).heading()).or_default().push(below);
    }
    let mut list = String::new();
    for heading in GROUPS.iter().map(|(_, heading)| *heading).chain([OWN, OTHERS]) {
        let Some(commands) = under.get(heading) else { continue };
        list.push_str(heading);
        list.push_str(":\n");
        for command in commands {
            // Braces are the template's own language.
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

    fn help(belongs: impl Fn(&str) -> Belongs<'static>, width: usize) -> String {
        let below = |name: &'static str, about: &'static str| Command::new(name).about(about);
        let command = Command::new("kf").about("The command line").subcommands([
            below("completion", "Print a script"),
            below("train", "Train a model"),
            below("tune", "Search for the best of {many} models"),
            below("hello", "Say hello"),
            below("secret", "Not listed").hide(true),
        ]);
        grouped(command, belongs, width).render_help().to_string()
    }

    fn belongs(name: &str) -> Belongs<'static> {
        match name {
            "completion" => Belongs::ToKf,
            "train" | "tune" => Belongs::ToGroup(Some("training")),
            "hello" => Belongs::ToGroup(Some("of-a-newer-kf")),
            _ => Belongs::ToGroup(None),
        }
    }

    #[test]
    fn commands_are_listed_under_the_heading_of_their_group() {
        assert_eq!(
            help(belongs, 80),
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
    fn lines_are_not_wider_than_the_terminal() {
        let help = help(belongs, 40);
        assert!(help.contains("  tune        Search for the best of\n              many models\n"), "{help}");
    }

    #[test]
    fn command_without_a_group_is_listed_last() {
        let help = help(|_| Belongs::ToGroup(None), 80);
        assert_eq!(help.matches(":\n").count(), 2, "{help}");
        assert!(help.contains("Other commands:\n  completion"), "{help}");
    }

    #[test]
    fn hidden_commands_are_found_nonetheless() {
        let command = grouped(Command::new("kf").subcommand(Command::new("train")), |_| Belongs::ToKf, 80);
        assert!(command.try_get_matches_from(["kf", "train"]).is_ok());
    }
}
