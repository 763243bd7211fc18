//! One run of an added command: grants in, exit code out.

use std::ffi::OsString;
use std::path::PathBuf;

use kf_cluster::api::ErrorCode;
use kf_cluster::grants::Refusal;
use kf_registry::receipt::Receipt;
use kf_sandbox::selection::Selection;
use kf_sandbox::tree::CommandTree;
use kf_sandbox::{Code, Context, Fault, FileGrant, FileReach, GuestError, Limits, Outcome, Run};

use super::argv::GuestWords;
use super::examine::granted;
use super::rights::Rights;
use super::ui::GuestUi;
use super::{code, install};
use crate::app::App;
use crate::args::RunArgs;
use crate::cluster::ClusterRun;
use crate::error::{CliError, Kind, Result};
use crate::interrupt::interrupted;
use crate::{env, exit};

pub fn run(
    app: &App,
    receipt: &Receipt,
    tree: &CommandTree,
    flags: RunArgs,
    words: GuestWords,
    typed: &[OsString],
) -> Result<u8> {
    let rights = startable(receipt)?;
    let cluster =
        if rights.is_empty() { None } else { Some(ClusterRun::open(app, receipt, &rights, &flags)?) };
    let code = code::find(&app.ui, &app.home, receipt)?;
    let attempt = |code: Code| {
        kf_sandbox::run(Run {
            code,
            arguments: words.words.clone(),
            granted: granted(&rights, tree),
            limits: Limits::default(),
            context: Context {
                command_line: command_line(typed),
                ..context(app, receipt, &flags, cluster.as_ref())
            },
            kube: cluster.as_ref().map(ClusterRun::kube),
            selection: selection(app, receipt, &rights, cluster.as_ref()),
            files: file_grants(&words),
            ui: Box::new(GuestUi::new(app.ui.clone())),
            backtrace: env::text(env::KF_BACKTRACE).is_some_and(|value| value == "1"),
        })
    };
    let result = match attempt(code) {
        // Another kf, another processor, a damaged file: made again from the verified component.
        Err(Fault::Load(_)) => attempt(code::recompile(&app.ui, &app.home, receipt)?),
        result => result,
    };
    if let Some(cluster) = &cluster {
        cluster.report(app)?;
    }
    match result {
        Ok(Outcome { exit: Ok(code), .. }) => Ok(code),
        Ok(Outcome { exit: Err(error), refusal }) => {
            Err(guest_error(receipt, cluster.as_ref(), error, refusal))
        }
        Err(Fault::OutputClosed) => Ok(exit::OUTPUT_CLOSED),
        Err(Fault::Interrupted) => Err(interrupted()),
        Err(fault) => Err(stopped(receipt, &fault)),
    }
}

/// The rights of a command that may start.
pub(super) fn startable(receipt: &Receipt) -> Result<Rights> {
    receipt.check_start()?;
    if !install::supported_abi(&receipt.abi) {
        return Err(CliError::untrusted(format!(
            "{} {} is built for ABI {}, which this kf does not run",
            receipt.name, receipt.version, receipt.abi
        ))
        .hint(format!("kf command upgrade {}", receipt.name)));
    }
    Rights::parse(&receipt.permissions).map_err(|error| unusable(receipt, &error.to_string()))
}

fn unusable(receipt: &Receipt, why: &str) -> CliError {
    CliError::untrusted(format!("the receipt of {} cannot be used: its {why}", receipt.name))
        .hint(format!("kf command remove {0} && kf command add {0}", receipt.name))
}

pub(super) fn context(
    app: &App,
    receipt: &Receipt,
    flags: &RunArgs,
    cluster: Option<&ClusterRun>,
) -> Context {
    let named = app.global.namespace.clone().or_else(|| env::text(env::KF_NAMESPACE));
    Context {
        namespace: match cluster {
            Some(cluster) => cluster.namespace().to_owned(),
            None => named.unwrap_or_else(|| "default".to_owned()),
        },
        environment: None,
        cluster: cluster.and_then(|cluster| cluster.context().map(str::to_owned)),
        command: receipt.name.to_string(),
        version: receipt.version.to_string(),
        dry_run: flags.dry_run,
        interactive: app.ui.interactive(),
        command_line: Vec::new(),
    }
}

/// What a command may repeat of the words after `kf`. It could behave better while `--explain` shows
/// its calls, so it does not learn of that.
fn command_line(typed: &[OsString]) -> Vec<String> {
    let escape = typed.iter().position(|word| word == "--").unwrap_or(typed.len());
    let own = typed.iter().enumerate().filter(|(place, word)| *place > escape || *word != "--explain");
    own.map(|(_, word)| word.to_string_lossy().into_owned()).collect()
}

pub(super) fn selection(
    app: &App,
    receipt: &Receipt,
    rights: &Rights,
    cluster: Option<&ClusterRun>,
) -> Option<Box<dyn Selection>> {
    let cluster = cluster.filter(|_| rights.selection)?;
    Some(Box::new(cluster.selection(app, receipt)))
}

fn file_grants(words: &GuestWords) -> Vec<FileGrant> {
    let grants = |named: &[String], reach| -> Vec<FileGrant> {
        let grant = |argument: &String| FileGrant {
            argument: argument.clone(),
            path: PathBuf::from(argument),
            reach,
        };
        named.iter().map(grant).collect()
    };
    let mut all = grants(&words.files, FileReach::File);
    all.extend(grants(&words.directories, FileReach::Below));
    all
}

/// What the guest says failed; where a layer refused, who stands in the way and who can help.
fn guest_error(
    receipt: &Receipt,
    cluster: Option<&ClusterRun>,
    error: GuestError,
    refusal: Option<Refusal>,
) -> CliError {
    if error.code == ErrorCode::Forbidden
        && let (Some(refusal), Some(cluster)) = (refusal, cluster)
    {
        return cluster.explain(receipt, &refusal);
    }
    CliError::new(kind(error.code), error.message).maybe_hint(error.hint)
}

/// The exit code that an error of the cluster or of a command comes to.
pub fn kind(code: ErrorCode) -> Kind {
    match code {
        ErrorCode::Invalid => Kind::Usage,
        ErrorCode::Unauthenticated => Kind::Unauthenticated,
        ErrorCode::Forbidden => Kind::Forbidden,
        ErrorCode::NotFound => Kind::NotFound,
        ErrorCode::TimedOut => Kind::TimedOut,
        ErrorCode::Unreachable => Kind::Unreachable,
        ErrorCode::Budget => Kind::PluginFault,
        ErrorCode::Conflict
        | ErrorCode::Expired
        | ErrorCode::Unsupported
        | ErrorCode::Failed
        | ErrorCode::Internal => Kind::Failed,
    }
}

fn stopped(receipt: &Receipt, fault: &Fault) -> CliError {
    let Receipt { name, version, .. } = receipt;
    let error = match fault {
        Fault::Trap { message, backtrace } => {
            let frames = backtrace.iter().flat_map(|text| text.lines()).map(str::to_owned);
            CliError::new(Kind::PluginFault, format!("{name} {version} stopped: {message}"))
                .details(frames.collect::<Vec<_>>())
        }
        fault => CliError::new(Kind::PluginFault, format!("{name} {version} stopped: {fault}")),
    };
    let owner = &receipt.origin.owner;
    match &receipt.homepage {
        Some(homepage) => error.hint(format!("this is a fault of the command; tell {owner} at {homepage}")),
        None => error.hint(format!("this is a fault of the command; tell its author, {owner}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_has_every_typed_word_but_explain() {
        let line = |text: &str| {
            let typed: Vec<_> = text.split(' ').map(OsString::from).collect();
            command_line(&typed).join(" ")
        };
        assert_eq!(
            line("-n team-a train mnist --kubeconfig k.yaml --dry-run --wait"),
            "-n team-a train mnist --kubeconfig k.yaml --dry-run --wait"
        );
        assert_eq!(line("train --explain mnist -- python --explain"), "train mnist -- python --explain");
    }
}
