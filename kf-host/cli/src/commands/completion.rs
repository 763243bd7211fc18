//! `kf completion`: a script for the shell that asks kf itself at each Tab.
//!
//! The script does not hold the command tree. It calls kf, which builds the tree from the
//! receipts, so commands added later complete at once.

use clap::Args;
use clap_complete::Shell;
use clap_complete::env::Shells;
use kf_core::failure::{Failure, Result};

use crate::app::App;
use crate::bash_script;
use crate::env;

#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell to complete in
    pub shell: Shell,
}

pub fn run(app: &App, args: &CompletionArgs) -> Result<()> {
    let name = args.shell.to_string();
    if args.shell == Shell::Bash {
        return Ok(app.ui.data(bash_script::script(env::KF_COMPLETE, "kf", "kf").as_bytes())?);
    }
    let shells = Shells::builtins();
    let completer =
        shells.completer(&name).ok_or_else(|| Failure::usage(format!("kf cannot complete in {name}")))?;
    let mut script = Vec::new();
    completer
        .write_registration(env::KF_COMPLETE, "kf", "kf", "kf", &mut script)
        .map_err(|error| Failure::failed(format!("the script could not be made: {error}")))?;
    Ok(app.ui.data(&script)?)
}
