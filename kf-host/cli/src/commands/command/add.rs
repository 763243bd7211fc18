use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_command::install::Installer;
use kf_command::installed::Named;
use kf_command::local;
use kf_command::remove;
use kf_core::PluginName;
use kf_core::failure::{Failure, Result};
use kf_registry::index::{Request, Resolved};

use crate::app::App;
use crate::candidates::known;
use crate::show::plan::{self, AnswerArgs};
use crate::show::together;

/// Add commands from a registry, or a component of your own
///
/// Shows what each may do and asks before it is added, once for all of them. Without a terminal the
/// answer is no, unless `--accept` names the very commands and rights.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// What to add: a name, or with a version as `train@1.4`, or from one registry as `team/train`, or a component as `./train.wasm`
    #[arg(required = true, value_name = "[REGISTRY/]NAME[@VERSION]", add = ArgValueCompleter::new(known::available))]
    names: Vec<String>,

    #[command(flatten)]
    answer: AnswerArgs,
}

pub fn run(app: &App, args: &AddArgs) -> Result<()> {
    let mut wanted: Vec<(&String, Wanted)> = Vec::new();
    for word in &args.names {
        let next = Wanted::parse(word)?;
        if !wanted.iter().any(|(_, wanted)| *wanted == next) && !next.is_switched_on(app)? {
            wanted.push((word, next));
        }
    }
    let mut installer = plan::installer(app);
    // Every registry is refreshed before a name is locked, and nothing is fetched in vain.
    let resolved = wanted
        .into_iter()
        .map(|(word, wanted)| Ok((word, wanted.resolve(&mut installer)?)))
        .collect::<Result<Vec<_>>>()?;
    check_named_once(&resolved)?;
    let mut prepared = Vec::new();
    for (_, found) in &resolved {
        let (what, new) = match found {
            Found::File { path, .. } => (path.display().to_string(), installer.prepare_local(path)?),
            Found::Release(resolved) => {
                (format!("{} {}", resolved.name, resolved.version), installer.prepare(resolved)?)
            }
        };
        match new {
            Some(new) => prepared.push(new),
            None => app.ui.note(&format!("{what} is added already")),
        }
    }
    together::install(app, &installer, prepared, &args.answer, |added| {
        Ok(app.ui.data_line(&format!("Added {} {}", added.name, added.version))?)
    })
}

/// What is added is locked until all of it is, so nothing may be added twice.
fn check_named_once(all: &[(&String, Found)]) -> Result<()> {
    let mut words = BTreeMap::new();
    for (word, found) in all {
        let name = found.name();
        if let Some(before) = words.insert(name, word) {
            return Err(Failure::usage(format!("{name} is named more than once: {before} and {word}")));
        }
    }
    Ok(())
}

/// What is to be added.
#[derive(PartialEq)]
pub(super) enum Wanted {
    Request(Request),
    /// A component of this machine.
    File(PathBuf),
}

impl Wanted {
    pub(super) fn parse(word: &str) -> Result<Self> {
        match Path::new(word).extension().and_then(OsStr::to_str) {
            Some("wasm") => Ok(Self::File(word.into())),
            Some("py") => Err(Failure::usage(format!("{word} is a script, which this kf does not run"))),
            _ => Ok(Self::Request(Request::parse(word)?)),
        }
    }

    /// Whether it means a built-in command, which then is there.
    fn is_switched_on(&self, app: &App) -> Result<bool> {
        let Self::Request(Request { registry: None, name, want }) = self else { return Ok(false) };
        let Named { answers, other } = app.commands().named(name)?;
        let built_in = answers
            .or(other)
            .filter(|receipt| receipt.origin.is_built_in() && want.matches(&receipt.version));
        let Some(built_in) = built_in else { return Ok(false) };
        match remove::switch_on(app.commands(), name)? {
            Some(_) => app.ui.data_line(&format!("Added {name} {} (built in)", built_in.version))?,
            None => app.ui.note(&format!("{name} {} is built in", built_in.version)),
        }
        Ok(true)
    }

    fn resolve(self, installer: &mut Installer<'_>) -> Result<Found> {
        Ok(match self {
            Self::File(path) => Found::File { name: local::name(&path)?, path },
            Self::Request(request) => Found::Release(Box::new(installer.resolve(&request)?)),
        })
    }
}

/// What was found.
enum Found {
    File { name: PluginName, path: PathBuf },
    Release(Box<Resolved>),
}

impl Found {
    fn name(&self) -> &PluginName {
        match self {
            Self::File { name, .. } => name,
            Self::Release(resolved) => &resolved.name,
        }
    }
}
