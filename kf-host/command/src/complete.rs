//! Candidates for an argument's value, with the grant of a run and without changes.
//!
//! The shell starts such a run at Tab, without the user typing the command. So callers pass a
//! [read-only](Setting::read_only) setting; the run opens no file, prints nothing and compiles nothing: a
//! command whose machine code is not cached offers no candidates until it has been run.

use std::time::Duration;

use kf_core::api::{self, ApiError, ErrorCode, KubeApi as _, Reach, Selection};
use kf_core::json::Document;
use kf_core::ui::Silent;
use kf_core::{Failure, Kind};
use kf_sandbox::{Candidate, CompletionRequest, Limits, Run};

use crate::cluster::block_on;
use crate::code;
use crate::examine::granted;
use crate::installed::Installed;
use crate::run::{ClusterRun, Setting, context, selection};

/// Runs the command to get candidates.
pub fn by_command(
    installed: &Installed,
    setting: &Setting,
    request: CompletionRequest,
    wall: Duration,
) -> Result<Vec<Candidate>, Failure> {
    let receipt = &installed.receipt;
    let rights = installed.startable()?;
    let cluster = ClusterRun::open(receipt, &rights, setting)?;
    let Some(code) = code::stored(&setting.home, receipt)? else { return Ok(Vec::new()) };
    let asked = Run {
        code,
        abi: receipt.abi.clone(),
        arguments: Vec::new(),
        granted: granted(&rights, &installed.tree),
        limits: Limits { time: wall, wall, ..Limits::complete() },
        context: context(receipt, setting, cluster.as_ref()),
        kube: cluster.as_ref().map(ClusterRun::kube),
        selection: selection(receipt, &rights, setting, cluster.as_ref()),
        terminal: Err(ApiError::new(ErrorCode::Forbidden, "no terminal during completion")),
        files: Vec::new(),
        ui: Box::new(Silent),
        backtrace: false,
    };
    kf_sandbox::complete(asked, request)
        .map_err(|fault| Failure::new(Kind::PluginFault, format!("{} stopped: {fault}", receipt.name)))
}

/// Lists the first page of objects of a kind, given as `group/Kind`, with the command's grant. The command
/// is not started.
pub fn by_kind(installed: &Installed, setting: &Setting, kind: &str) -> Result<Vec<Candidate>, Failure> {
    let rights = installed.startable()?;
    let Some((group, kind)) = kind.rsplit_once('/') else { return Ok(Vec::new()) };
    let Some(cluster) = ClusterRun::open(&installed.receipt, &rights, setting)? else {
        return Ok(Vec::new());
    };
    let what = Selection {
        kind: api::Kind { group: group.to_owned(), version: None, kind: kind.to_owned() },
        reach: Reach::Namespaced,
        namespace: None,
        label_selector: None,
        field_selector: None,
    };
    let page = block_on(cluster.broker.list(what, None, None))??;
    let name = |object: &Document| {
        let object = object.value().ok()?;
        Some(object.pointer("/metadata/name")?.as_str()?.to_owned())
    };
    let names = page.items.iter().filter_map(name);
    Ok(names.map(|value| Candidate { value, help: None }).collect())
}
