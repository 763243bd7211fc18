//! bash, which breaks words at `=`.
//!
//! The library's own adapter takes bash's words as they are, so to it `--namespace=a b` would be a flag
//! with the value `=` and two more words. Here they are what the person typed.

use std::ffi::OsString;
use std::io::{Error, Write};
use std::path::Path;

use clap::Command;
use clap_complete::engine::complete;
use clap_complete::env::{Bash as Script, EnvCompleter};

use super::line::Line;
use crate::env;

/// What stands between candidates.
const SEPARATOR: &str = "_CLAP_IFS";

pub struct Bash<'l>(pub &'l Line);

impl EnvCompleter for Bash<'_> {
    fn name(&self) -> &'static str {
        Script.name()
    }

    fn is(&self, name: &str) -> bool {
        Script.is(name)
    }

    fn write_registration(
        &self,
        var: &str,
        name: &str,
        bin: &str,
        completer: &str,
        buf: &mut dyn Write,
    ) -> Result<(), Error> {
        Script.write_registration(var, name, bin, completer, buf)
    }

    fn write_complete(
        &self,
        cmd: &mut Command,
        _: Vec<OsString>,
        current_dir: Option<&Path>,
        buf: &mut dyn Write,
    ) -> Result<(), Error> {
        let Self(line) = self;
        let found = complete(cmd, line.words().to_vec(), line.place(), current_dir)?;
        let values: Vec<_> = found.iter().map(|candidate| candidate.get_value().to_string_lossy()).collect();
        let separator = env::text(SEPARATOR).unwrap_or_else(|| "\n".to_owned());
        buf.write_all(values.join(&separator).as_bytes())
    }
}
