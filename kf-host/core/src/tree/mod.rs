//! The tree of a command's subcommands and arguments, as data.
//!
//! A guest describes itself once, when it is published. After that the description is stored as JSON
//! (`command.json`), from which help, errors and completion are made: `--help` never starts a guest.
//! So this module does not depend on wasmtime, and reading a tree is as fast as reading JSON.
//!
//! The file has a format number and the list of commands, parents before their children:
//!
//! ```json
//! {"format": 1, "commands": [{"path": [], "about": "Say hello", "arguments": []}]}
//! ```

use serde::{Deserialize, Serialize};

mod check;
mod paths;

pub use check::TreeError;
pub use paths::PathArguments;

/// The only format of `command.json`.
pub const FORMAT: u32 = 1;

/// The type of an argument's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueType {
    #[default]
    Text,
    Integer,
    Number,
    Boolean,
    /// A duration such as `90s` or `2h`.
    Duration,
    /// A file, which the command can then read, and no other.
    File,
    /// A directory, whose regular files the command can then read, and no other.
    Directory,
    /// A name, or a file that the command can then read: see [`ValueType::is_file`].
    NameOrFile,
}

impl ValueType {
    /// Whether a value of this type names a file that the command can then read.
    #[must_use]
    pub fn is_file(self, value: &str) -> bool {
        match self {
            Self::File => true,
            // No object has such a name: the extensions of manifest files, and stdin.
            Self::NameOrFile => {
                value == "-" || MANIFEST_EXTENSIONS.iter().any(|extension| value.ends_with(extension))
            }
            _ => false,
        }
    }
}

/// The extensions of manifest files.
const MANIFEST_EXTENSIONS: [&str; 3] = [".yaml", ".yml", ".json"];

/// Where shell completion gets an argument's values from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Completion {
    #[default]
    None,
    /// The names of the objects of a kind in the namespace, as `group/Kind`; core is `/Pod`.
    Objects(String),
    /// Local files, completed by the shell.
    Files,
    /// The command's own `complete`.
    Dynamic,
}

/// One of the allowed values of an argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PossibleValue {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// How an argument is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArgumentKind {
    /// By position.
    Positional,
    /// `--long VALUE` or `-s VALUE`.
    Option,
    /// Takes no value.
    Flag,
    /// Takes no value; occurrences are counted.
    Count,
}

/// An argument of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Argument {
    /// Unique within its command.
    pub id: String,
    pub kind: ArgumentKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short: Option<char>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_name: Option<String>,
    #[serde(default)]
    pub value_type: ValueType,
    #[serde(default)]
    pub required: bool,
    /// Can be given several times, or takes several values.
    #[serde(default)]
    pub repeated: bool,
    /// Only after `--`.
    #[serde(default)]
    pub last: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub possible_values: Vec<PossibleValue>,
    #[serde(default)]
    pub help: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long_help: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heading: Option<String>,
    #[serde(default)]
    pub hidden: bool,
    /// Ids of arguments of the same command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts_with: Vec<String>,
    /// Ids of arguments of the same command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    #[serde(default)]
    pub completion: Completion,
}

impl Argument {
    /// Whether its value names, or can name, a file or a directory that the command can then read.
    #[must_use]
    pub fn is_path(&self) -> bool {
        matches!(self.value_type, ValueType::File | ValueType::Directory | ValueType::NameOrFile)
    }
}

/// An example command line and what it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// The words after `kf`.
    pub command: String,
    pub about: String,
}

/// A command or subcommand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Empty for the command itself, then one word a level.
    pub path: Vec<String>,
    /// Imperative, under 60 characters, no period.
    pub about: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long_about: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Example>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<Argument>,
    /// One of its subcommands must be named.
    #[serde(default)]
    pub subcommand_required: bool,
    #[serde(default)]
    pub hidden: bool,
}

/// All commands of a plugin, parents before their children.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandTree {
    format: u32,
    pub commands: Vec<Command>,
}

impl CommandTree {
    /// A checked tree.
    ///
    /// # Errors
    ///
    /// The first problem in it.
    pub fn new(commands: Vec<Command>) -> Result<Self, TreeError> {
        check::check(&commands)?;
        Ok(Self { format: FORMAT, commands })
    }

    /// Checks a `command.json` that was read as part of something larger.
    ///
    /// # Errors
    ///
    /// As for [`CommandTree::from_json`].
    pub fn from_value(value: &serde_json::Value) -> Result<Self, TreeError> {
        let tree: Self = Self::deserialize(value)
            .map_err(|error| TreeError::Json(crate::text::escaped_line(&error.to_string())))?;
        tree.checked()
    }

    /// Reads and checks a `command.json`.
    ///
    /// # Errors
    ///
    /// It is not JSON, has unknown fields or another format, or [`CommandTree::new`] refuses it.
    pub fn from_json(json: &[u8]) -> Result<Self, TreeError> {
        let tree: Self = serde_json::from_slice(json)
            .map_err(|error| TreeError::Json(crate::text::escaped_line(&error.to_string())))?;
        tree.checked()
    }

    fn checked(self) -> Result<Self, TreeError> {
        if self.format != FORMAT {
            return Err(TreeError::Format(self.format));
        }
        check::check(&self.commands)?;
        Ok(self)
    }

    /// The bytes of a `command.json`, with a newline at the end.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).unwrap_or_default();
        json.push(b'\n');
        json
    }

    /// The command itself.
    #[must_use]
    pub fn root(&self) -> Option<&Command> {
        self.commands.first()
    }

    /// Whether any argument names a file or a directory, and so needs the interface that reads it.
    #[must_use]
    pub fn reads_files(&self) -> bool {
        self.commands.iter().flat_map(|command| &command.arguments).any(Argument::is_path)
    }
}
