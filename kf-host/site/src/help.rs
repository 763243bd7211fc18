//! The help of a command, as data.
//!
//! The command line makes it from the same parser as `kf COMMAND --help`, so usage and options are those of the help.

use crate::Text;

/// The help of a command or of one of its subcommands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Help {
    /// As typed: `kf train`, `kf notebook ls`.
    pub words: Text,
    pub about: Text,
    /// More than `about`, in paragraphs.
    pub long_about: Option<Text>,
    /// `kf train [OPTIONS] <NAME>`
    pub usage: Text,
    pub examples: Vec<Example>,
    /// Arguments and options under their headings.
    pub sections: Vec<Section>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// `kf train mnist`
    pub line: Text,
    pub about: Text,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub heading: Text,
    pub arguments: Vec<Argument>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// `-e, --epochs <N>`
    pub spec: Text,
    pub about: Text,
    pub default: Option<Text>,
    /// The allowed values, if they are listed.
    pub values: Vec<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    pub name: Text,
    pub about: Option<Text>,
}
