//! The process that runs a cluster's programs and stops them with the run.
//!
//! No part of a cluster must outlive the run that started it, even if the run is killed. So the harness starts
//! a *supervisor* and keeps the other end of its stdin: when the harness stops the cluster, exits, or is killed,
//! the pipe closes, and the supervisor stops the programs in order and removes the cluster's directory. If the
//! supervisor itself is killed, the kernel kills its children (the parent death signal, set by
//! [`run_with_parent`] before each program).
//!
//! A supervisor executes a plan, a file in the cluster's directory, and reports through files there: `failed`
//! contains why the cluster failed, and `tasks/<name>` exists once a task is done. A file `held/<name>` contains
//! the signal that stops a program; the program is restarted once the file is removed.

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

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// `GOGC` of every program, which are all written in Go. Go's default of 100 costs the API server a quarter of its
/// time.
const GOGC: &str = "300";

/// How long a program may take to stop before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The programs that a supervisor runs, in start order. They are stopped in reverse order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) programs: Vec<Program>,
    /// Set if the programs run on a node in its own namespaces.
    pub(crate) node: Option<Node>,
}

/// One program of a plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Program {
    /// The name of its log and its reports.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// Files that must exist before it is started.
    pub(crate) after: Vec<PathBuf>,
    pub(crate) ending: Ending,
}

/// What to do when a program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ending {
    /// The cluster has failed: stop everything.
    Breaks,
    /// Restart it after a moment: it may exit while its dependencies are not ready.
    Restarts,
    /// It is a task. If it succeeded, it is done; otherwise the cluster has failed.
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

/// The files through which the processes of a cluster communicate.
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

    /// The process that supervises the cluster; `None` if the file does not exist.
    pub(crate) fn read_supervisor(&self) -> Result<Option<ProcessIdentity>> {
        match read_json(&self.supervisor()) {
            Err(ClusterError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// Reports why the cluster failed. Only the first report is kept, as later failures follow from it.
    pub(crate) fn report_failure(&self, reason: &str) -> Result<()> {
        let mut report = tempfile::NamedTempFile::new_in(self.0)?;
        report.write_all(reason.as_bytes())?;
        match report.persist_noclobber(self.failed()) {
            Err(error) if error.error.kind() != std::io::ErrorKind::AlreadyExists => Err(error.error.into()),
            _ => Ok(()),
        }
    }

    /// The file that names the first process of the node.
    pub(crate) fn node(&self) -> PathBuf {
        self.0.join("node.json")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.0.join("cluster.json")
    }
}

/// A process, identified by its PID and start time, because PIDs are reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessIdentity {
    pid: i32,
    started: u64,
}

impl ProcessIdentity {
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may contain spaces. The state follows it, and the start time is 19 fields later.
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

    /// Waits until it has ended. Returns false after `limit`.
    pub(crate) fn wait_for_end(self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.is_alive() {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        true
    }
}

/// Replaces this process by `program`, which the kernel kills when the parent process ends.
pub fn run_with_parent(parent: i32, program: &Path, arguments: &[OsString]) -> Result<Infallible> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid().as_raw() != parent {
        return Err(std::io::Error::other("the supervisor ended before its program started").into());
    }
    SigSet::all().thread_unblock()?;
    let error = Command::new(program).args(arguments).exec();
    Err(std::io::Error::new(error.kind(), format!("{}: {error}", program.display())).into())
}

/// Whether a supervisor has to stop.
pub(crate) struct StopSignal(Arc<AtomicBool>);

impl StopSignal {
    /// Set when stdin ends, with `lifeline`, or when `SIGTERM`, `SIGINT` or `SIGHUP` arrives. Must be called before
    /// any thread is spawned, because it blocks those signals in this thread and thus in new ones.
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

/// The running programs of a plan. Reaps all children of this process, including inherited ones, so it can be the
/// first process of a PID namespace.
pub(crate) struct Programs<'a> {
    directory: &'a Path,
    own_program: PathBuf,
    running: HashMap<Pid, usize>,
    /// When a process got its stop signal: a second one would interrupt a graceful stop.
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
            .env("GOGC", GOGC)
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()?;
        self.running.insert(Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX)), index);
        Ok(())
    }

    /// Runs until `stop` is set or the cluster fails.
    pub(crate) fn supervise(&mut self, stop: &StopSignal) -> Result<()> {
        let failure = loop {
            if stop.is_set() {
                break None;
            }
            self.stop_held();
            if let Some(reason) = self.reap()? {
                break Some(reason);
            }
            self.start_due()?;
            std::thread::sleep(POLL_INTERVAL);
        };
        match failure {
            Some(reason) => Files(self.directory).report_failure(&reason),
            None => Ok(()),
        }
    }

    fn stop_held(&mut self) {
        for (pid, index) in &self.running {
            if let Some(since) = self.signalled.get(pid) {
                if since.elapsed() > STOP_TIMEOUT {
                    let _ = signal::kill(*pid, Signal::SIGKILL);
                }
                continue;
            }
            let Some(program) = self.plan.programs.get(*index) else { continue };
            let signal = fs::read_to_string(Files(self.directory).held(&program.name)).unwrap_or_default();
            let Ok(signal) = signal.parse::<Signal>() else { continue };
            self.signalled.insert(*pid, Instant::now());
            let _ = signal::kill(*pid, signal);
        }
    }

    /// Reaps the children that have ended. Returns the reason if the cluster has failed.
    fn reap(&mut self) -> Result<Option<String>> {
        while let Some((pid, how)) = reap_one() {
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

    /// Stops the programs one by one in reverse start order: an API server without etcd does not stop.
    pub(crate) fn stop(mut self) {
        for index in (0..self.plan.programs.len()).rev() {
            let pids: Vec<Pid> =
                self.running.iter().filter(|(_, at)| **at == index).map(|(pid, _)| *pid).collect();
            for pid in pids {
                let _ = signal::kill(pid, Signal::SIGTERM);
                let deadline = Instant::now() + STOP_TIMEOUT;
                while self.running.contains_key(&pid) {
                    while let Some((ended, _)) = reap_one() {
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

fn reap_one() -> Option<(Pid, String)> {
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

/// Writes `value` to `path` atomically.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let text = serde_json::to_vec_pretty(value).map_err(|error| ClusterError::malformed(path, error))?;
    let temporary = path.with_extension("new");
    fs::write(&temporary, text)?;
    fs::rename(&temporary, path)?;
    Ok(())
}

/// Executes the plan in `directory` until stdin ends or, if the cluster is kept, until a signal. Then removes the
/// cluster, but keeps the logs if it failed.
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
        std::thread::sleep(POLL_INTERVAL);
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

/// Removes a cluster whose programs have ended from the machine. Without a readable plan no program was started.
pub(crate) fn remove(directory: &Path) -> Result<()> {
    if let Ok(Plan { node: Some(node), .. }) = read_plan(directory) {
        node.remove(directory)?;
    }
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
