//! `kf completion`: a script for the shell that asks kf itself at each Tab.
//!
//! The script does not hold the command tree. It calls kf, which builds the tree from the
//! receipts, so commands added later complete at once; see [`complete`](crate::complete).

use clap_complete::env::Shells;

use crate::app::App;
use crate::args::CompletionArgs;
use crate::error::{CliError, Result};

/// The variable by which the script tells kf to complete.
pub const VARIABLE: &str = "KF_COMPLETE";

pub fn run(app: &App, args: &CompletionArgs) -> Result<()> {
    let shells = Shells::builtins();
    let name = args.shell.to_string();
    let completer =
        shells.completer(&name).ok_or_else(|| CliError::usage(format!("kf cannot complete in {name}")))?;
    let mut script = Vec::new();
    completer
        .write_registration(VARIABLE, "kf", "kf", "kf", &mut script)
        .map_err(|error| CliError::failed(format!("the script could not be made: {error}")))?;
    Ok(app.ui.data(&script)?)
}
