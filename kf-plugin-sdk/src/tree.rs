//! The command tree.
//!
//! kf reads the tree once, when a command is published, signs it with the manifest and builds its own
//! parser, help and completion from it. So `kf train --help` does not start the component, and looks like the
//! help of every other command.

/// The type of an argument's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    Text,
    Integer,
    Number,
    Boolean,
    /// A duration such as `90s` or `2h`.
    Duration,
    /// A file that the command is then allowed to read.
    File,
    /// A directory whose regular files the command is then allowed to read.
    Directory,
    /// A name, or a file that the command is then allowed to read: a value that ends in `.yaml`, `.yml` or `.json`,
    /// or is `-`.
    NameOrFile,
}

/// The source of completions of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Completion {
    #[default]
    None,
    /// The names of objects of a kind in the namespace. The kind is `group/Kind`, or `/Pod` for the core group.
    Objects(String),
    /// Files on the user's machine.
    Files,
    /// The command's [`crate::Command::complete`].
    Dynamic,
}

/// A possible value of an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PossibleValue {
    pub name: String,
    pub help: Option<String>,
}

/// The kind of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentKind {
    Positional,
    Option,
    Flag,
    /// A flag that counts its occurrences.
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
    /// Whether it can be repeated or takes several values.
    pub repeated: bool,
    /// Whether it is only allowed after `--`.
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

/// A usage example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The words after `kf`.
    pub command: String,
    pub about: String,
}

/// The command itself or one of its subcommands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandNode {
    /// The names of the subcommands that lead to it; empty for the command itself.
    pub path: Vec<String>,
    pub about: String,
    pub long_about: Option<String>,
    pub examples: Vec<Example>,
    pub arguments: Vec<Argument>,
    pub subcommand_required: bool,
    pub hidden: bool,
}

/// A completion request of the shell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompletionRequest {
    /// The words after the command's name; the last one is incomplete.
    pub words: Vec<String>,
    /// The id of the argument to complete.
    pub argument: String,
}

impl CompletionRequest {
    /// Returns the part of the value that is typed so far.
    #[must_use]
    pub fn word(&self) -> &str {
        self.words.last().map_or("", String::as_str)
    }
}

/// A completion candidate.
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
