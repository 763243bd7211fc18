//! `kf completion`: prints a script that makes the shell call kf for completions.
//!
//! The script does not contain the command tree. kf builds it from the receipts at each call, so
//! commands are completed as soon as they are added.

use clap::Args;
use clap_complete::Shell;
use clap_complete::env::Shells;
use kf_core::failure::{Failure, Result};

use crate::app::App;
use crate::bash_script;
use crate::env;

#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// Shell to print the script for
    pub shell: Shell,
}

pub fn run(app: &App, args: &CompletionArgs) -> Result<()> {
    let name = args.shell.to_string();
    if args.shell == Shell::Bash {
        return Ok(app.ui.data(bash_script::script(env::KF_COMPLETE, "kf", "kf").as_bytes())?);
    }
    let shells = Shells::builtins();
    let completer = shells
        .completer(&name)
        .ok_or_else(|| Failure::usage(format!("completion is not supported for {name}")))?;
    let mut script = Vec::new();
    completer
        .write_registration(env::KF_COMPLETE, "kf", "kf", "kf", &mut script)
        .map_err(|error| Failure::failed(format!("cannot generate the script: {error}")))?;
    Ok(app.ui.data(&script)?)
}
