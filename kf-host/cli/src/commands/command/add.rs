use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_command::install::Installer;
use kf_core::failure::{Failure, Result};
use kf_registry::index::Request;

use crate::app::App;
use crate::candidates::known;
use crate::show::plan::{self, AnswerArgs};

/// Add commands from a registry, or a component of your own
///
/// Shows what each may do and asks before it is added. Without a terminal the answer is no,
/// unless `--accept` names the very command and rights.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// What to add: a name, or with a version as `train@1.4`, or from one registry as `team/train`, or a component as `./train.wasm`
    #[arg(required = true, value_name = "[REGISTRY/]NAME[@VERSION]", add = ArgValueCompleter::new(known::available))]
    names: Vec<String>,

    #[command(flatten)]
    answer: AnswerArgs,
}

pub fn run(app: &App, args: &AddArgs) -> Result<()> {
    let requests = args.names.iter().map(|word| Wanted::parse(word)).collect::<Result<Vec<_>>>()?;
    let mut installer = plan::installer(app);
    requests.iter().try_for_each(|wanted| add(app, &mut installer, wanted, &args.answer))
}

/// What is to be added.
enum Wanted {
    Request(Request),
    /// A component of this machine.
    File(PathBuf),
}

impl Wanted {
    fn parse(word: &str) -> Result<Self> {
        match Path::new(word).extension().and_then(OsStr::to_str) {
            Some("wasm") => Ok(Self::File(word.into())),
            Some("py") => Err(Failure::usage(format!("{word} is a script, which this kf does not run"))),
            _ => Ok(Self::Request(Request::parse(word)?)),
        }
    }
}

fn add(app: &App, installer: &mut Installer<'_>, wanted: &Wanted, answer: &AnswerArgs) -> Result<()> {
    let (what, prepared) = match wanted {
        Wanted::File(path) => (path.display().to_string(), installer.prepare_local(path)?),
        Wanted::Request(request) => {
            let resolved = installer.resolve(request)?;
            (format!("{} {}", resolved.name, resolved.version), installer.prepare(&resolved)?)
        }
    };
    let Some(prepared) = prepared else {
        app.ui.note(&format!("{what} is added already"));
        return Ok(());
    };
    let added = plan::finish(app, installer, &prepared, answer)?;
    Ok(app.ui.data_line(&format!("Added {} {}", added.name, added.version))?)
}
