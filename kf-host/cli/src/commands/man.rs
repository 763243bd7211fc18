//! `kf man`: man pages of kf and all commands, generated from the same command trees as their help.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _, ValueHint};
use clap_complete::ArgValueCompleter;
use kf_core::failure::{Failure, Result};
use kf_home::files;

use super::Cli;
use crate::app::App;
use crate::candidates::known;
use crate::manual;

/// Print man pages
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Command whose page to print, such as `train` or `command add` [default: kf]
    #[arg(value_name = "COMMAND", conflicts_with = "dir", add = ArgValueCompleter::new(known::installed))]
    command: Vec<String>,

    /// Write the pages of kf and all commands to a directory, such as ~/.local/share/man/man1
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    dir: Option<PathBuf>,
}

pub fn run(app: &App, args: &ManArgs) -> Result<()> {
    match &args.dir {
        Some(dir) => write_all(app, dir),
        None => print(app, &args.command),
    }
}

fn print(app: &App, words: &[String]) -> Result<()> {
    let Some(page) = manual::page(Cli::command(), &app.home, words)? else {
        return Err(Failure::not_found(format!("no command `{}`", words.join(" "))).hint("kf --help"));
    };
    Ok(app.ui.data(page.text.as_bytes())?)
}

/// Writes each page atomically, and leaves other files unchanged.
fn write_all(app: &App, dir: &Path) -> Result<()> {
    let pages = manual::pages(Cli::command(), &app.home)?;
    fs_err::create_dir_all(dir)?;
    for page in &pages {
        files::write_atomic(&dir.join(&page.file_name), page.text.as_bytes(), false)?;
    }
    app.ui.note(&format!("wrote {} pages to {}", pages.len(), dir.display()));
    Ok(())
}
