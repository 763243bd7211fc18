//! `kf-test-cluster`: the processes behind a test cluster.
//!
//! A person uses `cargo xtask cluster`; this program is what the harness starts.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use kf_tests::cluster::{Result, supervisor};

const USAGE: &str = "usage: kf-test-cluster supervise DIRECTORY [--keep]
       kf-test-cluster run-with-parent PID PROGRAM [ARGUMENT...]";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[OsString]) -> Result<ExitCode> {
    let words: Vec<&str> = arguments.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    match words.as_slice() {
        ["supervise", _, rest @ ..] => {
            let directory = arguments.get(1).map(PathBuf::from).unwrap_or_default();
            supervisor::supervise(&directory, rest.contains(&"--keep"))?;
            Ok(ExitCode::SUCCESS)
        }
        ["run-with-parent", parent, program, ..] => {
            let parent = parent.parse().unwrap_or_default();
            let rest = arguments.get(3..).unwrap_or_default();
            match supervisor::run_with_parent(parent, program.as_ref(), rest)? {}
        }
        _ => {
            say(USAGE);
            Ok(ExitCode::from(2))
        }
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "kf-test-cluster: {text}");
}
