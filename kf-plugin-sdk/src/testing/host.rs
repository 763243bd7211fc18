//! The fake host.

use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use super::cluster::FakeCluster;
use super::manifest::{Package, Rights};
use super::sessions::FakeSessions;
use super::terminal::Terminal;
use crate::abi::{Context, Selected};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::kf::Kf;
use crate::run::Command;
use crate::ui::Format;

/// The start time of every test: 2026-01-01T12:00:00Z.
const START: u64 = 1_767_268_800_000;

/// The maximum number of timers that may expire between two steps of a test.
const MAX_IDLE_TIMERS: u32 = 1000;

type Step = Box<dyn FnOnce(&mut FakeCluster)>;

/// A host in memory. Clones are the same host.
#[derive(Clone)]
pub struct FakeHost {
    pub(super) state: Rc<State>,
}

pub(super) struct State {
    pub(super) cluster: RefCell<FakeCluster>,
    pub(super) terminal: RefCell<Terminal>,
    pub(super) format: Cell<Format>,
    pub(super) now: Cell<u64>,
    pub(super) context: RefCell<Context>,
    /// The words of the command line before and after the name of the command.
    typed: RefCell<(Vec<String>, Vec<String>)>,
    pub(super) files: RefCell<BTreeMap<String, Vec<u8>>>,
    pub(super) answers: RefCell<Vec<bool>>,
    pub(super) lines: RefCell<Vec<String>>,
    pub(super) selected: RefCell<Selected>,
    pub(super) sessions: RefCell<FakeSessions>,
    steps: RefCell<BTreeMap<u64, Vec<Step>>>,
    /// The times at which timers of the command expire.
    pub(super) timers: RefCell<Vec<u64>>,
    /// The number of timers that have expired since the last step of the test.
    idle: Cell<u32>,
}

impl FakeHost {
    /// Creates a host with an empty cluster that serves the built-in kinds. The command has the name and permissions in the
    /// `plugin.toml` of the package under test; without one, everything is permitted.
    ///
    /// # Panics
    ///
    /// Panics if the manifest cannot be read.
    pub fn new(namespace: &str) -> Self {
        let package = or_panic(Package::of_this_test());
        let context = Context {
            namespace: namespace.into(),
            command: package.name.unwrap_or_default(),
            version: "0.0.0".into(),
            ..Context::default()
        };
        let cluster = FakeCluster::new(namespace);
        let state = State {
            cluster: RefCell::new(cluster),
            terminal: RefCell::default(),
            format: Cell::default(),
            now: Cell::new(START),
            context: RefCell::new(context),
            typed: RefCell::default(),
            files: RefCell::default(),
            answers: RefCell::default(),
            lines: RefCell::default(),
            selected: RefCell::default(),
            sessions: RefCell::default(),
            steps: RefCell::default(),
            timers: RefCell::default(),
            idle: Cell::default(),
        };
        let host = Self { state: Rc::new(state) };
        host.serve("", "v1", "Pod", "pods");
        host.serve("", "v1", "Event", "events");
        host.cluster(|cluster| cluster.rights = package.rights);
        host
    }

    /// Gives the command the permissions of this manifest instead of its package's.
    ///
    /// # Panics
    ///
    /// Panics if the manifest cannot be read.
    pub fn manifest(&self, toml: &str) {
        let rights = or_panic(Rights::parse(toml));
        self.cluster(|cluster| cluster.rights = Some(rights));
    }

    /// Returns a `Kf` for the command under test.
    pub fn kf(&self) -> Kf {
        Kf::new(Rc::new(self.clone()))
    }

    /// Runs a command with the words after its name.
    pub fn run<C: Command>(&self, words: &[&str]) -> Result<crate::Exit> {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        self.state.typed.borrow_mut().1.clone_from(&words);
        crate::run::run::<C>(&words, &self.kf())
    }

    // ---- before the run ----

    /// Serves a namespaced kind.
    pub fn serve(&self, group: &str, version: &str, kind: &str, plural: &str) {
        self.cluster(|cluster| cluster.serve(group, version, kind, plural, true));
    }

    /// Serves a cluster-scoped kind.
    pub fn serve_cluster(&self, group: &str, version: &str, kind: &str, plural: &str) {
        self.cluster(|cluster| cluster.serve(group, version, kind, plural, false));
    }

    /// Adds or replaces an object; see [`FakeCluster::put`].
    pub fn put(&self, object: impl Into<Value>) {
        self.cluster(|cluster| cluster.put(object));
    }

    /// Accesses the cluster now.
    pub fn cluster<T>(&self, act: impl FnOnce(&mut FakeCluster) -> T) -> T {
        act(&mut self.state.cluster.borrow_mut())
    }

    /// Changes the cluster at a time after the start, while the command waits.
    pub fn at(&self, after: Duration, act: impl FnOnce(&mut FakeCluster) + 'static) {
        let time = START + millis(after);
        self.state.steps.borrow_mut().entry(time).or_default().push(Box::new(act));
    }

    /// Adds a file that the user named on the command line, or one below a directory that the user named. Files that end in
    /// `.sh` are executable.
    pub fn file(&self, path: &str, text: &str) {
        self.state.files.borrow_mut().insert(path.into(), text.into());
    }

    /// Adds flags of kf, such as `-n team-b`, before the name of the command. They only affect the command line.
    pub fn kf_flags(&self, words: &[&str]) {
        self.state.typed.borrow_mut().0 = words.iter().map(|word| (*word).to_owned()).collect();
    }

    /// Changes the context.
    pub fn change_context(&self, change: impl FnOnce(&mut Context)) {
        change(&mut self.state.context.borrow_mut());
    }

    /// Sets the output format.
    pub fn format(&self, format: Format) {
        self.state.format.set(format);
    }

    /// Adds an answer of the user to a question. The default is no.
    pub fn answer(&self, yes: bool) {
        self.state.answers.borrow_mut().insert(0, yes);
    }

    /// Adds a line that the user types when asked. The default is none.
    pub fn type_line(&self, line: &str) {
        self.state.lines.borrow_mut().insert(0, line.into());
    }

    // ---- after the run ----

    /// Returns what the user would have seen.
    pub fn terminal(&self) -> Ref<'_, Terminal> {
        self.state.terminal.borrow()
    }

    /// Returns the namespace that later runs would use.
    pub fn selected_namespace(&self) -> Selected {
        self.state.selected.borrow().clone()
    }

    /// Returns when the test started.
    pub fn start(&self) -> Timestamp {
        Timestamp(START)
    }

    /// Returns the words after `kf`.
    pub(super) fn typed_words(&self) -> Vec<String> {
        let (before, after) = &*self.state.typed.borrow();
        let command = self.state.context.borrow().command.clone();
        let command = Some(command).filter(|command| !command.is_empty());
        before.iter().cloned().chain(command).chain(after.iter().cloned()).collect()
    }

    // ---- time ----

    /// Advances the clock to the next step or timer. Returns false if there is none.
    pub(super) fn advance(&self) -> bool {
        let now = self.state.now.get();
        let step = self.state.steps.borrow().keys().next().copied();
        let timer = self.state.timers.borrow().iter().copied().filter(|time| *time > now).min();
        let Some(next) = step.into_iter().chain(timer).min() else { return false };
        self.state.now.set(next.max(now));
        let due = self.state.steps.borrow_mut().remove(&next).unwrap_or_default();
        // A command that polls the clock would never end.
        self.state.idle.set(if due.is_empty() { self.state.idle.get() + 1 } else { 0 });
        if self.state.idle.get() > MAX_IDLE_TIMERS {
            return false;
        }
        for step in due {
            self.cluster(step);
        }
        true
    }

    /// Advances the clock until a condition holds. Returns an error if there are no more steps.
    pub(super) fn block_until(&self, what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
        while !holds() {
            if !self.advance() {
                return Err(Error::timed_out(format!("the test ended while the command waited for {what}")));
            }
        }
        Ok(())
    }
}

#[expect(clippy::panic, reason = "only tests reach it, and it is the manifest that is wrong")]
fn or_panic<T>(rights: Result<T>) -> T {
    match rights {
        Ok(rights) => rights,
        Err(error) => panic!("{error}"),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
