//! Validates a command tree before a command line is built from it.
//!
//! The tree comes from the guest. clap asserts much of this and would panic in the host, and the
//! rest would let a guest write anything into a user's help.

use std::collections::{HashMap, HashSet};

use super::{Argument, ArgumentKind, Command};
use crate::text::{excerpt, is_unsafe};

const MAX_COMMANDS: usize = 300;
const MAX_ARGUMENTS: usize = 200;
const MAX_DEPTH: usize = 6;
const MAX_LINE_BYTES: usize = 400;
const MAX_TEXT_BYTES: usize = 16 * 1024;
const MAX_LIST_LEN: usize = 200;

/// Why a command tree is invalid. `command` is the path of a subcommand, empty for the command
/// itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    #[error("the command tree is not valid JSON: {0}")]
    Json(String),
    #[error("the command tree has format {0}, this kf supports 1")]
    Format(u32),
    #[error("the command tree has no commands")]
    Empty,
    #[error("the command tree {0}")]
    TooLarge(String),
    #[error("`{command}` in the command tree {problem}")]
    Command { command: String, problem: String },
}

pub(super) fn check(commands: &[Command]) -> Result<(), TreeError> {
    let Some(root) = commands.first() else { return Err(TreeError::Empty) };
    if commands.len() > MAX_COMMANDS {
        return Err(TreeError::TooLarge(format!("has {} commands, at most {MAX_COMMANDS}", commands.len())));
    }
    if !root.path.is_empty() {
        return Err(place(root, "comes first but is not the command itself".to_owned()));
    }
    let mut seen: HashSet<&[String]> = HashSet::new();
    for command in commands {
        if !seen.insert(&command.path) {
            return Err(place(command, "is defined twice".to_owned()));
        }
        if let Some((word, parent)) = command.path.split_last() {
            if command.path.len() > MAX_DEPTH {
                return Err(place(command, format!("is more than {MAX_DEPTH} levels deep")));
            }
            if !is_word(word) || word == "help" {
                return Err(place(command, format!("has the invalid name `{}`", excerpt(word))));
            }
            if !seen.contains(parent) {
                return Err(place(command, "comes before its parent".to_owned()));
            }
        }
        check_command(command).map_err(|problem| place(command, problem))?;
    }
    for command in commands.iter().filter(|command| command.subcommand_required) {
        let children =
            commands.iter().any(|other| other.path.split_last().is_some_and(|(_, p)| p == command.path));
        if !children {
            return Err(place(command, "requires a subcommand but has none".to_owned()));
        }
    }
    Ok(())
}

fn place(command: &Command, problem: String) -> TreeError {
    TreeError::Command { command: excerpt(&command.path.join(" ")), problem }
}

fn check_command(command: &Command) -> Result<(), String> {
    line("about", &command.about)?;
    text("long about", command.long_about.as_deref())?;
    count("examples", command.examples.len(), MAX_LIST_LEN)?;
    for example in &command.examples {
        line("example", &example.command)?;
        line("example's about", &example.about)?;
    }
    count("arguments", command.arguments.len(), MAX_ARGUMENTS)?;
    let mut ids = HashSet::new();
    let mut names: HashMap<String, &str> = HashMap::new();
    for argument in &command.arguments {
        if !ids.insert(argument.id.as_str()) {
            return Err(format!("has two arguments `{}`", excerpt(&argument.id)));
        }
        let of = |problem: String| format!("has an argument `{}` that {problem}", excerpt(&argument.id));
        check_argument(argument).map_err(of)?;
        let long = argument.long.as_ref().map(|long| format!("--{long}"));
        let short = argument.short.map(|short| format!("-{short}"));
        for name in long.into_iter().chain(short) {
            if ["--help", "-h"].contains(&name.as_str()) {
                return Err(of(format!("has the name `{name}`, which is reserved by kf")));
            }
            if let Some(other) = names.insert(name.clone(), &argument.id) {
                return Err(of(format!("shares the name `{name}` with `{other}`")));
            }
        }
    }
    for argument in &command.arguments {
        let others = argument.conflicts_with.iter().chain(&argument.requires);
        if let Some(missing) = others.into_iter().find(|other| !ids.contains(other.as_str())) {
            let (id, missing) = (&argument.id, excerpt(missing));
            return Err(format!("has an argument `{id}` that names the unknown argument `{missing}`"));
        }
    }
    check_positions(&command.arguments)
}

fn check_argument(argument: &Argument) -> Result<(), String> {
    if !is_id(&argument.id) {
        return Err("has an invalid id: must be 1 to 60 letters, digits, `-` and `_`".to_owned());
    }
    let named = argument.long.is_some() || argument.short.is_some();
    match argument.kind {
        ArgumentKind::Positional if named => return Err("is positional but has a name".to_owned()),
        ArgumentKind::Positional => {}
        _ if !named => return Err("has neither a long nor a short name".to_owned()),
        _ if argument.last => {
            return Err("is named, but only positional arguments can follow `--`".to_owned());
        }
        ArgumentKind::Flag | ArgumentKind::Count
            if argument.required || argument.default.is_some() || !argument.possible_values.is_empty() =>
        {
            return Err("takes no value but is required, has a default or lists values".to_owned());
        }
        _ => {}
    }
    if let Some(long) = &argument.long
        && !is_word(long)
    {
        return Err(format!("has the invalid name `--{}`", excerpt(long)));
    }
    if argument.short.is_some_and(|short| !short.is_ascii_alphanumeric()) {
        return Err("has a short name that is not an ASCII letter or digit".to_owned());
    }
    if argument.env.as_ref().is_some_and(|env| !is_variable(env)) {
        return Err("has an invalid environment variable: only upper-case letters, digits and `_`".to_owned());
    }
    if argument.is_path() && !argument.possible_values.is_empty() {
        return Err("is a path but lists values; only the user chooses paths".to_owned());
    }
    if argument.required && argument.default.is_some() {
        return Err("is required and has a default".to_owned());
    }
    for (what, value) in [
        ("value name", argument.value_name.as_deref()),
        ("default", argument.default.as_deref()),
        ("heading", argument.heading.as_deref()),
    ] {
        line(what, value.unwrap_or_default())?;
    }
    text("help", Some(&argument.help))?;
    text("long help", argument.long_help.as_deref())?;
    count("possible values", argument.possible_values.len(), MAX_LIST_LEN)?;
    count("conflicts", argument.conflicts_with.len(), MAX_LIST_LEN)?;
    count("requirements", argument.requires.len(), MAX_LIST_LEN)?;
    let mut values = HashSet::new();
    for value in &argument.possible_values {
        line("possible value", &value.name)?;
        line("possible value's help", value.help.as_deref().unwrap_or_default())?;
        if value.name.is_empty() || !values.insert(&value.name) {
            return Err("lists an empty or repeated value".to_owned());
        }
    }
    if let Some(default) = &argument.default
        && !values.is_empty()
        && !values.contains(default)
    {
        return Err("has a default that is not one of its values".to_owned());
    }
    Ok(())
}

/// Words are assigned to positions from the left, so only the last one can take several, and required
/// ones must come before optional ones.
fn check_positions(arguments: &[Argument]) -> Result<(), String> {
    let positional: Vec<_> = arguments.iter().filter(|a| a.kind == ArgumentKind::Positional).collect();
    let ordinary: Vec<_> = positional.iter().filter(|a| !a.last).collect();
    if positional.len() > ordinary.len() + 1 {
        return Err("has several arguments after `--`".to_owned());
    }
    if positional.iter().rev().skip(1).any(|a| a.last) {
        return Err("has a positional argument after the one for `--`".to_owned());
    }
    if ordinary.iter().rev().skip(1).any(|a| a.repeated) {
        return Err("has a positional argument after one that takes several words".to_owned());
    }
    if ordinary.is_sorted_by_key(|a| !a.required) {
        Ok(())
    } else {
        Err("has a required argument after an optional one".to_owned())
    }
}

fn is_word(word: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=40).contains(&word.len())
        && word.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && word.chars().all(inner)
}

fn is_id(id: &str) -> bool {
    (1..=60).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

fn is_variable(name: &str) -> bool {
    (1..=60).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

fn line(what: &str, value: &str) -> Result<(), String> {
    if value.len() > MAX_LINE_BYTES {
        return Err(format!("has a {what} longer than {MAX_LINE_BYTES} bytes"));
    }
    if value.chars().any(is_unsafe) {
        return Err(format!("has a {what} with a control or invisible character"));
    }
    Ok(())
}

fn text(what: &str, value: Option<&str>) -> Result<(), String> {
    let value = value.unwrap_or_default();
    if value.len() > MAX_TEXT_BYTES {
        return Err(format!("has a {what} longer than {MAX_TEXT_BYTES} bytes"));
    }
    if value.chars().any(|c| is_unsafe(c) && c != '\n' && c != '\t') {
        return Err(format!("has a {what} with a control or invisible character"));
    }
    Ok(())
}

fn count(what: &str, number: usize, limit: usize) -> Result<(), String> {
    if number > limit { Err(format!("has {number} {what}, at most {limit}")) } else { Ok(()) }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
