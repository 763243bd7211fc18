//! A command as it is named on a command line.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use kf_core::failure::{Failure, Result};
use kf_registry::index::Request;

/// A command to add.
#[derive(PartialEq)]
pub(super) enum Target {
    Request(Request),
    /// A local component.
    File(PathBuf),
}

impl Target {
    pub(super) fn parse(word: &str) -> Result<Self> {
        match Path::new(word).extension().and_then(OsStr::to_str) {
            Some("wasm") => Ok(Self::File(word.into())),
            Some("py") => Err(Failure::usage(format!("cannot add {word}: scripts are not supported"))),
            _ => Ok(Self::Request(Request::parse(word)?)),
        }
    }
}
