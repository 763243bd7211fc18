//! Runs a command once, with its grant.
//!
//! An [`Executor`] decides where a command runs; [`Local`] runs it in the sandbox of this process.

use std::path::PathBuf;
use std::sync::Arc;

use kf_cluster::audit::AuditLog;
use kf_cluster::broker::{Broker, BrokerConfig, Budgets, CallRecord, Change, Command};
use kf_cluster::connection::Connection;
use kf_core::api::{ApiError, ErrorCode};
use kf_core::failure::Context as _;
use kf_core::grants::{Refusal, RuleSet, RunFlags};
use kf_core::names::Namespace;
use kf_core::selection::Selection;
use kf_core::ui::Ui;
use kf_core::{Failure, Kind, exit};
use kf_home::Home;
use kf_registry::built_in::BuiltIns;
use kf_registry::index::Origin;
use kf_registry::receipt::Receipt;
use kf_sandbox::{Code, Context, Fault, FileGrant, GuestError, Limits, Outcome, Run};

use crate::cluster::Target;
use crate::code;
use crate::examine::granted;
use crate::explain::explain;
use crate::grants;
use crate::hints::reinstall;
use crate::installed::Installed;
use crate::reporter::Reporter;
use crate::rights::Rights;
use crate::selection::{ClusterId, RunSelection, Store};

/// The settings for all runs of one command line.
#[derive(Clone)]
pub struct Setting {
    pub home: Home,
    pub built_in: BuiltIns,
    pub target: Target,
    /// The audit log; `audit.jsonl` in the state folder if absent.
    pub audit_log: Option<PathBuf>,
    /// Whether every write becomes a server-side dry run.
    pub dry_run: bool,
    /// Whether every write is refused.
    pub read_only: bool,
    /// Whether the user is at a terminal.
    pub interactive: bool,
    /// Whether a trap is reported with the guest's backtrace.
    pub backtrace: bool,
    /// The warning for a command that chooses a namespace which something else overrides.
    pub overridden: Option<String>,
    pub reporter: Arc<dyn Reporter>,
}

/// The arguments of a run.
pub struct Request<'a> {
    /// The arguments after its name, without kf's own flags.
    pub arguments: Vec<String>,
    /// The arguments after `kf`, as far as the command may repeat them in a hint.
    pub command_line: Vec<String>,
    /// The files that the arguments name.
    pub files: Vec<FileGrant>,
    /// Creates the UI of the run. Called again if the run is retried with recompiled machine code.
    pub ui: &'a dyn Fn() -> Box<dyn Ui>,
}

/// The result of a run, and what the host reports about it.
pub struct Finished {
    /// The exit code, or why there is none.
    pub exit: Result<u8, Failure>,
    /// The API server's warnings.
    pub warnings: Vec<String>,
    /// Messages about failed calls that only the user may see, each with its source.
    pub withheld: Vec<(String, String)>,
    /// The changes that a dry run would have made.
    pub changes: Vec<Change>,
    /// Every call to the API server.
    pub calls: Vec<CallRecord>,
    /// The manifest's rules, to which the calls refer.
    pub rules: RuleSet,
}

/// Runs a command somewhere.
pub trait Executor {
    /// # Errors
    ///
    /// The command could not start. Once it has, how it ended is in [`Finished::exit`].
    fn execute(
        &self,
        installed: &Installed,
        setting: &Setting,
        request: Request<'_>,
    ) -> Result<Finished, Failure>;
}

/// Runs it here, in the sandbox.
#[derive(Clone, Copy, Debug, Default)]
pub struct Local;

impl Executor for Local {
    fn execute(
        &self,
        installed: &Installed,
        setting: &Setting,
        request: Request<'_>,
    ) -> Result<Finished, Failure> {
        let receipt = &installed.receipt;
        let rights = installed.startable()?;
        tracing::info!(
            command = %receipt.name, version = %receipt.version, digest = %receipt.program_digest(),
            origin = %receipt.origin, "starting"
        );
        let cluster = ClusterRun::open(receipt, &rights, setting)?;
        let code = code::find(setting, receipt)?;
        let Request { arguments, command_line, files, ui } = request;
        let attempt = |code: Code| {
            kf_sandbox::run(Run {
                code,
                abi: receipt.abi.clone(),
                arguments: arguments.clone(),
                granted: granted(&rights, &installed.tree),
                limits: Limits::default(),
                context: Context {
                    command_line: command_line.clone(),
                    ..context(receipt, setting, cluster.as_ref())
                },
                kube: cluster.as_ref().map(ClusterRun::kube),
                selection: selection(receipt, &rights, setting, cluster.as_ref()),
                terminal: terminal(receipt, &rights),
                files: files.clone(),
                ui: ui(),
                backtrace: setting.backtrace,
            })
        };
        let result = match attempt(code) {
            // From another kf or processor, or damaged: compile the verified component again.
            Err(Fault::Load(_)) => attempt(code::recompile(setting, receipt)?),
            result => result,
        };
        let exit = match result {
            Ok(Outcome { exit: Ok(code), .. }) => Ok(code),
            Ok(Outcome { exit: Err(error), refusal }) => {
                Err(guest_error(receipt, cluster.as_ref(), error, refusal))
            }
            Err(Fault::OutputClosed) => Ok(exit::OUTPUT_CLOSED),
            Err(Fault::Interrupted) => Err(interrupted()),
            // The user left on purpose.
            Err(Fault::SessionLeft) => Ok(exit::INTERRUPTED),
            Err(fault) => Err(stopped(receipt, fault)),
        };
        let (warnings, withheld, changes, calls) = match &cluster {
            Some(ClusterRun { broker, .. }) => {
                (broker.warnings(), broker.withheld(), broker.changes(), broker.calls())
            }
            None => Default::default(),
        };
        Ok(Finished { exit, warnings, withheld, changes, calls, rules: rights.rules })
    }
}

/// One run of a command against the cluster.
pub(crate) struct ClusterRun {
    pub(crate) connection: Arc<Connection>,
    pub(crate) broker: Broker,
    pub(crate) rules: RuleSet,
    pub(crate) namespace: Namespace,
    context: Option<String>,
    id: ClusterId,
}

impl ClusterRun {
    /// None for a command without rights. It connects at the command's first call.
    pub(crate) fn open(
        receipt: &Receipt,
        rights: &Rights,
        setting: &Setting,
    ) -> Result<Option<Self>, Failure> {
        if rights.is_empty() {
            return Ok(None);
        }
        let target = &setting.target;
        let settings = match rights.selection {
            true => target.settings_to_choose(&setting.home)?,
            false => target.settings(&setting.home)?,
        };
        for remark in settings.warnings() {
            setting.reporter.warn(&remark);
        }
        let id = ClusterId::of(&settings);
        let namespace = settings.namespace.clone();
        let context = settings.context.clone();
        tracing::info!(
            server = settings.server, context, namespace = %namespace, dry_run = setting.dry_run,
            "using cluster"
        );
        let connection = Arc::new(target.connect(settings));
        let run = RunFlags { read_only: setting.read_only };
        let broker = Broker::new(BrokerConfig {
            connection: Arc::clone(&connection),
            grants: grants::compose(receipt, &rights.rules, run)?,
            namespace: namespace.clone(),
            command: Command {
                name: receipt.name.to_string(),
                version: receipt.version.to_string(),
                digest: receipt.program_digest().to_string(),
            },
            headers: grants::headers(receipt, rights),
            dry_run: setting.dry_run,
            budgets: Budgets::default(),
            audit: Some(audit_log(setting)?),
        })
        .context(Kind::Failed, || format!("{} cannot run", receipt.name))?;
        Ok(Some(Self { connection, broker, rules: rights.rules.clone(), namespace, context, id }))
    }

    pub(crate) fn kube(&self) -> kf_sandbox::Kube {
        kf_sandbox::Kube { api: Arc::new(self.broker.clone()), runtime: None }
    }
}

/// The audit log of this run.
fn audit_log(setting: &Setting) -> Result<AuditLog, Failure> {
    let opened = match &setting.audit_log {
        Some(path) => AuditLog::named(path),
        None => AuditLog::in_state(&setting.home.state),
    };
    opened.map_err(|error| {
        let hint = match error {
            kf_home::Error::UnsafePath { .. } => error.hint(),
            _ => Some("set KF_AUDIT_LOG to a writable file".to_owned()),
        };
        Failure::new(error.kind(), format!("cannot open the audit log: {error}"))
            .maybe_hint(hint)
            .caused_by(error)
    })
}

pub(crate) fn context(receipt: &Receipt, setting: &Setting, cluster: Option<&ClusterRun>) -> Context {
    Context {
        namespace: match cluster {
            Some(cluster) => cluster.namespace.to_string(),
            None => setting.target.namespace.clone().unwrap_or_else(|| "default".to_owned()),
        },
        environment: None,
        cluster: cluster.and_then(|cluster| cluster.context.clone()),
        command: receipt.name.to_string(),
        version: receipt.version.to_string(),
        dry_run: setting.dry_run,
        interactive: setting.interactive,
        command_line: Vec::new(),
    }
}

/// Access to the namespace in use, for a command with that right.
pub(crate) fn selection(
    receipt: &Receipt,
    rights: &Rights,
    setting: &Setting,
    cluster: Option<&ClusterRun>,
) -> Option<Box<dyn Selection>> {
    let cluster = cluster.filter(|_| rights.selection)?;
    // Choosing a namespace is not dangerous, so a local file may do it.
    let allowed = receipt.ceiling.selection || matches!(receipt.origin, Origin::Local { .. });
    let refused = match (allowed, receipt.consent.permissions.selection) {
        (false, _) => Some("its registry no longer allows `selection`"),
        (true, false) => Some("you have not accepted `selection` for this version"),
        (true, true) => None,
    };
    Some(Box::new(RunSelection {
        store: Store::of(&setting.home),
        cluster: cluster.id.clone(),
        dry_run: setting.dry_run,
        refused: refused.map(|why| {
            format!("{} is not allowed to use or change the namespace in use: {why}", receipt.name)
        }),
        read_only: setting.read_only,
        overridden: setting.overridden.clone(),
        reporter: Arc::clone(&setting.reporter),
    }))
}

/// Whether a command may connect sessions to the user's terminal and stdin: if its manifest, its registry and
/// its user all allow it. A local file has no registry.
fn terminal(receipt: &Receipt, rights: &Rights) -> Result<(), ApiError> {
    let name = &receipt.name;
    let allowed = receipt.ceiling.terminal || matches!(receipt.origin, Origin::Local { .. });
    let accepted = receipt.consent.permissions.terminal;
    let (why, hint) = match (rights.terminal, allowed, accepted) {
        (true, true, true) => return Ok(()),
        (false, ..) => (
            "its manifest does not have `[permissions] terminal = true`".to_owned(),
            format!("ask the author of {name} to add it"),
        ),
        (true, false, _) => {
            ("its registry no longer allows `terminal`".to_owned(), format!("kf command describe {name}"))
        }
        (true, true, false) => {
            ("you have not accepted `terminal` for this version".to_owned(), reinstall(receipt))
        }
    };
    let message = format!("{name} is not allowed to use your terminal or stdin: {why}");
    Err(ApiError { hint: Some(hint), ..ApiError::new(ErrorCode::Forbidden, message) })
}

/// The failure that the guest reported; if a layer refused a call, the layer and who can grant the right.
fn guest_error(
    receipt: &Receipt,
    cluster: Option<&ClusterRun>,
    error: GuestError,
    refusal: Option<Refusal>,
) -> Failure {
    if error.code == ErrorCode::Forbidden
        && let (Some(refusal), Some(cluster)) = (refusal, cluster)
    {
        return explain(receipt, cluster, &refusal);
    }
    let failure = Failure::new(error.code.into(), error.message).maybe_hint(error.hint);
    if error.is_from_host { failure } else { failure.attributed_to(receipt.name.as_str()) }
}

/// The failure after Ctrl-C.
pub fn interrupted() -> Failure {
    Failure::new(Kind::Interrupted, "interrupted")
}

fn stopped(receipt: &Receipt, fault: Fault) -> Failure {
    let Receipt { name, version, .. } = receipt;
    let failure = match &fault {
        Fault::Trap { message, backtrace } => {
            let frames = backtrace.iter().flat_map(|text| text.lines()).map(str::to_owned);
            Failure::new(Kind::PluginFault, format!("{name} {version} stopped: {message}"))
                .details(frames.collect::<Vec<_>>())
        }
        fault => Failure::new(Kind::PluginFault, format!("{name} {version} stopped: {fault}")),
    };
    let failure = failure.caused_by(fault);
    let author = match &receipt.origin {
        Origin::Registry { owner, .. } => owner.as_str(),
        Origin::BuiltIn { .. } => "the authors of kf",
        Origin::Local { .. } => {
            return failure.hint("this is a bug in the command: set KF_BACKTRACE=1 for a backtrace");
        }
    };
    match &receipt.homepage {
        Some(homepage) => {
            failure.hint(format!("this is a bug in the command: report it to {author} at {homepage}"))
        }
        None => failure.hint(format!("this is a bug in the command: report it to its author, {author}")),
    }
}
