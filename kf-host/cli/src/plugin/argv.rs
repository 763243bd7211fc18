//! From what clap understood back to words for the guest.
//!
//! kf's own flags may stand anywhere among a command's words. Rather than cutting them out of the
//! raw line, the words are written afresh from what was parsed: subcommands, then flags and
//! options as `--name=value`, then positions, then what came after `--`. Only what the user or a
//! declared variable gave is passed; defaults are the guest's own.

use clap::ArgMatches;
use clap::parser::ValueSource;
use kf_sandbox::tree::{Argument, ArgumentKind, CommandTree, ValueType};

use super::clap_tree::clap_id;
use super::tree_rules::VARIABLE_PREFIX;

/// What the guest gets: its words, and the files they name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct GuestWords {
    pub words: Vec<String>,
    /// Values of arguments declared as files: each is a grant to read that file.
    pub files: Vec<String>,
}

/// `lookup` reads the environment; only variables that begin with `KF_` are asked for, so that no
/// tree can fetch a secret from the user's shell.
pub fn guest_words(
    tree: &CommandTree,
    matches: &ArgMatches,
    lookup: impl Fn(&str) -> Option<String>,
) -> GuestWords {
    let mut guest = GuestWords::default();
    let mut path: Vec<String> = Vec::new();
    let mut matches = matches;
    loop {
        let mut positions = Vec::new();
        let mut last = Vec::new();
        let node = tree.commands.iter().find(|node| node.path == path);
        for argument in node.iter().flat_map(|node| &node.arguments) {
            let values = values(argument, matches, &lookup);
            if argument.value_type == ValueType::File {
                guest.files.extend(values.iter().cloned());
            }
            match argument.kind {
                ArgumentKind::Positional if argument.last => last.extend(values),
                ArgumentKind::Positional => positions.extend(values),
                ArgumentKind::Option => {
                    guest.words.extend(values.iter().map(|value| option_word(argument, value)));
                }
                ArgumentKind::Flag | ArgumentKind::Count => guest.words.extend(values),
            }
        }
        if let Some((word, below)) = matches.subcommand() {
            guest.words.push(word.to_owned());
            path.push(word.to_owned());
            matches = below;
            continue;
        }
        if last.is_empty() && positions.iter().any(|word| word.starts_with('-') && word.len() > 1) {
            guest.words.push("--".to_owned());
        }
        guest.words.append(&mut positions);
        if !last.is_empty() {
            guest.words.push("--".to_owned());
            guest.words.append(&mut last);
        }
        return guest;
    }
}

fn option_word(argument: &Argument, value: &str) -> String {
    match (&argument.long, argument.short) {
        (Some(long), _) => format!("--{long}={value}"),
        (None, Some(short)) => format!("-{short}{value}"),
        (None, None) => value.to_owned(),
    }
}

fn flag_word(argument: &Argument) -> Option<String> {
    match (&argument.long, argument.short) {
        (Some(long), _) => Some(format!("--{long}")),
        (None, Some(short)) => Some(format!("-{short}")),
        (None, None) => None,
    }
}

fn values(
    argument: &Argument,
    matches: &ArgMatches,
    lookup: &impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    let id = clap_id(argument);
    if matches.value_source(&id) != Some(ValueSource::CommandLine) {
        return from_environment(argument, lookup);
    }
    match argument.kind {
        ArgumentKind::Flag => flag_word(argument).into_iter().collect(),
        ArgumentKind::Count => {
            let times = usize::from(matches.get_count(&id));
            flag_word(argument).map(|word| vec![word; times]).unwrap_or_default()
        }
        ArgumentKind::Option | ArgumentKind::Positional => {
            matches.get_many::<String>(&id).map(|values| values.cloned().collect()).unwrap_or_default()
        }
    }
}

fn from_environment(argument: &Argument, lookup: &impl Fn(&str) -> Option<String>) -> Vec<String> {
    let Some(name) = argument.env.as_deref().filter(|name| name.starts_with(VARIABLE_PREFIX)) else {
        return Vec::new();
    };
    match argument.kind {
        ArgumentKind::Option => lookup(name).into_iter().collect(),
        _ => Vec::new(),
    }
}
