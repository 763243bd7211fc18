//! The state of a run, which its host functions use.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kf_core::api::{ApiError, ErrorCode, KubeApi};
use kf_core::selection::Selection;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime::{ResourceLimiter, Result};
use wasmtime_wasi::WasiCtx;

use crate::directory::Directory;
use crate::fault::{Which, limit, stop};
use crate::host_errors::HostErrors;
use crate::limits::{COMPUTE_PER_WAIT, Limits, MAX_PAGES};
use crate::output::{OutputError, SharedOutput};
use crate::poll::Room;

/// Where and how a command runs. Fixed before it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The namespace of the run.
    pub namespace: String,
    /// The environment, if there is one.
    pub environment: Option<String>,
    /// The kubeconfig's context, if there is one.
    pub cluster: Option<String>,
    /// The command's own name.
    pub command: String,
    /// The command's own version.
    pub version: String,
    /// Every write is a server-side dry run.
    pub dry_run: bool,
    /// Whether there is a terminal.
    pub interactive: bool,
    /// The words after `kf` that the command can repeat in a hint.
    pub command_line: Vec<String>,
}

/// A file or directory that the user named on the command line, which grants reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileGrant {
    /// As typed; for a file `-` is stdin.
    pub argument: String,
    /// Its location. Ignored for stdin.
    pub path: PathBuf,
    pub reach: FileReach,
}

/// What a command can read at a named path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileReach {
    /// The file itself.
    File,
    /// The regular files below the directory.
    Below,
}

pub(crate) struct State {
    pub(crate) table: ResourceTable,
    pub(crate) wasi: Option<Box<WasiCtx>>,
    pub(crate) space: Space,
    pub(crate) meter: Arc<Meter>,
    pub(crate) output: SharedOutput,
    pub(crate) context: Context,
    /// The arguments of the guest: typed by the user, or from declared variables.
    pub(crate) arguments: Vec<String>,
    /// Local ports that the run has listened on before, and can listen on again.
    pub(crate) ports: HashSet<u16>,
    pub(crate) kube: Option<Arc<dyn KubeApi>>,
    /// Absent if no namespace can be selected, regardless of the grant.
    pub(crate) selection: Option<Box<dyn Selection>>,
    /// Whether a session can be joined to the user's terminal or stdin; if not, why.
    pub(crate) terminal: std::result::Result<(), ApiError>,
    pub(crate) files: Files,
    pub(crate) limits: Limits,
    /// The errors that the host returned to the guest, and the refusals, which never enter the guest.
    pub(crate) host_errors: HostErrors,
    /// The exit code of the last session joined to the terminal. The command can exit with it, even if
    /// it is reserved for kf.
    pub(crate) session_exit: Option<u8>,
    /// Counts open streams: each holds a clone.
    streams: Arc<()>,
    /// The memory that buffered stream data takes.
    pub(crate) room: Arc<Room>,
    widgets: u32,
    pages: u32,
}

/// The files a run may read.
#[derive(Default)]
pub(crate) struct Files {
    pub(crate) granted: HashMap<String, PathBuf>,
    pub(crate) directories: HashMap<String, Directory>,
    pub(crate) stdin: Option<Arc<[u8]>>,
    pub(crate) read: u64,
}

impl State {
    pub(crate) fn new(
        limits: Limits,
        context: Context,
        files: Vec<FileGrant>,
        kube: Option<Arc<dyn KubeApi>>,
        output: SharedOutput,
        meter: Arc<Meter>,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        let mut named = Files::default();
        for FileGrant { argument, path, reach } in files {
            match reach {
                FileReach::File => drop(named.granted.insert(argument, path)),
                FileReach::Below => drop(named.directories.insert(argument, Directory::named(path))),
            }
        }
        Self {
            table,
            wasi: None,
            space: Space::new(&limits),
            meter,
            output,
            context,
            arguments: Vec::new(),
            ports: HashSet::new(),
            kube,
            selection: None,
            terminal: Err(ApiError::new(ErrorCode::Forbidden, "this run cannot use the terminal")),
            files: named,
            limits,
            host_errors: HostErrors::default(),
            session_exit: None,
            streams: Arc::new(()),
            room: Arc::default(),
            widgets: 0,
            pages: 0,
        }
    }

    /// Counts a host call.
    pub(crate) fn call(&mut self) -> Result<()> {
        if self.meter.calls.fetch_add(1, Ordering::Relaxed) >= self.limits.calls {
            return Err(limit(Which::Calls, self.limits.calls));
        }
        Ok(())
    }

    /// Hands a resource to the guest.
    pub(crate) fn push<T: Send + 'static>(&mut self, entry: T) -> Result<Resource<T>> {
        self.table.push(entry).map_err(|_| limit(Which::Handles, self.limits.handles as u64))
    }

    /// A permit for one more stream, which is held while the stream is open.
    pub(crate) fn stream_permit(&self) -> std::result::Result<Arc<()>, ApiError> {
        if Arc::strong_count(&self.streams) > self.limits.streams {
            let message = format!("more than {} watches, logs and sessions are open", self.limits.streams);
            return Err(ApiError::new(ErrorCode::Budget, message));
        }
        Ok(Arc::clone(&self.streams))
    }

    /// Counts a page that is about to be shown.
    pub(crate) fn page(&mut self) -> std::result::Result<(), ApiError> {
        if self.pages >= MAX_PAGES {
            let message = format!("a run can open at most {MAX_PAGES} pages");
            return Err(ApiError::new(ErrorCode::Budget, message));
        }
        self.pages += 1;
        Ok(())
    }

    pub(crate) fn widget(&mut self) -> Result<kf_core::ui::WidgetId> {
        if self.output.lock().widgets() >= self.limits.widgets {
            return Err(limit(Which::Widgets, self.limits.widgets as u64));
        }
        self.widgets = self.widgets.wrapping_add(1);
        Ok(kf_core::ui::WidgetId(self.widgets))
    }

    pub(crate) fn cluster(&self) -> std::result::Result<Arc<dyn KubeApi>, ApiError> {
        self.kube
            .clone()
            .ok_or_else(|| ApiError::new(ErrorCode::Forbidden, "this run has no access to a cluster"))
    }
}

/// The error for a guest whose output cannot be written.
pub(crate) fn output_error(error: &std::io::Error) -> ApiError {
    ApiError::new(ErrorCode::Failed, format!("cannot write to stdout: {error}"))
}

/// Returns an I/O error to the guest; any other error ends the run.
pub(crate) fn written(
    result: std::result::Result<(), OutputError>,
) -> Result<std::result::Result<(), ApiError>> {
    match result {
        Ok(()) => Ok(Ok(())),
        Err(OutputError::Io(error)) => Ok(Err(output_error(&error))),
        Err(OutputError::Stop(fault)) => Err(stop(fault)),
    }
}

/// Resources that were used and not paid back yet.
#[derive(Default)]
pub(crate) struct Meter {
    /// Milliseconds of computing.
    computed: AtomicU64,
    pub(crate) calls: AtomicU64,
    /// The guest was suspended by a tick, not by a wait.
    pub(crate) yielded: AtomicBool,
}

impl Meter {
    /// Counts a tick of guest code. Returns whether the guest has computed for too long.
    pub(crate) fn computed(&self, tick: Duration, limits: &Limits) -> bool {
        self.computed.fetch_add(milliseconds(tick), Ordering::Relaxed) >= milliseconds(limits.time)
    }

    /// Pays back computing time and calls for a wait.
    pub(crate) fn waited(&self, waited: Duration, limits: &Limits) {
        let paid = milliseconds(waited.saturating_mul(COMPUTE_PER_WAIT));
        reduce(&self.computed, paid);
        let calls =
            u128::from(limits.calls) * u128::from(paid) / u128::from(milliseconds(limits.time).max(1));
        reduce(&self.calls, u64::try_from(calls).unwrap_or(u64::MAX));
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Not atomic as a whole: only the run's own thread counts.
fn reduce(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Ordering::Relaxed).saturating_sub(by), Ordering::Relaxed);
}

/// Memory and tables of all instances of the run.
pub(crate) struct Space {
    memory: usize,
    max_memory: usize,
    elements: usize,
    max_elements: usize,
    instances: usize,
    /// The limit that was reached last. If the guest then traps, that was the reason.
    pub(crate) refused: Option<(Which, u64)>,
}

impl Space {
    fn new(limits: &Limits) -> Self {
        Self {
            memory: 0,
            max_memory: limits.memory,
            elements: 0,
            max_elements: limits.table_elements,
            instances: limits.instances,
            refused: None,
        }
    }
}

impl Space {
    /// Counts bytes that the host keeps for the guest as guest memory.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<()> {
        let total = self.memory.saturating_add(bytes);
        if total > self.max_memory {
            return Err(limit(Which::Memory, self.max_memory as u64));
        }
        self.memory = total;
        Ok(())
    }
}

impl ResourceLimiter for Space {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        if total > self.max_memory {
            self.refused = Some((Which::Memory, self.max_memory as u64));
            return Ok(false);
        }
        self.memory = total;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        let total = self.elements.saturating_add(desired.saturating_sub(current));
        if total > self.max_elements {
            self.refused = Some((Which::Tables, self.max_elements as u64));
            return Ok(false);
        }
        self.elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.instances
    }

    fn memories(&self) -> usize {
        self.instances
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
