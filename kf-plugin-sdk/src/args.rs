//! Argument types that kf recognizes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::abi::FileTree;
use crate::error::Result;
use crate::kf::Kf;

/// A file named on the command line, which grants the command permission to read it.
///
/// `-` is stdin. A `PathBuf` with clap's `ValueHint::FilePath` grants the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileArg(String);

impl FileArg {
    /// Returns the path as typed.
    pub fn path(&self) -> &str {
        &self.0
    }

    /// Reads the whole file.
    pub fn read(&self, kf: &Kf) -> Result<Vec<u8>> {
        kf.read_file(&self.0)
    }

    /// Reads the whole file as text.
    pub fn read_text(&self, kf: &Kf) -> Result<String> {
        kf.read_text(&self.0)
    }
}

impl FromStr for FileArg {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "" => Err("missing file name".into()),
            path => Ok(Self(path.into())),
        }
    }
}

impl fmt::Display for FileArg {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A name or a file. A value that ends in `.yaml`, `.yml` or `.json`, or is `-`, is a file, which grants the command
/// permission to read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameOrFile {
    Name(String),
    File(FileArg),
}

impl NameOrFile {
    /// Returns the name, if it is a name.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::File(_) => None,
        }
    }

    /// Returns the file, if it is a file.
    pub fn file(&self) -> Option<&FileArg> {
        match self {
            Self::Name(_) => None,
            Self::File(file) => Some(file),
        }
    }
}

impl FromStr for NameOrFile {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let is_file = text == "-" || [".yaml", ".yml", ".json"].iter().any(|end| text.ends_with(end));
        if is_file { text.parse().map(Self::File) } else { Ok(Self::Name(text.to_owned())) }
    }
}

impl fmt::Display for NameOrFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::File(file) => file.fmt(formatter),
        }
    }
}

/// A directory named on the command line, which grants the command permission to read the files below it.
///
/// A `PathBuf` with clap's `ValueHint::DirPath` grants the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryArg(String);

impl DirectoryArg {
    /// Returns the path as typed.
    pub fn path(&self) -> &str {
        &self.0
    }

    /// Lists the files below it, skipping names that match one of `skip`; see [`Kf::walk`].
    pub fn walk(&self, kf: &Kf, skip: &[&str]) -> Result<FileTree> {
        kf.walk(&self.0, skip)
    }

    /// Reads one of the files below it.
    pub fn read(&self, kf: &Kf, path: &str) -> Result<Vec<u8>> {
        kf.read_below(&self.0, path)
    }
}

impl FromStr for DirectoryArg {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "" => Err("missing directory name".into()),
            path => Ok(Self(path.into())),
        }
    }
}

impl fmt::Display for DirectoryArg {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A duration such as `90s`, `2h` or `1h 30m`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        humantime::parse_duration(text)
            .map(Self)
            .map_err(|_| format!("invalid duration `{text}`; use `90s`, `15m` or `2h`"))
    }
}
