//! The command tree as data.
//!
//! kf takes the tree once, when a command is published, signs it with the manifest and builds its
//! own parser, help and completion from it. So `kf train --help` starts no guest, and
//! looks like every other command's.

/// What an argument's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    Text,
    Integer,
    Number,
    Boolean,
    /// Such as `90s` or `2h`.
    Duration,
    /// A file the command may then read, and no other.
    File,
    /// A directory whose regular files the command may then read, and no other.
    Directory,
    /// A name, or a file the command may then read: what ends in `.yaml`, `.yml` or `.json`, or is `-`.
    NameOrFile,
}

/// Where completions of a value come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Completion {
    #[default]
    None,
    /// The names of the namespace's objects of a kind, as `group/Kind`; core is `/Pod`.
    Objects(String),
    /// Files of the user's machine.
    Files,
    /// The command's own [`crate::Command::complete`].
    Dynamic,
}

/// One of the values an argument takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PossibleValue {
    pub name: String,
    pub help: Option<String>,
}

/// How an argument is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentKind {
    Positional,
    Option,
    Flag,
    /// A flag that counts.
    Count,
}

/// An argument of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    pub id: String,
    pub kind: ArgumentKind,
    pub long: Option<String>,
    pub short: Option<char>,
    pub value_name: Option<String>,
    pub value_type: ValueType,
    pub required: bool,
    /// May be given several times, or takes several values.
    pub repeated: bool,
    /// Only after `--`.
    pub last: bool,
    pub default: Option<String>,
    pub env: Option<String>,
    pub possible_values: Vec<PossibleValue>,
    pub help: String,
    pub long_help: Option<String>,
    pub heading: Option<String>,
    pub hidden: bool,
    pub conflicts_with: Vec<String>,
    pub requires: Vec<String>,
    pub completion: Completion,
}

/// A line to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The words after `kf`.
    pub command: String,
    pub about: String,
}

/// The command itself or one of its subcommands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandNode {
    /// Empty for the command itself, then one word a level.
    pub path: Vec<String>,
    pub about: String,
    pub long_about: Option<String>,
    pub examples: Vec<Example>,
    pub arguments: Vec<Argument>,
    pub subcommand_required: bool,
    pub hidden: bool,
}

/// What the shell asks when it completes an argument.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompletionRequest {
    /// The words after the command's name, the last one unfinished.
    pub words: Vec<String>,
    /// The argument asked for.
    pub argument: String,
}

impl CompletionRequest {
    /// What is typed so far of the value.
    #[must_use]
    pub fn word(&self) -> &str {
        self.words.last().map_or("", String::as_str)
    }
}

/// One answer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub value: String,
    pub help: Option<String>,
}

impl From<&str> for Candidate {
    fn from(value: &str) -> Self {
        Self { value: value.into(), help: None }
    }
}

impl From<String> for Candidate {
    fn from(value: String) -> Self {
        Self { value, help: None }
    }
}
