//! How long a cached command takes from spawn to exit, beside what people would start instead.
//!
//! Times are of whole processes; the ratio to an ordinary native program is what counts.
//!
//! ```text
//! cargo xtask bench
//! ```

use std::io::{Error, Result, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

mod rounds;

use rounds::{Contender, compare};

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

fn run() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(kf), Some(home), Some(native)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err(Error::other("usage: kf-bench-start KF KF_HOME NATIVE-HELLO"));
    };
    let contender = |name, program: &Path, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("KF_HOME", &home).env("HOME", &home);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Contender::new(name, move || {
            let status = command.status()?;
            if status.success() { Ok(()) } else { Err(Error::other(format!("ended with {status}"))) }
        })
    };
    let mut contenders = vec![
        contender("native hello", &native, &[]),
        contender("kf hello", &kf, &["hello"]),
        contender("kf --help", &kf, &["--help"]),
    ];
    let python = Path::new("/usr/bin/python3");
    if python.exists() {
        contenders.push(contender("python3 -c pass", python, &["-c", "pass"]));
    }
    compare("from spawn to exit", ROUNDS, None, contenders)
}
