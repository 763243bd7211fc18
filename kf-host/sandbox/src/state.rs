//! What a run's host functions work on: one of these stands in the one store of a run.

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
use crate::limits::{Limits, MAX_PAGES, PAID_BACK};
use crate::output::{OutputError, SharedOutput};
use crate::poll::Room;
use crate::told::Told;

/// Where and how a command runs; all of it is settled before it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The namespace of the run.
    pub namespace: String,
    /// The environment, where there are any.
    pub environment: Option<String>,
    /// The kubeconfig's context, if there is one.
    pub cluster: Option<String>,
    /// The command's own name.
    pub command: String,
    /// The command's own version.
    pub version: String,
    /// Every write is a server-side dry run.
    pub dry_run: bool,
    /// There is a person at a terminal.
    pub interactive: bool,
    /// The words after `kf`, as far as the command may repeat them in a hint.
    pub command_line: Vec<String>,
}

/// A file or directory the user named on the command line, which is the grant to read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileGrant {
    /// As typed; for a file `-` is stdin.
    pub argument: String,
    /// Where it is. Ignored for stdin.
    pub path: PathBuf,
    pub reach: FileReach,
}

/// What naming a path lets a command read.
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
    /// The words the guest is run with: what the user typed or a declared variable says.
    pub(crate) arguments: Vec<String>,
    /// Ports of this machine that the run has listened on: it may do so again.
    pub(crate) ports: HashSet<u16>,
    pub(crate) kube: Option<Arc<dyn KubeApi>>,
    /// Absent: nothing can be selected, whatever is granted.
    pub(crate) selection: Option<Box<dyn Selection>>,
    /// Whether a session may be joined to the user's terminal or stdin; if not, why.
    pub(crate) terminal: std::result::Result<(), ApiError>,
    pub(crate) files: Files,
    pub(crate) limits: Limits,
    /// What the host told the guest of errors, and which layers refused, which never enters the guest.
    pub(crate) told: Told,
    /// The exit code of the last session joined to the terminal: the command may end with it,
    /// though it may be one of kf's own.
    pub(crate) session_exit: Option<u8>,
    /// Each open stream holds a clone.
    streams: Arc<()>,
    /// What the streams hold for the guest.
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
            terminal: Err(ApiError::new(ErrorCode::Forbidden, "this run may not use the terminal")),
            files: named,
            limits,
            told: Told::default(),
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

    /// Room for one more stream, to be held as long as it is open.
    pub(crate) fn stream_slot(&self) -> std::result::Result<Arc<()>, ApiError> {
        if Arc::strong_count(&self.streams) > self.limits.streams {
            let message = format!("more than {} watches, logs and sessions are open", self.limits.streams);
            return Err(ApiError::new(ErrorCode::Budget, message));
        }
        Ok(Arc::clone(&self.streams))
    }

    /// Counts a page that is about to be shown.
    pub(crate) fn page(&mut self) -> std::result::Result<(), ApiError> {
        if self.pages >= MAX_PAGES {
            let message = format!("a run shows no more than {MAX_PAGES} pages");
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
        self.kube.clone().ok_or_else(|| ApiError::new(ErrorCode::Forbidden, "this run has no cluster"))
    }
}

/// What the guest is told when its output cannot be written.
pub(crate) fn output_error(error: &std::io::Error) -> ApiError {
    ApiError::new(ErrorCode::Failed, format!("stdout cannot be written: {error}"))
}

/// The guest sees what it can do something about; everything else ends the run.
pub(crate) fn written(
    result: std::result::Result<(), OutputError>,
) -> Result<std::result::Result<(), ApiError>> {
    match result {
        Ok(()) => Ok(Ok(())),
        Err(OutputError::Io(error)) => Ok(Err(output_error(&error))),
        Err(OutputError::Stop(fault)) => Err(stop(fault)),
    }
}

/// What was used up and is not paid back yet.
#[derive(Default)]
pub(crate) struct Meter {
    /// Milliseconds of computing.
    computed: AtomicU64,
    pub(crate) calls: AtomicU64,
    /// The guest stopped for a tick, not for a wait.
    pub(crate) yielded: AtomicBool,
}

impl Meter {
    /// Guest code ran during a tick. Whether it has computed for too long.
    pub(crate) fn computed(&self, tick: Duration, limits: &Limits) -> bool {
        self.computed.fetch_add(milliseconds(tick), Ordering::Relaxed) >= milliseconds(limits.time)
    }

    /// The run waited for something.
    pub(crate) fn waited(&self, waited: Duration, limits: &Limits) {
        let paid = milliseconds(waited.saturating_mul(PAID_BACK));
        reduce(&self.computed, paid);
        let calls =
            u128::from(limits.calls) * u128::from(paid) / u128::from(milliseconds(limits.time).max(1));
        reduce(&self.calls, u64::try_from(calls).unwrap_or(u64::MAX));
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// One thread at a time counts here: the run's own.
fn reduce(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Ordering::Relaxed).saturating_sub(by), Ordering::Relaxed);
}

/// Memory and tables, counted over all instances of the run.
pub(crate) struct Space {
    memory: usize,
    max_memory: usize,
    elements: usize,
    max_elements: usize,
    instances: usize,
    /// What was refused last: a guest that then traps ran out of it.
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
    /// The host keeps bytes for the guest, which count as its memory.
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
