use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use super::cluster::FakeCluster;
use super::sessions::{FakeProcess, FakeSessions};
use super::streams::{FakeForward, FakeLive, FakeLogStream, FakeProgress, FakeWatch, when};
use super::terminal::Terminal;
use crate::border::*;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::kf::Kf;
use crate::run::Command;
use crate::ui::{Column, Format, Row};

/// 2026-01-01T12:00:00Z, when every test starts.
const START: u64 = 1_767_268_800_000;

/// So many timers ring for nothing before a test is over.
const PATIENCE: u32 = 1000;

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
    now: Cell<u64>,
    context: RefCell<Context>,
    files: RefCell<BTreeMap<String, Vec<u8>>>,
    answers: RefCell<Vec<bool>>,
    lines: RefCell<Vec<String>>,
    selected: RefCell<Selected>,
    pub(super) sessions: RefCell<FakeSessions>,
    steps: RefCell<BTreeMap<u64, Vec<Step>>>,
    /// Times at which a timer of the command rings.
    timers: RefCell<Vec<u64>>,
    /// Timers that rang since the test's script last did something.
    idle: Cell<u32>,
}

impl FakeHost {
    /// An empty cluster that serves pods and events.
    pub fn new(namespace: &str) -> Self {
        let context = Context { namespace: namespace.into(), version: "0.0.0".into(), ..Context::default() };
        let cluster = FakeCluster::new(namespace);
        let state = State {
            cluster: RefCell::new(cluster),
            terminal: RefCell::default(),
            format: Cell::default(),
            now: Cell::new(START),
            context: RefCell::new(context),
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
        host
    }

    /// What a command under test holds.
    pub fn kf(&self) -> Kf {
        Kf::new(Rc::new(self.clone()))
    }

    /// Runs a command with the words after its name.
    pub fn run<C: Command>(&self, words: &[&str]) -> Result<crate::Exit> {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
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

    /// Puts an object there; see [`FakeCluster::put`].
    pub fn put(&self, object: impl Into<Value>) {
        self.cluster(|cluster| cluster.put(object));
    }

    /// Does something to the cluster now.
    pub fn cluster<T>(&self, act: impl FnOnce(&mut FakeCluster) -> T) -> T {
        act(&mut self.state.cluster.borrow_mut())
    }

    /// Does something to the cluster so long after the start, while the command waits.
    pub fn at(&self, after: Duration, act: impl FnOnce(&mut FakeCluster) + 'static) {
        let time = START + millis(after);
        self.state.steps.borrow_mut().entry(time).or_default().push(Box::new(act));
    }

    /// A file the user named on the command line, or one below a directory the user named. Those
    /// that end in `.sh` are executable.
    pub fn file(&self, path: &str, text: &str) {
        self.state.files.borrow_mut().insert(path.into(), text.into());
    }

    /// Changes the context.
    pub fn change_context(&self, change: impl FnOnce(&mut Context)) {
        change(&mut self.state.context.borrow_mut());
    }

    /// What `-o` asks for.
    pub fn format(&self, format: Format) {
        self.state.format.set(format);
    }

    /// What the user answers next; without an answer it is no.
    pub fn answer(&self, yes: bool) {
        self.state.answers.borrow_mut().insert(0, yes);
    }

    /// What the user types next when asked for a line; without it there is none.
    pub fn type_line(&self, line: &str) {
        self.state.lines.borrow_mut().insert(0, line.into());
    }

    // ---- after the run ----

    /// What a person would have seen.
    pub fn terminal(&self) -> Ref<'_, Terminal> {
        self.state.terminal.borrow()
    }

    /// Which namespace later runs would use.
    pub fn selected_namespace(&self) -> Selected {
        self.state.selected.borrow().clone()
    }

    /// When the test started.
    pub fn start(&self) -> Timestamp {
        Timestamp(START)
    }

    // ---- time ----

    /// Moves to the next thing that is going to happen. False if nothing is.
    pub(super) fn advance(&self) -> bool {
        let now = self.state.now.get();
        let step = self.state.steps.borrow().keys().next().copied();
        let timer = self.state.timers.borrow().iter().copied().filter(|time| *time > now).min();
        let Some(next) = step.into_iter().chain(timer).min() else { return false };
        self.state.now.set(next.max(now));
        let due = self.state.steps.borrow_mut().remove(&next).unwrap_or_default();
        // A command that only looks at the clock would wait for ever.
        self.state.idle.set(if due.is_empty() { self.state.idle.get() + 1 } else { 0 });
        if self.state.idle.get() > PATIENCE {
            return false;
        }
        for step in due {
            self.cluster(step);
        }
        true
    }

    /// Moves on until it holds. An error if the test's script ends first.
    pub(super) fn block_until(&self, what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
        while !holds() {
            if !self.advance() {
                return Err(Error::timed_out(format!("the test ended while the command waited for {what}")));
            }
        }
        Ok(())
    }
}

impl Host for FakeHost {
    fn context(&self) -> Context {
        self.state.context.borrow().clone()
    }

    fn now(&self) -> u64 {
        self.state.now.get()
    }

    fn after(&self, milliseconds: u64) -> Pollable {
        let host = self.clone();
        let time = self.state.now.get().saturating_add(milliseconds);
        self.state.timers.borrow_mut().push(time);
        when(move || host.state.now.get() >= time)
    }

    fn wait(&self, pollables: &[&Pollable]) -> Vec<usize> {
        let ready = || -> Vec<usize> {
            pollables.iter().enumerate().filter(|(_, one)| one.ready()).map(|(index, _)| index).collect()
        };
        loop {
            let found = ready();
            // A wait that nothing can end comes back empty, so that the test fails instead of
            // hanging.
            if !found.is_empty() || !self.advance() {
                return found;
            }
        }
    }

    fn get(&self, object: &ObjectRef) -> Result<Value> {
        self.cluster(|cluster| cluster.get(object))
    }

    fn list(&self, what: &Selection, limit: Option<u32>, next: Option<&str>) -> Result<Page> {
        self.cluster(|cluster| cluster.list(what, limit, next))
    }

    fn get_many(&self, objects: &[ObjectRef]) -> Vec<Result<Value>> {
        objects.iter().map(|object| self.get(object)).collect()
    }

    fn list_many(&self, what: &[Selection], limit: Option<u32>) -> Vec<Result<Page>> {
        what.iter().map(|what| self.list(what, limit, None)).collect()
    }

    fn create(&self, object: &ObjectRef, body: &Value, options: WriteOptions) -> Result<Value> {
        let options = self.with_dry_run(options);
        self.cluster(|cluster| cluster.create(object, body, options))
    }

    fn apply(&self, object: &ObjectRef, body: &Value, options: WriteOptions) -> Result<Value> {
        let options = self.with_dry_run(options);
        self.cluster(|cluster| cluster.apply(object, body, options))
    }

    fn patch(
        &self,
        object: &ObjectRef,
        kind: PatchKind,
        body: &Value,
        options: WriteOptions,
    ) -> Result<Value> {
        let options = self.with_dry_run(options);
        self.cluster(|cluster| cluster.patch(object, kind, body, options))
    }

    fn delete(&self, object: &ObjectRef, options: &DeleteOptions) -> Result<()> {
        let mut options = options.clone();
        options.dry_run |= self.context().dry_run;
        self.cluster(|cluster| cluster.delete(object, &options))
    }

    fn open_watch(&self, what: &Selection, resource_version: &str) -> Result<Box<dyn WatchSource>> {
        self.cluster(|cluster| cluster.check("watch", &what.kind))?;
        let from = resource_version
            .parse()
            .map_err(|_| Error::invalid(format!("`{resource_version}` is no resource version")))?;
        Ok(Box::new(FakeWatch::new(self.clone(), what.clone(), from)))
    }

    fn can_i(&self, questions: &[Access]) -> Result<Vec<Verdict>> {
        Ok(self.cluster(|cluster| cluster.can_i(questions)))
    }

    fn whoami(&self) -> Result<Identity> {
        Ok(self.cluster(|cluster| cluster.identity.clone()))
    }

    fn discover(&self, group: &str) -> Result<Vec<ServedKind>> {
        Ok(self.cluster(|cluster| cluster.discover(group)))
    }

    fn open_log(
        &self,
        _namespace: Option<&str>,
        pod: &str,
        options: &LogOptions,
    ) -> Result<Box<dyn LogSource>> {
        Ok(Box::new(FakeLogStream::open(self.clone(), pod, options)?))
    }

    fn forward(&self, log: Box<dyn LogSource>, prefix: Option<&str>) -> Result<Box<dyn ForwardSource>> {
        let log = log
            .into_any()
            .downcast::<FakeLogStream>()
            .map_err(|_| Error::failed("the log was not opened by this host"))?;
        Ok(Box::new(FakeForward::new(self.clone(), *log, prefix)))
    }

    fn exec(
        &self,
        _namespace: Option<&str>,
        pod: &str,
        command: &[String],
        options: &SessionOptions,
    ) -> Result<i32> {
        let said = self.session("exec", pod, command, options)?;
        self.print(&said.stdout)?;
        Ok(said.exit_code)
    }

    fn attach(&self, _namespace: Option<&str>, pod: &str, options: &SessionOptions) -> Result<i32> {
        let said = self.session("attach", pod, &[], options)?;
        self.print(&said.stdout)?;
        Ok(said.exit_code)
    }

    fn start(
        &self,
        _namespace: Option<&str>,
        pod: &str,
        command: &[String],
        options: &SessionOptions,
    ) -> Result<Box<dyn ProcessSource>> {
        let said = self.session("exec", pod, command, options)?;
        Ok(Box::new(FakeProcess::new(self.clone(), said, options.stdin)))
    }

    fn open_port_forward(
        &self,
        _namespace: Option<&str>,
        pod: &str,
        ports: &[Port],
    ) -> Result<Box<dyn PortForwardSource>> {
        self.forward_ports(pod, ports)
    }

    fn send(&self, request: &HttpRequest) -> Result<HttpResponse> {
        self.http(request)
    }

    fn selected(&self) -> Result<Selected> {
        Ok(self.selected_namespace())
    }

    fn select(&self, namespace: Option<&str>) -> Result<()> {
        if !self.context().dry_run {
            let mut selected = self.state.selected.borrow_mut();
            selected.previous = std::mem::replace(&mut selected.namespace, namespace.map(str::to_owned));
        }
        Ok(())
    }

    fn walk(&self, directory: &str, skip: &[String]) -> Result<FileTree> {
        let below = format!("{}/", directory.trim_end_matches('/'));
        let files = self.state.files.borrow();
        let mut tree = FileTree::default();
        let all = files.iter().filter_map(|(path, content)| Some((path.strip_prefix(&below)?, content)));
        for (path, content) in all {
            match left_out(path, skip) {
                Some(part) if tree.left_out.contains(&part) => {}
                Some(part) => tree.left_out.push(part),
                None => tree.files.push(FileEntry {
                    path: path.into(),
                    size: content.len() as u64,
                    executable: path.ends_with(".sh"),
                }),
            }
        }
        if tree == FileTree::default() {
            return Err(Error::forbidden(format!("{directory} was not named on the command line")));
        }
        Ok(tree)
    }

    fn read_below(&self, directory: &str, path: &str) -> Result<Vec<u8>> {
        self.read_file(&format!("{}/{path}", directory.trim_end_matches('/')))
    }

    fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        let files = self.state.files.borrow();
        files
            .get(path)
            .cloned()
            .ok_or_else(|| Error::forbidden(format!("{path} was not named on the command line")))
    }

    fn output_format(&self) -> Format {
        self.state.format.get()
    }

    fn print(&self, data: &[u8]) -> Result<()> {
        self.state.terminal.borrow_mut().stdout.push_str(&String::from_utf8_lossy(data));
        Ok(())
    }

    fn note(&self, text: &str) {
        self.state.terminal.borrow_mut().notes.push(text.into());
    }

    fn warn(&self, text: &str) {
        self.state.terminal.borrow_mut().notes.push(format!("warning: {text}"));
    }

    fn table(&self, columns: &[Column], rows: &[Row]) -> Result<()> {
        self.state.terminal.borrow_mut().table(self.state.format.get(), columns, rows);
        Ok(())
    }

    fn record(&self, fields: &[Column], value: &Row) -> Result<()> {
        self.state.terminal.borrow_mut().record(self.state.format.get(), fields, value);
        Ok(())
    }

    fn live_table(&self, columns: &[Column]) -> Box<dyn LiveSink> {
        Box::new(FakeLive { host: self.clone(), columns: columns.to_vec() })
    }

    fn progress(&self, label: &str, _total: Option<u64>) -> Box<dyn ProgressSink> {
        self.state.terminal.borrow_mut().say(label);
        Box::new(FakeProgress { host: self.clone() })
    }

    fn confirm(&self, question: &str, _default: bool) -> bool {
        self.note(question);
        self.state.answers.borrow_mut().pop().unwrap_or(false)
    }

    fn ask(&self, _question: &str) -> Option<String> {
        self.state.lines.borrow_mut().pop()
    }
}

impl FakeHost {
    fn with_dry_run(&self, mut options: WriteOptions) -> WriteOptions {
        options.dry_run |= self.context().dry_run;
        options
    }
}

/// The part of a path that is left out with all below it.
fn left_out(path: &str, skip: &[String]) -> Option<String> {
    let fits = |name: &str, pattern: &String| match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (None, None) => name == pattern,
    };
    let mut above = String::new();
    for name in path.split('/') {
        above.push_str(name);
        if skip.iter().any(|pattern| fits(name, pattern)) {
            return Some(above);
        }
        above.push('/');
    }
    None
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
