//! Running a command: one engine, one store, one answer.
//!
//! # Supervision
//!
//! The guest runs on its own thread, and the caller's thread supervises it: it advances the engine's
//! epoch, checks the wall clock, and handles Ctrl-C. So a run ends even if the guest is in a host call
//! that never returns, such as a write to a pipe that is not read. That call is abandoned; the process
//! is about to exit anyway.
//!
//! # Async runtime
//!
//! A guest that imports nothing to wait for is never suspended, except at a tick. It runs without a
//! runtime, and Ctrl-C keeps its default action, which is fastest. Only a guest that imports a cluster,
//! a log or something to poll gets a tokio runtime with one thread.

use std::collections::BTreeSet;
use std::sync::Arc;

use kf_core::api::{ApiError, ErrorCode, KubeApi};
use kf_core::grants::Refusal;
use kf_core::selection::Selection;
use kf_core::tree::CommandTree;
use kf_core::ui::{Silent, Ui};
use kf_core::{exit, text};
use semver::Version;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, ResourceType};
use wasmtime::{Engine, Store, UpdateDeadline};

use crate::abi::Abi;
use crate::engine::{self, Code, one_line};
use crate::fault::{Fault, Limit, Stop, Which, limit};
use crate::interface::{self, Granted, Interface, Wasi};
use crate::limits::Limits;
use crate::output::{OutputError, SharedOutput};
use crate::state::{Context, FileGrant, Meter, State};
use crate::supervise::{self, TICK};

/// A command to run.
pub struct Run {
    pub code: Code,
    /// The version of the ABI it was built for.
    pub abi: Version,
    /// The words after the command's name, without kf's own flags.
    pub arguments: Vec<String>,
    pub granted: Granted,
    pub limits: Limits,
    pub context: Context,
    /// Absent if nothing of the cluster is linked, regardless of the grant.
    pub kube: Option<Kube>,
    /// Absent if the selected namespace can be neither read nor changed, regardless of the grant.
    pub selection: Option<Box<dyn Selection>>,
    /// Whether a session in a pod can be joined to the user's terminal or stdin; if not, why.
    pub terminal: Result<(), ApiError>,
    /// The files that the user named.
    pub files: Vec<FileGrant>,
    pub ui: Box<dyn Ui>,
    /// Whether a trap includes the guest's frames.
    pub backtrace: bool,
}

/// The cluster of a run.
pub struct Kube {
    pub api: Arc<dyn KubeApi>,
    /// The current-thread runtime in which the client was created; a new one if absent. The run drives
    /// it on its own thread and drops it there.
    pub runtime: Option<tokio::runtime::Runtime>,
}

/// The outcome of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code, which is not reserved or that of the last session joined to the terminal, or why
    /// the command failed.
    pub exit: Result<u8, GuestError>,
    /// The refusal that the command failed with, or else the last one: explains an error with
    /// [`ErrorCode::Forbidden`]. The guest never sees it.
    pub refusal: Option<Refusal>,
}

/// Why a command failed, as it reported it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct GuestError {
    pub code: ErrorCode,
    pub message: String,
    pub hint: Option<String>,
    /// Whether it is exactly an error that the host returned.
    pub is_from_host: bool,
}

/// A completion candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub value: String,
    pub help: Option<String>,
}

/// A request for completion candidates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletionRequest {
    /// The words after the command's name, the last one unfinished.
    pub words: Vec<String>,
    /// The argument's id.
    pub argument: String,
}

/// Runs a command to its end.
///
/// Blocks. Must not be called on a thread that drives a tokio runtime.
///
/// Returns before the sandbox is dropped, which happens on the run's own thread: a process with nothing
/// else to do can exit at once.
///
/// # Errors
///
/// The run was stopped or could not start, see [`Fault`].
pub fn run(run: Run) -> Result<Outcome, Fault> {
    let request = Request::Run(run.arguments.clone());
    match execute(run, request)? {
        Answer::Run(outcome) => Ok(outcome),
        _ => Err(Fault::Host("the guest returned an unexpected answer".to_owned())),
    }
}

/// Asks a guest that was built for `abi` for its command tree: without grants, within two seconds, and
/// without output.
///
/// # Errors
///
/// As for [`run`], and the command tree is invalid.
pub fn describe(code: Code, abi: Version) -> Result<CommandTree, Fault> {
    let run = Run {
        code,
        abi,
        arguments: Vec::new(),
        granted: Granted::default(),
        limits: Limits::describe(),
        context: Context::default(),
        kube: None,
        selection: None,
        terminal: Err(ApiError::new(ErrorCode::Forbidden, "a command that describes itself has no terminal")),
        files: Vec::new(),
        ui: Box::new(Silent),
        backtrace: false,
    };
    match execute(run, Request::Describe)? {
        Answer::Describe(tree) => Ok(tree),
        _ => Err(Fault::Host("the guest returned an unexpected answer".to_owned())),
    }
}

/// Asks a guest for completion candidates. The arguments of `run` are not used, and its limits are
/// usually [`Limits::complete`].
///
/// # Errors
///
/// As for [`run`].
pub fn complete(run: Run, request: CompletionRequest) -> Result<Vec<Candidate>, Fault> {
    match execute(run, Request::Complete(request))? {
        Answer::Complete(candidates) => Ok(candidates),
        _ => Err(Fault::Host("the guest returned an unexpected answer".to_owned())),
    }
}

enum Request {
    Describe,
    Run(Vec<String>),
    Complete(CompletionRequest),
}

enum Answer {
    Describe(CommandTree),
    Run(Outcome),
    Complete(Vec<Candidate>),
}

fn execute(run: Run, request: Request) -> Result<Answer, Fault> {
    let abi = Abi::serving(&run.abi).ok_or_else(|| {
        Fault::Start(format!(
            "it was built for version {} of kf's ABI, which this kf does not support",
            run.abi
        ))
    })?;
    let engine = engine::runtime(run.backtrace)?;
    let component = engine::load(&engine, &run.code)?;
    let imports = imports(&engine, &component)?;
    let mut granted = run.granted;
    granted.selection &= run.selection.is_some();
    if run.kube.is_none() {
        let Granted { files, selection, .. } = granted;
        granted = Granted { files, selection, ..Granted::default() };
    }
    let describing = matches!(request, Request::Describe);
    if !describing {
        interface::check_imports(&imports, granted)?;
    }
    let (api, runtime) = run.kube.map_or((None, None), |kube| (Some(kube.api), kube.runtime));
    let runtime = match runtime {
        None if waits(&imports) => Some(supervise::runtime()?),
        given => given,
    };

    let meter = Arc::new(Meter::default());
    let output = SharedOutput::new(run.ui, &run.limits);
    let mut state =
        State::new(run.limits.clone(), run.context, run.files, api, output.clone(), Arc::clone(&meter));
    state.selection = run.selection;
    state.terminal = run.terminal;
    state.arguments = run.arguments;
    let guest = Guest {
        abi,
        engine: engine.clone(),
        component,
        imports,
        granted,
        state,
        describing,
        backtrace: run.backtrace,
    };
    let supervised = supervise::Supervised { engine, limits: run.limits, runtime, meter, output };
    supervise::supervise(supervised, move |stop| async move { guest.answer(request, stop).await })
}

/// The interfaces a compiled component imports.
fn imports(engine: &Engine, component: &Component) -> Result<BTreeSet<Interface>, Fault> {
    let mut imports = BTreeSet::new();
    for (name, item) in component.component_type().imports(engine) {
        match (Interface::from_import(name), item.ty) {
            (Some(interface), _) => {
                imports.insert(interface);
            }
            (None, ComponentItem::Type(_)) => {}
            (None, _) => return Err(Fault::Start(format!("it imports {}", name.escape_debug()))),
        }
    }
    Ok(imports)
}

/// Whether a guest can wait for something.
fn waits(imports: &BTreeSet<Interface>) -> bool {
    use Interface::{Kube, Logs, PodHttp, Poll, Sessions};
    let waiting = [
        Kube,
        Logs,
        PodHttp,
        Poll,
        Sessions,
        Interface::Wasi(Wasi::IoPoll),
        Interface::Wasi(Wasi::IoStreams),
    ];
    waiting.iter().any(|interface| imports.contains(interface))
}

/// A guest that is loaded but not started.
struct Guest {
    abi: Abi,
    engine: Engine,
    component: Component,
    imports: BTreeSet<Interface>,
    granted: Granted,
    state: State,
    describing: bool,
    backtrace: bool,
}

impl Guest {
    async fn answer(
        self,
        request: Request,
        stop: supervise::StopHandle,
    ) -> (Result<Answer, Fault>, impl Send) {
        let Self { abi, engine, component, imports, granted, state, describing, backtrace } = self;
        let limits = state.limits.clone();
        let meter = Arc::clone(&state.meter);
        let output = state.output.clone();
        let mut store = Store::new(&engine, state);
        store.limiter(|state| &mut state.space);
        store.set_hostcall_fuel(limits.call_bytes);
        store.set_max_component_handles(limits.handles);
        store.epoch_deadline_callback(move |_| {
            use std::sync::atomic::Ordering;
            if stop.is_aborted() {
                return Ok(UpdateDeadline::Interrupt);
            }
            if meter.computed(TICK, &limits) {
                return Err(limit(Which::Time, u64::try_from(limits.time.as_millis()).unwrap_or(u64::MAX)));
            }
            meter.yielded.store(true, Ordering::Relaxed);
            Ok(UpdateDeadline::Yield(1))
        });
        store.set_epoch_deadline(1);

        let linked: BTreeSet<_> =
            imports.into_iter().filter(|i| granted.allows(*i) && !(describing && needs_run(*i))).collect();
        let answer = Self::call(abi, &engine, &component, &linked, describing, &mut store, request).await;
        let answer = answer.unwrap_or_else(|error| Err(fault(error, store.data(), backtrace)));
        let answer = match (answer, output.lock().close()) {
            (Ok(_), Err(OutputError::Stop(fault))) => Err(fault),
            (answer, _) => answer,
        };
        (answer, store)
    }

    async fn call(
        abi: Abi,
        engine: &Engine,
        component: &Component,
        linked: &BTreeSet<Interface>,
        describing: bool,
        store: &mut Store<State>,
        request: Request,
    ) -> wasmtime::Result<Result<Answer, Fault>> {
        let mut linker = Linker::new(engine);
        crate::wasi::link(&mut linker, linked)?;
        abi.link(&mut linker, linked)?;
        if describing {
            define_unlinked_as_traps(&mut linker, engine, component, linked)?;
        }
        let command = match abi.instantiate(store, component, &linker).await {
            Ok(command) => command,
            Err(error) if error.is::<Stop>() || error.is::<wasmtime::Trap>() => return Err(error),
            Err(error) if store.data().space.refused.is_some() => return Err(error),
            Err(error) => return Ok(Err(Fault::Start(one_line(&error)))),
        };
        match request {
            Request::Describe => {
                Ok(command.describe(store).await?.map(Answer::Describe).map_err(Fault::from))
            }
            Request::Run(arguments) => {
                let exit = command.run(store, &arguments).await?;
                let exit = exit.map_err(|error| store.data().host_errors.verify(error));
                let session = store.data().session_exit;
                if let Ok(code) = exit
                    && !exit::is_for_commands(code)
                    && session != Some(code)
                {
                    return Ok(Err(Fault::ReservedExitCode(code)));
                }
                let refusal = exit.as_ref().err().and_then(|error| store.data().host_errors.refusal(error));
                Ok(Ok(Answer::Run(Outcome { exit, refusal })))
            }
            Request::Complete(request) => Ok(Ok(Answer::Complete(command.complete(store, request).await?))),
        }
    }
}

/// Defines the functions of interfaces that are not linked as traps.
///
/// `Linker::define_unknown_imports_as_traps` also changes linked interfaces. There it would define resources that one
/// interface of WASI imports from another with different types, and no guest that prints could start.
fn define_unlinked_as_traps(
    linker: &mut Linker<State>,
    engine: &Engine,
    component: &Component,
    linked: &BTreeSet<Interface>,
) -> wasmtime::Result<()> {
    for (name, import) in component.component_type().imports(engine) {
        let is_linked = Interface::from_import(name).is_some_and(|interface| linked.contains(&interface));
        let ComponentItem::ComponentInstance(interface) = import.ty else { continue };
        if is_linked {
            continue;
        }
        let mut traps = linker.instance(name)?;
        for (export, item) in interface.exports(engine) {
            match item.ty {
                ComponentItem::ComponentFunc(_) => {
                    let called = format!("{name}#{export}");
                    traps.func_new(export, move |_, _, _, _| {
                        wasmtime::bail!("it called {called} while describing itself")
                    })?;
                }
                ComponentItem::Resource(_) => {
                    traps.resource(export, ResourceType::host::<()>(), |_, _| Ok(()))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Whether an interface is not available while a guest describes itself; calling it is a trap.
fn needs_run(interface: Interface) -> bool {
    !matches!(interface, Interface::Wasi(_) | Interface::Types | Interface::Tree)
}

/// The fault behind a trap.
fn fault(error: wasmtime::Error, state: &State, backtrace: bool) -> Fault {
    if let Some(Stop(fault)) = error.downcast_ref::<Stop>() {
        return fault.clone();
    }
    if let Some((which, value)) = state.space.refused {
        return Fault::Limit { limit: Limit { which, value } };
    }
    if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        return Fault::Trap { message: format!("it called exit({})", exit.0), backtrace: None };
    }
    let frames = error.downcast_ref::<wasmtime::WasmBacktrace>().filter(|_| backtrace);
    // Function names come from the guest.
    let frames = frames.map(|frames| text::escaped(&frames.to_string(), &['\n']));
    match error.downcast_ref::<wasmtime::Trap>() {
        Some(trap) => Fault::Trap { message: trap.to_string(), backtrace: frames },
        None => Fault::Trap { message: one_line(&error), backtrace: frames },
    }
}
