use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_command::install::Installer;
use kf_command::installed::Named;
use kf_command::local;
use kf_command::remove;
use kf_core::failure::{Failure, Result};
use kf_core::{CollectionName, PluginName, RegistryId};
use kf_registry::index::{Request, Resolved};

use super::locked::{self, LockedArgs};
use super::target::Target;
use crate::app::App;
use crate::candidates::known;
use crate::show::batch;
use crate::show::plan::{self, AnswerArgs};

/// Add commands from a registry, or a local component
///
/// Shows the rights of each command and asks for confirmation, once for all of them. Without a terminal
/// nothing is added unless `--accept` gives the digest of exactly these commands and rights.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Commands to add: `train`, with a version `train@1.4`, from one registry `team/train`, a collection `@core`, or a component `./train.wasm`
    #[arg(required_unless_present_any = ["locked", "frozen"], value_name = "[REGISTRY/]NAME[@VERSION]", add = ArgValueCompleter::new(known::available))]
    names: Vec<String>,

    #[command(flatten)]
    locked: LockedArgs,

    #[command(flatten)]
    answer: AnswerArgs,
}

pub fn run(app: &App, args: &AddArgs) -> Result<()> {
    if args.locked.is_locked(&args.names)? {
        return locked::add(app, &args.locked, &args.names, &args.answer);
    }
    let mut installer = plan::installer(app);
    let mut wanted: Vec<(&String, Target)> = Vec::new();
    for word in &args.names {
        for next in targets(app, &mut installer, word)? {
            if !wanted.iter().any(|(_, wanted)| *wanted == next) && !next.enable_built_in(app)? {
                wanted.push((word, next));
            }
        }
    }
    // All registries are refreshed and all names checked before anything is locked or downloaded.
    let resolved = wanted
        .into_iter()
        .map(|(word, wanted)| Ok((word, wanted.resolve(&mut installer)?)))
        .collect::<Result<Vec<_>>>()?;
    check_named_once(&resolved)?;
    let mut prepared = Vec::new();
    for (_, found) in &resolved {
        let (what, new) = match found {
            ResolvedTarget::File { path, .. } => (path.display().to_string(), installer.prepare_local(path)?),
            ResolvedTarget::Release(resolved) => {
                (format!("{} {}", resolved.name, resolved.version), installer.prepare(resolved)?)
            }
        };
        match new {
            Some(new) => prepared.push(new),
            None => app.ui.note(&format!("{what} is already added")),
        }
    }
    batch::install(app, &installer, prepared, &args.answer, |added| {
        Ok(app.ui.data_line(&format!("Added {} {}", added.name, added.version))?)
    })
}

/// What a word on the command line names: one command, or those of a collection that are not added yet.
fn targets(app: &App, installer: &mut Installer<'_>, word: &str) -> Result<Vec<Target>> {
    let (registry, collection) = match (word.strip_prefix('@'), word.split_once("/@")) {
        (Some(collection), _) => (None, collection),
        (None, Some((registry, collection))) => (Some(RegistryId::parse(registry)?), collection),
        (None, None) => return Ok(vec![Target::parse(word)?]),
    };
    let collection = CollectionName::parse(collection)?;
    let (wanted, installed) = installer.collection(registry.as_ref(), &collection)?;
    for name in installed {
        app.ui.note(&format!("{name} is already added"));
    }
    Ok(wanted.into_iter().map(Target::Request).collect())
}

/// Refuses a name that is specified twice: the locks are held until all commands are added.
fn check_named_once(all: &[(&String, ResolvedTarget)]) -> Result<()> {
    let mut words = BTreeMap::new();
    for (word, found) in all {
        let name = found.name();
        if let Some(before) = words.insert(name, word) {
            return Err(Failure::usage(format!("{name} is specified more than once: {before} and {word}")));
        }
    }
    Ok(())
}

impl Target {
    /// Whether this is a built-in command. If so, it is enabled.
    fn enable_built_in(&self, app: &App) -> Result<bool> {
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

    fn resolve(self, installer: &mut Installer<'_>) -> Result<ResolvedTarget> {
        Ok(match self {
            Self::File(path) => ResolvedTarget::File { name: local::name(&path)?, path },
            Self::Request(request) => ResolvedTarget::Release(Box::new(installer.resolve(&request)?)),
        })
    }
}

/// A resolved target.
enum ResolvedTarget {
    File { name: PluginName, path: PathBuf },
    Release(Box<Resolved>),
}

impl ResolvedTarget {
    fn name(&self) -> &PluginName {
        match self {
            Self::File { name, .. } => name,
            Self::Release(resolved) => &resolved.name,
        }
    }
}
