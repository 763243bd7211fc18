//! What an added command offers for an argument's value: with the grant of a run, and changing nothing.
//!
//! A run that the shell starts at Tab is one nobody asked for in so many words. So it is read-only
//! whatever the line says, opens no file, is silent, and never compiles: a command whose machine code
//! is not there offers nothing until it is run.

use std::time::Duration;

use kf_core::Kind;
use kf_core::tree::CommandTree;
use kf_core::ui::Silent;
use kf_registry::receipt::Receipt;
use kf_sandbox::{Candidate, CompletionRequest, Limits, Run};

use super::examine::granted;
use super::{code, run};
use crate::app::App;
use crate::args::RunArgs;
use crate::cluster::ClusterRun;
use crate::error::{CliError, Result};

/// Asks the command itself.
pub fn by_command(
    app: &App,
    receipt: &Receipt,
    tree: &CommandTree,
    request: CompletionRequest,
    wall: Duration,
) -> Result<Vec<Candidate>> {
    let rights = run::startable(receipt)?;
    let flags = read_only();
    let cluster =
        if rights.is_empty() { None } else { Some(ClusterRun::open(app, receipt, &rights, &flags)?) };
    let Some(code) = code::stored(&app.home, receipt)? else { return Ok(Vec::new()) };
    let asked = Run {
        code,
        abi: receipt.abi.clone(),
        arguments: Vec::new(),
        granted: granted(&rights, tree),
        limits: Limits { wall, ..Limits::complete() },
        context: run::context(app, receipt, &flags, cluster.as_ref()),
        kube: cluster.as_ref().map(ClusterRun::kube),
        selection: run::selection(app, receipt, &rights, cluster.as_ref()),
        files: Vec::new(),
        ui: Box::new(Silent),
        backtrace: false,
    };
    kf_sandbox::complete(asked, request)
        .map_err(|fault| CliError::new(Kind::PluginFault, format!("{} stopped: {fault}", receipt.name)))
}

/// Lists the objects of a kind, as `group/Kind`, on the command's behalf; its guest is not started.
pub fn by_kind(app: &App, receipt: &Receipt, kind: &str) -> Result<Vec<Candidate>> {
    let rights = run::startable(receipt)?;
    let Some((group, kind)) = kind.rsplit_once('/') else { return Ok(Vec::new()) };
    let names = ClusterRun::open(app, receipt, &rights, &read_only())?.names(group, kind)?;
    Ok(names.into_iter().map(|value| Candidate { value, help: None }).collect())
}

fn read_only() -> RunArgs {
    RunArgs { read_only: true, ..RunArgs::default() }
}
