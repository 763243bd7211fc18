//! Measures the time of a cached command from spawn to exit, compared with other programs, and the size of kf.
//!
//! Times are of whole processes. The results are ratios to a native program.
//!
//! ```text
//! cargo xtask bench
//! ```

use std::error::Error as AnyError;
use std::io::{Error, Result, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use kf_tests::rounds::{Contender, compare};
use kf_toolchains::kubernetes::Binaries;
use kf_toolchains::progress;

mod homes;
mod size;

const ROUNDS: usize = 200;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _gone = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> std::result::Result<(), Box<dyn AnyError>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(kf), Some(folder), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("usage: kf-bench-start KF FOLDER".into());
    };
    let bench = Bench { kf, kubectl: Binaries::for_api(progress::to_stderr)?.path("kubectl"), folder };
    bench.start()?;
    Ok(size::print(&bench.kf)?)
}

/// A folder with a native `hello`, a static one, and a home with kf's `hello`.
struct Bench {
    kf: PathBuf,
    kubectl: PathBuf,
    folder: PathBuf,
}

impl Bench {
    fn start(&self) -> Result<()> {
        let (one, few, many) = (self.home_with(0)?, self.home_with(20)?, self.home_with(200)?);
        let plugins = self.folder.join("kubectl-plugins");
        fs_err::create_dir_all(&plugins)?;
        fs_err::copy(self.native(), plugins.join("kubectl-hello"))?;

        let kf = |words: &[&str], home: &Path| {
            let mut command = Command::new(&self.kf);
            command.args(words).env_clear().env("KF_HOME", home).env("HOME", home);
            command
        };
        let mut contenders = vec![
            contender("native hello", Command::new(self.native())),
            contender("native hello, static", Command::new(self.folder.join("hello-static"))),
            contender("kf --version", kf(&["--version"], &one)),
            contender("kf completion bash", kf(&["completion", "bash"], &one)),
            contender("kf hello, the only command", kf(&["hello"], &one)),
            contender("kf hello beside 20 commands", kf(&["hello"], &few)),
            contender("kf hello beside 200 commands", kf(&["hello"], &many)),
            contender("kf --version beside 200 commands", kf(&["--version"], &many)),
            contender("kf --help beside 200 commands", kf(&["--help"], &many)),
        ];
        let mut plugin = Command::new(&self.kubectl);
        plugin.arg("hello").env_clear().env("PATH", &plugins).env("HOME", &one);
        contenders.push(contender("kubectl hello, a native plugin", plugin));
        let python = Path::new("/usr/bin/python3");
        if python.exists() {
            let mut command = Command::new(python);
            command.args(["-c", "pass"]);
            contenders.push(contender("python3 -c pass", command));
        }
        compare("from spawn to exit", ROUNDS, None, contenders)
    }

    fn native(&self) -> PathBuf {
        self.folder.join("hello")
    }

    /// A copy of the home with `hello` and a number of other commands.
    fn home_with(&self, others: usize) -> Result<PathBuf> {
        let home = self.folder.join(format!("home-{others}"));
        homes::copy(&self.folder.join("home"), &home)?;
        homes::repeat_commands(&home, "hello", others)?;
        Ok(home)
    }
}

fn contender(name: &str, mut command: Command) -> Contender<'_> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Contender::new(name, move || {
        let status = command.status()?;
        if status.success() { Ok(()) } else { Err(Error::other(format!("ended with {status}"))) }
    })
}
