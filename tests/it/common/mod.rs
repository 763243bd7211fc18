//! A separate home for each test, and kf as a user sees it: exit code, stdout, stderr.

pub mod attacks;
pub mod bash;
pub mod built_in;
pub mod chromium;
pub mod faulty;
pub mod hostile_server;
pub mod lab;
pub mod lines;
pub mod mounts;
pub mod page;
pub mod people;
pub mod readme;
pub mod registry;
pub mod requests;
pub mod servers;
pub mod team;
pub mod terminal;
pub mod versions;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a test waits for something that has to happen. Generous, as the machine may be busy; only a
/// failing test waits that long.
pub const TIMEOUT: Duration = Duration::from_secs(300);

/// The built `kf`, next to the directory of the test programs.
pub fn kf_program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let kf = test.parent().and_then(Path::parent).unwrap().join("kf");
    assert!(kf.is_file(), "{} is not built; run `cargo xtask test`", kf.display());
    kf
}

/// A temporary home, empty or with commands already added, isolated from the real one.
pub struct Home {
    dir: TempDir,
    kubeconfig: Option<PathBuf>,
    program: PathBuf,
    extra: Vec<(String, String)>,
}

impl Home {
    pub fn empty() -> Self {
        let dir = tempfile::Builder::new().prefix("kf-home-").tempdir().unwrap();
        Self { dir, kubeconfig: None, program: kf_program(), extra: Vec::new() }
    }

    /// A home with the test registry set up and these commands added.
    pub fn with_commands(names: &[&str]) -> Self {
        registry::FIRST_PARTY.home(names)
    }

    pub fn kubeconfig(mut self, path: &Path) -> Self {
        self.kubeconfig = Some(path.to_owned());
        self
    }

    /// An empty home for a kf with built-in commands.
    pub fn with_built_in() -> Self {
        Self { program: built_in::program(), ..Self::empty() }
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.extra.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// `kf` with these arguments, in this home and without the outer environment.
    pub fn kf<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        self.command(&self.program, arguments)
    }

    /// A shell that runs this line, with `kf` on its path.
    pub fn shell(&self, line: &str) -> Command {
        let mut shell = self.command(Path::new("/bin/sh"), ["-c", line]);
        let folder = self.program.parent().unwrap().display().to_string();
        shell.env("PATH", format!("{folder}:/usr/bin:/bin"));
        shell
    }

    /// A program in this home, without the outer environment.
    pub fn command<A: AsRef<OsStr>>(
        &self,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", "/usr/bin:/bin")
            .env("TMPDIR", self.path())
            .current_dir(self.path())
            .stdin(Stdio::null());
        if let Some(kubeconfig) = &self.kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        command.envs(self.extra.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ran {
        Ran::of(&output_of(&mut self.kf(arguments)), self.path())
    }

    /// Runs kf and asserts that it changed nothing in the home.
    #[track_caller]
    pub fn run_unchanged<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ran {
        let before = self.state();
        let ran = self.run(arguments);
        let after = self.state();
        let changed: Vec<_> =
            after.iter().filter(|(path, content)| before.get(*path) != Some(content)).collect();
        assert!(changed.is_empty(), "made or changed {changed:?}: {}", ran.transcript());
        assert_eq!(after.len(), before.len(), "something is gone: {}", ran.transcript());
        ran
    }

    /// Every file and link with its mode and a digest of its content, except what any run may write: the audit
    /// log, locks, the cache, and the state of each registry.
    pub fn state(&self) -> BTreeMap<PathBuf, String> {
        let mut state = BTreeMap::new();
        collect(self.path(), &mut state);
        state
    }
}

fn collect(folder: &Path, state: &mut BTreeMap<PathBuf, String>) {
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if ["audit.jsonl", "locks", ".cache", "state.json", "state.lock"]
            .iter()
            .any(|ignored| name == *ignored)
        {
            continue;
        }
        let metadata = path.symlink_metadata().unwrap();
        let content = if metadata.is_dir() {
            collect(&path, state);
            // A folder that holds only ignored files is ignored too.
            continue;
        } else if metadata.is_symlink() {
            fs_err::read_link(&path).unwrap().display().to_string()
        } else {
            kf_toolchains::cache::digest_of(&fs_err::read(&path).unwrap())
        };
        state.insert(path, format!("{:o} {content}", metadata.mode()));
    }
}

/// The result of a run of kf.
#[derive(Clone, Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    home: PathBuf,
}

impl Ran {
    pub fn of(output: &Output, home: &Path) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            home: home.to_owned(),
        }
    }

    /// The text a snapshot holds: exit code, stdout and stderr.
    pub fn transcript(&self) -> String {
        let code = self.code.map_or_else(|| "signal".to_owned(), |code| code.to_string());
        let text = format!(
            "exit: {code}\n----- stdout -----\n{}----- stderr -----\n{}",
            with_final_newline(&self.stdout),
            with_final_newline(&self.stderr)
        );
        text.replace(&self.home.display().to_string(), "[HOME]")
    }

    /// Replaces text that differs from run to run.
    pub fn masked(mut self, text: &str, with: &str) -> Self {
        self.stdout = self.stdout.replace(text, with);
        self.stderr = self.stderr.replace(text, with);
        self
    }

    /// Without stdout, where it is long and tested elsewhere.
    pub fn without_stdout(self) -> Self {
        self.with_stdout("")
    }

    /// With a part of stdout.
    pub fn with_stdout(mut self, part: &str) -> Self {
        self.stdout = part.to_owned();
        self
    }

    /// With a placeholder for the rights shown, so that a change of a manifest breaks only the one test that is
    /// about them.
    pub fn without_rights(mut self) -> Self {
        self.stdout = without_rights(&self.stdout);
        self.stderr = without_rights(&self.stderr);
        self
    }

    /// The table row with this first cell, with single spaces: the widths of columns depend on all rows.
    #[track_caller]
    pub fn row(&self, first: &str) -> String {
        let line = self.stdout.lines().find(|line| line.split_whitespace().next() == Some(first));
        let line = line.unwrap_or_else(|| panic!("no row {first}: {}", self.transcript()));
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The line of a rule and the lines below it, from `kf command describe`.
    #[track_caller]
    pub fn rule(&self, rule: &str) -> String {
        let is_it =
            |line: &str| line.trim_start().starts_with(['✓', '✗', '–']) && line.trim_end().ends_with(rule);
        let mut lines = self.stdout.split_inclusive('\n').skip_while(|line| !is_it(line));
        let head = lines.next().unwrap_or_else(|| panic!("no rule {rule}: {}", self.transcript()));
        let below = lines.take_while(|line| line.starts_with("      "));
        std::iter::once(head).chain(below).collect()
    }

    #[track_caller]
    pub fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.transcript());
        self
    }

    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.transcript());
        self
    }
}

/// The rights are the indented lines below "… may only:".
fn without_rights(text: &str) -> String {
    let (mut kept, mut inside) = (String::new(), false);
    for line in text.split_inclusive('\n') {
        let is_head = line.trim_end().ends_with(" may only:");
        inside = is_head || (inside && line.starts_with("  "));
        if !inside || is_head {
            kept.push_str(line);
        }
        if is_head {
            kept.push_str("  [RIGHTS]\n");
        }
    }
    kept
}

fn with_final_newline(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}⏎\n") }
}

/// Polls every quarter of a second until it gets a value. After the timeout it panics with the last error.
#[track_caller]
pub fn until<T>(mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match attempt() {
            Ok(found) => return found,
            Err(instead) => assert!(begun.elapsed() < TIMEOUT, "{instead}"),
        }
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// Polls until something is true.
#[track_caller]
pub fn until_true(what: &str, mut holds: impl FnMut() -> bool) {
    until(|| if holds() { Ok(()) } else { Err(format!("timed out waiting until {what}")) });
}

/// Waits until a program ends by itself.
#[track_caller]
pub fn wait_for_exit(program: &mut Child) -> ExitStatus {
    wait_or_kill(program).unwrap_or_else(|| panic!("the program did not end"))
}

/// Waits until a program ends; none if it had to be killed. It may wait for several things, one after another.
fn wait_or_kill(program: &mut Child) -> Option<ExitStatus> {
    let begun = Instant::now();
    loop {
        if let Some(status) = program.try_wait().unwrap() {
            return Some(status);
        }
        if begun.elapsed() > 3 * TIMEOUT {
            program.kill().unwrap();
            program.wait().unwrap();
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a program ends by itself and returns its output.
#[track_caller]
pub fn output_of(command: &mut Command) -> Output {
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    Streams::of(&mut child).output(&mut child)
}

/// Reads what a program writes, as it is written.
pub struct Streams {
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
}

impl Streams {
    /// For a program whose stdout or stderr is a pipe.
    pub fn of(program: &mut Child) -> Self {
        Self { stdout: read(program.stdout.take()), stderr: read(program.stderr.take()) }
    }

    /// Waits until the program ends by itself and returns its output.
    #[track_caller]
    pub fn output(self, program: &mut Child) -> Output {
        let status = wait_or_kill(program);
        // Another process may hold the pipes open.
        let all = |stream: Receiver<Vec<u8>>| {
            stream.recv_timeout(TIMEOUT).unwrap_or_else(|_| panic!("its output did not end"))
        };
        let (stdout, stderr) = (all(self.stdout), all(self.stderr));
        let Some(status) = status else {
            panic!("the program did not end: {}", String::from_utf8_lossy(&[stdout, stderr].concat()));
        };
        Output { status, stdout, stderr }
    }
}

fn read(stream: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, all) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            stream.read_to_end(&mut bytes).unwrap();
        }
        let _given_up = sender.send(bytes);
    });
    all
}

/// Compares a run with an inline snapshot; values that differ from run to run are masked.
#[macro_export]
macro_rules! kf_snapshot {
    ($ran:expr, @$snapshot:literal) => {{
        let ran = $ran;
        let mut settings = insta::Settings::clone_current();
        settings.add_filter(r"\b[0-9a-f]{64}\b", "[DIGEST]");
        settings.add_filter(r"(?m)^ +\d+\.\d+s ", "[UPTIME] ");
        settings.add_filter(r": close time\..*", ": close [TIMES]");
        settings.add_filter(r"\b[0-9a-f]{4}…[0-9a-f]{4}\b", "[DIGEST]");
        settings.add_filter(r" *\b\d+(\.\d+)? ?(ms|µs)\b", " [TIME]");
        settings.add_filter(r"\b\d+\.\d+ s\b", "[TIME]");
        settings.add_filter(r"\b\d+(\.\d+)? [kM]B\b", "[SIZE]");
        settings.add_filter(r"\b2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[DATE]");
        settings.add_filter(r"valid for [0-9a-z ]+,", "valid for [TIME],");
        settings.add_filter(r"after \d+s\b", "after [TIME]");
        settings.add_filter(r"refreshed \d+ [a-z]+ ago", "refreshed [TIME] ago");
        settings.add_filter(r"\b(127\.0\.0\.1|10\.231\.\d+\.\d+):\d+", "[ADDRESS]");
        settings.add_filter(r"\bns-[a-z-]+-[0-9a-f]{6}-[0-9a-f]{7}\b", "[NAMESPACE]");
        settings.bind(|| insta::assert_snapshot!(ran.transcript(), @$snapshot));
    }};
}
