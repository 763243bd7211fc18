//! Names that other tools use for kf's commands.
//!
//! Users of kubectl, docker or Slurm may type these. An error then suggests the matching command of kf.

/// Names in kf, each with its synonyms.
type Synonyms = &'static [(&'static str, &'static [&'static str])];

/// Commands that are added or can be, with synonyms.
const COMMANDS: Synonyms = &[
    ("delete", &["delete-namespace"]),
    ("events", &["event"]),
    ("jupyter", &["jupyterlab", "lab"]),
    ("logs", &["log", "tail"]),
    ("notebook", &["notebooks", "nb"]),
    ("pipeline", &["pipelines", "kfp"]),
    ("remove", &["rm", "del", "destroy", "kill", "cancel", "scancel"]),
    ("run", &["exec"]),
    ("serve", &["deploy", "predict"]),
    ("services", &["service", "svc", "port-forward"]),
    ("shell", &["sh", "bash", "ssh", "attach"]),
    ("status", &["get", "ps", "ls", "list", "describe", "info", "show", "jobs", "squeue"]),
    ("tensorboard", &["tb"]),
    ("train", &["submit", "job", "fit", "sbatch", "apply"]),
    ("tune", &["sweep", "hpo", "experiment", "optimize"]),
    ("use", &["ns", "namespace", "project", "switch"]),
    ("whoami", &["who", "id", "auth", "login"]),
];

/// Command lines of kf's own commands, with synonyms.
const LINES: Synonyms = &[
    ("kf --version", &["version"]),
    ("kf command add", &["add", "install"]),
    ("kf command list --available", &["search"]),
    ("kf command upgrade", &["upgrade", "update"]),
    ("kf command list", &["plugin", "plugins", "commands"]),
    ("kf completion", &["complete"]),
    ("kf doctor", &["check", "diagnose", "troubleshoot"]),
    ("kf man", &["manual", "manpage"]),
];

/// The same for subcommands of kf's own commands.
const BELOW: &[(&str, Synonyms)] = &[
    (
        "kf command",
        &[
            ("add", &["install", "get", "i"]),
            ("remove", &["uninstall", "delete", "rm"]),
            ("list", &["ls", "installed"]),
            ("list --available", &["search", "find", "available"]),
            ("describe", &["info", "show", "inspect"]),
            ("upgrade", &["update"]),
            ("rollback", &["undo", "revert", "downgrade"]),
            ("verify", &["check", "audit"]),
        ],
    ),
    (
        "kf registry",
        &[
            ("add", &["install", "set"]),
            ("remove", &["delete", "rm"]),
            ("list", &["ls", "show"]),
            ("build", &["create", "publish"]),
        ],
    ),
];

fn find(table: Synonyms, word: &str) -> Option<&'static str> {
    table.iter().find(|(_, words)| words.contains(&word)).map(|(name, _)| *name)
}

/// The command for a synonym.
pub fn command(word: &str) -> Option<&'static str> {
    find(COMMANDS, word)
}

/// The command line of kf's own command for a synonym.
pub fn line(word: &str) -> Option<&'static str> {
    find(LINES, word)
}

/// The command line for a synonym of a subcommand, below a parent such as `kf command`.
pub fn below(parent: &str, word: &str) -> Option<String> {
    let (_, table) = BELOW.iter().find(|(known, _)| *known == parent)?;
    find(table, word).map(|verb| format!("{parent} {verb}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::*;
    use crate::commands::Cli;

    #[test]
    fn synonyms_are_unambiguous() {
        let top = vec![COMMANDS, LINES];
        for tables in BELOW.iter().map(|(_, table)| vec![*table]).chain([top]) {
            let table = tables.concat();
            let mut seen = BTreeSet::new();
            let words = table.iter().flat_map(|(_, words)| words.iter());
            words.for_each(|word| assert!(seen.insert(*word), "{word}"));
            assert!(
                table.iter().all(|(name, _)| !seen.contains(name)),
                "a name is also a synonym: {table:?}"
            );
        }
    }

    #[test]
    fn synonym_targets_exist() {
        let lines = LINES.iter().map(|(line, _)| (*line).to_owned());
        let below = BELOW
            .iter()
            .flat_map(|(parent, table)| table.iter().map(move |(verb, _)| format!("{parent} {verb}")));
        for line in lines.chain(below) {
            let error = Cli::command().try_get_matches_from(line.split(' ')).err().map(|error| error.kind());
            // Missing arguments are not an error here.
            let unknown =
                [clap::error::ErrorKind::InvalidSubcommand, clap::error::ErrorKind::UnknownArgument];
            assert!(error.is_none_or(|kind| !unknown.contains(&kind)), "{line}: {error:?}");
        }
    }
}
