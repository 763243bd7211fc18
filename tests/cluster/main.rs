//! `kf-test-cluster`: the processes behind a test cluster.
//!
//! A person uses `cargo xtask cluster`; this program is what the harness starts.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use kf_tests::cluster::{Cluster, Options, Profile, Result, node, supervisor};

const USAGE: &str = "usage: kf-test-cluster hold api|node    (until stdin ends)
       kf-test-cluster supervise DIRECTORY [--keep]
       kf-test-cluster node-gate|node-init DIRECTORY
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
        ["hold", profile] => {
            let profile = if *profile == "node" { Profile::Node } else { Profile::Api };
            let cluster = Cluster::start(profile, &Options::default())?;
            let mut stdout = std::io::stdout().lock();
            writeln!(stdout, "{}", cluster.directory().display())?;
            stdout.flush()?;
            std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())?;
            cluster.stop()?;
            Ok(ExitCode::SUCCESS)
        }
        ["node-gate", _] => {
            let code = node::gate(&arguments.get(1).map(PathBuf::from).unwrap_or_default())?;
            Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
        }
        ["node-init", _] => {
            node::init(&arguments.get(1).map(PathBuf::from).unwrap_or_default())?;
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
