use std::path::PathBuf;

use clap::Args;
use kf_command::carry::{self, Found};
use kf_core::failure::Result;
use kf_core::{RegistryId, shell};
use kf_registry::index::Request;

use crate::app::App;
use crate::show::batch;
use crate::show::plan::{self, AnswerArgs};

/// Add commands from a folder that `kf command export` wrote
///
/// The folder is verified with the root of its registry on this machine, and nothing is fetched from elsewhere. Shows the
/// rights of the commands and asks for confirmation, as `kf command add` does.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Folder to read
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    folder: PathBuf,

    /// Commands to add [default: all in the folder]
    #[arg(value_name = "NAME[@VERSION]")]
    names: Vec<String>,

    /// Registry of the folder, if several have its root
    #[arg(long, value_name = "NAME")]
    registry: Option<String>,

    #[command(flatten)]
    answer: AnswerArgs,
}

pub fn run(app: &App, args: &ImportArgs) -> Result<()> {
    let requests = args.names.iter().map(|word| Request::parse(word)).collect::<Result<Vec<_>, _>>()?;
    let registry = args.registry.as_ref().map(RegistryId::parse).transpose()?;
    let (commands, folder, reporter) = (app.commands(), &args.folder, app.reporter());
    let mut session = carry::open(commands, registry.as_ref(), folder, reporter.as_ref(), App::now())?;
    let found = carry::find(commands, &mut session, folder, &requests)?;
    let mut installer = plan::installer(app).with_session(session);
    let mut resolved = Vec::new();
    for found in found {
        match found {
            Found::Skip(why) => app.ui.note(&why),
            Found::Add(request) => resolved.push(installer.resolve(&request)?),
        }
    }
    let mut prepared = Vec::new();
    for resolved in &resolved {
        match installer.prepare(resolved)? {
            Some(new) => prepared.push(new),
            None => app.ui.note(&format!("{} {} is already added", resolved.name, resolved.version)),
        }
    }
    let answer = AnswerArgs { retry: Some(retry(args)), ..args.answer.clone() };
    batch::install(app, &installer, prepared, &answer, |added| {
        Ok(app.ui.data_line(&format!("Added {} {}", added.name, added.version))?)
    })
}

/// The command line without answers.
fn retry(args: &ImportArgs) -> String {
    let mut line = format!("kf command import {}", shell::path(&args.folder));
    args.names.iter().for_each(|name| line.push_str(&format!(" {}", shell::word(name))));
    if let Some(registry) = &args.registry {
        line.push_str(&format!(" --registry {registry}"));
    }
    line
}
