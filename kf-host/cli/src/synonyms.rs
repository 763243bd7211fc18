//! What other tools call what kf has.
//!
//! People who come from kubectl, docker or Slurm type those words first. Each leads to the command that does the
//! same here, if there is one.

/// What something is called here, and what others call it.
type Synonyms = &'static [(&'static str, &'static [&'static str])];

/// A command that was added or can be, by the words that others have for it.
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

/// Lines of kf's own, by the words that others have for them.
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

/// The same below a command of kf's own.
const BELOW: &[(&str, Synonyms)] = &[
    (
        "kf command",
        &[
            ("add", &["install", "get", "i"]),
            ("remove", &["uninstall", "delete", "rm"]),
            ("list", &["ls", "installed"]),
            ("list --available", &["search", "find", "available"]),
            ("describe", &["info", "show", "inspect"]),
            ("upgrade", &["update", "outdated"]),
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

/// The command that does what a word says elsewhere.
pub fn command(word: &str) -> Option<&'static str> {
    find(COMMANDS, word)
}

/// The line of kf's own that does it.
pub fn line(word: &str) -> Option<&'static str> {
    find(LINES, word)
}

/// The line that does it, below a command of kf's own such as `kf command`.
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
    fn no_word_means_two_things() {
        let top = vec![COMMANDS, LINES];
        for tables in BELOW.iter().map(|(_, table)| vec![*table]).chain([top]) {
            let table = tables.concat();
            let mut seen = BTreeSet::new();
            let words = table.iter().flat_map(|(_, words)| words.iter());
            words.for_each(|word| assert!(seen.insert(*word), "{word}"));
            assert!(table.iter().all(|(name, _)| !seen.contains(name)), "a name is no synonym: {table:?}");
        }
    }

    #[test]
    fn every_line_of_kf_s_own_is_there() {
        let lines = LINES.iter().map(|(line, _)| (*line).to_owned());
        let below = BELOW
            .iter()
            .flat_map(|(parent, table)| table.iter().map(move |(verb, _)| format!("{parent} {verb}")));
        for line in lines.chain(below) {
            let error = Cli::command().try_get_matches_from(line.split(' ')).err().map(|error| error.kind());
            // What is named may take more words.
            let unknown =
                [clap::error::ErrorKind::InvalidSubcommand, clap::error::ErrorKind::UnknownArgument];
            assert!(error.is_none_or(|kind| !unknown.contains(&kind)), "{line}: {error:?}");
        }
    }
}
