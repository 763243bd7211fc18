//! `kf command add --locked`: adds what `kf.lock` pins.

use std::path::{Path, PathBuf};

use clap::Args;
use kf_command::lockfile::{self, Found, Lockfile, Target};
use kf_core::failure::{Failure, Result};
use kf_core::shell;
use kf_registry::receipt::Receipt;
use kf_registry::yank::Yanked;

use super::target;
use crate::app::App;
use crate::show::batch;
use crate::show::plan::{self, AnswerArgs};

#[derive(Debug, Args)]
pub struct LockedArgs {
    /// Add exactly what kf.lock pins, and nothing if anything differs; without a name, all of it
    ///
    /// Without a terminal, the rights in kf.lock count as accepted.
    #[arg(long)]
    locked: bool,

    /// The same as --locked, without fetching anything
    #[arg(long)]
    frozen: bool,

    #[command(flatten)]
    file: FileArgs,
}

#[derive(Debug, Args)]
pub struct FileArgs {
    /// Lock file, even one that other users can write to [default: the nearest kf.lock in this folder or above]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    lockfile: Option<PathBuf>,
}

impl FileArgs {
    /// The lock file; none if there is none.
    pub fn find(&self) -> Result<Option<Found>> {
        match &self.lockfile {
            Some(path) => lockfile::read(path),
            None => lockfile::find(&working_directory()?),
        }
    }

    /// The lock file, or the failure if there is none.
    pub fn require(&self) -> Result<Found> {
        if let Some(found) = self.find()? {
            return Ok(found);
        }
        Err(match &self.lockfile {
            Some(path) => Failure::not_found(format!("{} does not exist", path.display()))
                .hint(format!("kf command lock --lockfile {}", shell::path(path))),
            None => {
                let directory = working_directory()?;
                Failure::not_found(format!(
                    "no {} in {} or above it",
                    lockfile::FILE_NAME,
                    directory.display()
                ))
                .hint("kf command lock")
            }
        })
    }

    /// A new lock file, which is not written yet.
    pub fn create(&self) -> Result<Found> {
        let path = match &self.lockfile {
            Some(path) => path.clone(),
            None => working_directory()?.join(lockfile::FILE_NAME),
        };
        Ok(Found { path, is_named: self.lockfile.is_some(), lock: Lockfile::default() })
    }
}

fn working_directory() -> Result<PathBuf> {
    std::env::current_dir()
        .map_err(|error| Failure::failed(format!("cannot determine the working directory: {error}")))
}

impl LockedArgs {
    /// Whether the lock file decides what is added; `names` are the commands to add.
    pub fn is_locked(&self, names: &[String]) -> Result<bool> {
        let is_locked = self.locked || self.frozen;
        match &self.file.lockfile {
            Some(path) if !is_locked => {
                let names: String = names.iter().map(|name| format!(" {}", shell::word(name))).collect();
                let hint = format!("kf command add{names} --locked --lockfile {}", shell::path(path));
                Err(Failure::usage("`--lockfile` requires `--locked` or `--frozen`").hint(hint))
            }
            _ => Ok(is_locked),
        }
    }
}

pub fn add(app: &App, args: &LockedArgs, names: &[String], answer: &AnswerArgs) -> Result<()> {
    let found = args.file.require()?;
    let request = |word: &String| match target::Target::parse(word)? {
        target::Target::Request(request) => Ok(request),
        target::Target::File(path) => {
            let path: &Path = &path;
            Err(Failure::usage(format!("cannot add {}: a lock file has no local files", path.display())))
        }
    };
    let requests = names.iter().map(request).collect::<Result<Vec<_>>>()?;
    let selected = lockfile::select(&found, &requests)?;
    let installer = plan::installer(app);
    let mut installer = if args.frozen { installer.offline() } else { installer };
    let mut new = Vec::new();
    for target in lockfile::prepare(&mut installer, app.commands(), &found, &selected)? {
        match target {
            Target::New(prepared) => new.push(*prepared),
            Target::Installed { name, version, yanked } => {
                app.ui.note(&format!("{name} {version} is already added"));
                warn_if_yanked(app, yanked.as_ref(), &format!("{name} {version}"));
            }
        }
    }
    let done = |added: &Receipt| Ok(app.ui.data_line(&format!("Added {} {}", added.name, added.version))?);
    if app.ui.interactive() {
        // The file names the version, not the user.
        new.iter().try_for_each(|prepared| plan::confirm_downgrade(app, prepared, answer))?;
        let answer = AnswerArgs { offline: args.frozen, ..answer.clone() };
        return batch::install(app, &installer, new, &answer, done);
    }
    for prepared in &new {
        if prepared.plan.is_downgrade() {
            let (name, version) = (&prepared.fetched.resolved.name, &prepared.plan.to);
            app.ui.warn(&format!("{name} {version} is older than the installed version"));
        }
        let added = installer.apply(prepared)?;
        warn_if_yanked(app, added.yank().as_ref(), &format!("{} {}", added.name, added.version));
        done(&added)?;
    }
    Ok(())
}

fn warn_if_yanked(app: &App, yanked: Option<&Yanked>, what: &str) {
    if let Some(yanked) = yanked {
        app.ui.warn(&format!("{what} was {yanked}"));
    }
}
