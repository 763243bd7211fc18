//! The process that keeps a cluster's programs and ends them with the run.
//!
//! Nothing of a cluster may outlive the run that started it, however the run ends. So the harness
//! starts one *supervisor* and holds the other end of its stdin: when the harness stops the cluster,
//! exits, or is killed, that pipe closes, and the supervisor stops the programs in the right order
//! and removes the cluster's directory. Should the supervisor itself be killed, the kernel kills its
//! children with it (the parent death signal, set by [`run_with_parent`] just before each program).
//!
//! A supervisor follows a plan, a file in the cluster's directory, and reports through files
//! there: `failed` holds why a program that must not end did, and `tasks/<name>` says that a task
//! has been done. The other way round, `held/<name>` holds the signal that stops a program, which is started
//! again once that file has gone.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fs_err as fs;
use kf_toolchains::command::last_part;
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{self, SigSet, SigmaskHow, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid, getppid};
use serde::{Deserialize, Serialize};

use super::error::{ClusterError, Result};
use super::node::{self, Node};

const TICK: Duration = Duration::from_millis(20);

/// `GOGC` of every program, all of which are written in Go: how much the heap grows, in percent,
/// before rubbish is collected. Go's own 100 costs the API server a quarter of its time.
const COLLECT_AT: &str = "300";

/// How long a program may take to end when it is told to; then it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a supervisor runs, in the order of starting; it stops them in the opposite order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) programs: Vec<Program>,
    /// Set where the programs run on a node in namespaces of its own.
    pub(crate) node: Option<Node>,
}

/// One program of a plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Program {
    /// Names its log and its reports.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// Files that must exist before it is started.
    pub(crate) after: Vec<PathBuf>,
    pub(crate) ending: Ending,
}

/// What it means when a program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ending {
    /// The cluster is broken: everything is stopped.
    Breaks,
    /// It is started again after a moment, as it may give up while others are not there yet.
    Restarts,
    /// It was a task and is done, if it succeeded; otherwise the cluster is broken.
    Completes,
}

impl Program {
    pub(crate) fn new(name: &str, path: PathBuf, ending: Ending) -> Self {
        Self {
            name: name.to_owned(),
            path,
            arguments: Vec::new(),
            environment: Vec::new(),
            after: Vec::new(),
            ending,
        }
    }

    pub(crate) fn arguments<T: Into<String>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    pub(crate) fn environment(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn after(mut self, files: impl IntoIterator<Item = PathBuf>) -> Self {
        self.after.extend(files);
        self
    }
}

/// The files by which a cluster's parts know of each other.
pub(crate) struct Files<'a>(pub(crate) &'a Path);

impl Files<'_> {
    pub(crate) fn plan(&self) -> PathBuf {
        self.0.join("plan.json")
    }

    pub(crate) fn failed(&self) -> PathBuf {
        self.0.join("failed")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    pub(crate) fn log(&self, program: &str) -> PathBuf {
        self.logs().join(format!("{program}.log"))
    }

    pub(crate) fn task(&self, name: &str) -> PathBuf {
        self.0.join("tasks").join(name)
    }

    pub(crate) fn held(&self, program: &str) -> PathBuf {
        self.0.join("held").join(program)
    }

    pub(crate) fn supervisor(&self) -> PathBuf {
        self.0.join("supervisor.json")
    }

    /// Which process supervises the cluster; `None` if the file does not exist.
    pub(crate) fn read_supervisor(&self) -> Result<Option<ProcessIdentity>> {
        match read_json(&self.supervisor()) {
            Err(ClusterError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// Reports why the cluster broke. The first report is kept, as later failures follow from it.
    pub(crate) fn report_failure(&self, reason: &str) -> Result<()> {
        let mut report = tempfile::NamedTempFile::new_in(self.0)?;
        report.write_all(reason.as_bytes())?;
        match report.persist_noclobber(self.failed()) {
            Err(error) if error.error.kind() != std::io::ErrorKind::AlreadyExists => Err(error.error.into()),
            _ => Ok(()),
        }
    }

    /// Which process is the first of the node.
    pub(crate) fn node(&self) -> PathBuf {
        self.0.join("node.json")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.0.join("cluster.json")
    }
}

/// A process that is recognised even when its number has been given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessIdentity {
    pid: i32,
    started: u64,
}

impl ProcessIdentity {
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may hold spaces; the state follows it, the start is 19 later.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        let started = fields.nth(18)?.parse().ok()?;
        (state != "Z" && state != "X").then_some(Self { pid, started })
    }

    /// This process.
    pub(crate) fn own() -> Result<Self> {
        Self::of(getpid().as_raw())
            .ok_or_else(|| ClusterError::malformed("/proc/self/stat", "it does not name this process"))
    }

    pub(crate) fn pid(self) -> i32 {
        self.pid
    }

    pub(crate) fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    pub(crate) fn signal(self, signal: Signal) -> bool {
        self.is_alive() && signal::kill(Pid::from_raw(self.pid), signal).is_ok()
    }

    /// Waits until it has ended; `false` when it has not in time.
    pub(crate) fn wait_for_end(self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.is_alive() {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(TICK);
        }
        true
    }
}

/// Becomes `program`, which the kernel kills as soon as the calling process's parent ends.
pub fn run_with_parent(parent: i32, program: &Path, arguments: &[OsString]) -> Result<Infallible> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid().as_raw() != parent {
        return Err(std::io::Error::other("the supervisor ended before its program started").into());
    }
    SigSet::all().thread_unblock()?;
    let error = Command::new(program).args(arguments).exec();
    Err(std::io::Error::new(error.kind(), format!("{}: {error}", program.display())).into())
}

/// When a supervisor stops.
pub(crate) struct StopSignal(Arc<AtomicBool>);

impl StopSignal {
    /// Set once stdin ends or `SIGTERM`, `SIGINT` or `SIGHUP` arrives. Call before anything is
    /// spawned: it blocks those signals in this thread, and so in every other one.
    pub(crate) fn new(lifeline: bool) -> Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGTERM);
        signals.add(Signal::SIGINT);
        signals.add(Signal::SIGHUP);
        signal::pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&signals), None)?;
        let on_signal = Arc::clone(&flag);
        std::thread::spawn(move || {
            while signals.wait().is_err_and(|error| error == Errno::EINTR) {}
            on_signal.store(true, Ordering::Relaxed);
        });
        if lifeline {
            let on_end = Arc::clone(&flag);
            std::thread::spawn(move || {
                let mut ignored = Vec::new();
                let _ = std::io::stdin().lock().read_to_end(&mut ignored);
                on_end.store(true, Ordering::Relaxed);
            });
        }
        Ok(Self(flag))
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The programs of a plan while they run. Collects every child of this process, its own or
/// inherited, so it may serve as the first process of a PID namespace.
pub(crate) struct Programs<'a> {
    directory: &'a Path,
    own_program: PathBuf,
    running: HashMap<Pid, usize>,
    /// Who has got the signal that holds it: a second one would cut an orderly end short.
    signalled: HashMap<Pid, Instant>,
    due: Vec<(Instant, usize)>,
    plan: Plan,
}

impl<'a> Programs<'a> {
    pub(crate) fn start(directory: &'a Path, plan: Plan) -> Result<Self> {
        fs::create_dir_all(Files(directory).logs())?;
        fs::create_dir_all(directory.join("tasks"))?;
        fs::create_dir_all(directory.join("held"))?;
        let mut programs = Self {
            directory,
            own_program: std::env::current_exe()?,
            running: HashMap::new(),
            signalled: HashMap::new(),
            due: Vec::new(),
            plan,
        };
        programs.due = (0..programs.plan.programs.len()).map(|index| (Instant::now(), index)).collect();
        programs.start_due()?;
        Ok(programs)
    }

    fn spawn(&mut self, index: usize) -> Result<()> {
        let Some(program) = self.plan.programs.get(index) else { return Ok(()) };
        let mut options = std::fs::OpenOptions::new();
        options.create(true).append(true);
        let log = fs::OpenOptions::from_options(options)
            .open(Files(self.directory).log(&program.name))?
            .into_parts()
            .0;
        let child = Command::new(&self.own_program)
            .arg("run-with-parent")
            .arg(getpid().to_string())
            .arg(&program.path)
            .args(&program.arguments)
            .env("GOGC", COLLECT_AT)
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()?;
        self.running.insert(Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX)), index);
        Ok(())
    }

    /// Runs until `stop` is set or a program that must not end does.
    pub(crate) fn supervise(&mut self, stop: &StopSignal) -> Result<()> {
        let failure = loop {
            if stop.is_set() {
                break None;
            }
            self.stop_held();
            if let Some(reason) = self.collect()? {
                break Some(reason);
            }
            self.start_due()?;
            std::thread::sleep(TICK);
        };
        match failure {
            Some(reason) => Files(self.directory).report_failure(&reason),
            None => Ok(()),
        }
    }

    fn stop_held(&mut self) {
        for (pid, index) in &self.running {
            if let Some(since) = self.signalled.get(pid) {
                if since.elapsed() > PATIENCE {
                    let _ = signal::kill(*pid, Signal::SIGKILL);
                }
                continue;
            }
            let Some(program) = self.plan.programs.get(*index) else { continue };
            let wanted = fs::read_to_string(Files(self.directory).held(&program.name)).unwrap_or_default();
            let Ok(wanted) = wanted.parse::<Signal>() else { continue };
            self.signalled.insert(*pid, Instant::now());
            let _ = signal::kill(*pid, wanted);
        }
    }

    /// Collects the children that have ended; returns why the cluster is broken, if it is.
    fn collect(&mut self) -> Result<Option<String>> {
        while let Some((pid, how)) = collect_one() {
            let Some(index) = self.running.remove(&pid) else { continue };
            let was_held = self.signalled.remove(&pid).is_some();
            let Some(program) = self.plan.programs.get(index) else { continue };
            match program.ending {
                _ if was_held => self.due.push((Instant::now(), index)),
                Ending::Restarts => self.due.push((Instant::now() + Duration::from_millis(300), index)),
                Ending::Completes if how == "exit code 0" => {
                    fs::write(Files(self.directory).task(&program.name), "")?;
                }
                Ending::Breaks | Ending::Completes => {
                    let log = fs::read(Files(self.directory).log(&program.name)).unwrap_or_default();
                    let log = String::from_utf8_lossy(&log);
                    return Ok(Some(format!("{} ended with {how}:\n{}", program.name, last_part(&log))));
                }
            }
        }
        Ok(None)
    }

    fn start_due(&mut self) -> Result<()> {
        let now = Instant::now();
        for (at, index) in std::mem::take(&mut self.due) {
            let ready = self.plan.programs.get(index).is_some_and(|program| {
                program.after.iter().all(|file| file.exists())
                    && !Files(self.directory).held(&program.name).exists()
            });
            if at <= now && ready {
                self.spawn(index)?;
            } else {
                self.due.push((at, index));
            }
        }
        Ok(())
    }

    /// Stops one program after the other, last started first: an API server whose etcd has gone
    /// does not stop.
    pub(crate) fn stop(mut self) {
        for index in (0..self.plan.programs.len()).rev() {
            let pids: Vec<Pid> =
                self.running.iter().filter(|(_, at)| **at == index).map(|(pid, _)| *pid).collect();
            for pid in pids {
                let _ = signal::kill(pid, Signal::SIGTERM);
                let deadline = Instant::now() + PATIENCE;
                while self.running.contains_key(&pid) {
                    while let Some((ended, _)) = collect_one() {
                        self.running.remove(&ended);
                    }
                    if Instant::now() > deadline {
                        let _ = signal::kill(pid, Signal::SIGKILL);
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }
}

fn collect_one() -> Option<(Pid, String)> {
    match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::Exited(pid, code)) => Some((pid, format!("exit code {code}"))),
        Ok(WaitStatus::Signaled(pid, signal, _)) => Some((pid, format!("signal {signal}"))),
        _ => None,
    }
}

pub(crate) fn read_plan(directory: &Path) -> Result<Plan> {
    read_json(&Files(directory).plan())
}

pub(crate) fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    serde_json::from_slice(&fs::read(path)?).map_err(|error| ClusterError::malformed(path, error))
}

/// Writes `value` beside `path` and renames it there.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let text = serde_json::to_vec_pretty(value).map_err(|error| ClusterError::malformed(path, error))?;
    let aside = path.with_extension("new");
    fs::write(&aside, text)?;
    fs::rename(&aside, path)?;
    Ok(())
}

/// Follows the plan in `directory` until stdin ends, or until a signal where the cluster is kept.
/// What is left of the cluster goes with it, unless the cluster broke: then its logs are wanted.
pub fn supervise(directory: &Path, keep: bool) -> Result<()> {
    let stop = StopSignal::new(!keep)?;
    let files = Files(directory);
    write_json(&files.supervisor(), &ProcessIdentity::own()?)?;
    let plan = read_plan(directory)?;
    match &plan.node {
        Some(node) => node::supervise(directory, node, &stop)?,
        None => {
            let mut programs = Programs::start(directory, plan)?;
            programs.supervise(&stop)?;
            programs.stop();
        }
    }
    while !stop.is_set() {
        std::thread::sleep(TICK);
    }
    if files.failed().exists() { remove_all_but_logs(directory) } else { remove(directory) }
}

fn remove_all_but_logs(directory: &Path) -> Result<()> {
    let logs = Files(directory).logs();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() && path != logs {
            fs::remove_dir_all(path)?;
        } else if path.is_file() {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Removes what a cluster whose programs have ended leaves on the machine. Without a readable plan no
/// program was started.
pub(crate) fn remove(directory: &Path) -> Result<()> {
    if let Ok(Plan { node: Some(node), .. }) = read_plan(directory) {
        node.remove(directory)?;
    }
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
