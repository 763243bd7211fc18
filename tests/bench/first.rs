//! Measures the time from a downloaded file to the first useful output: a new home, a kubeconfig, and `kf whoami`.
//!
//! Every round starts with only the file, so it includes the compilation of the command, or the installation of the wheel
//! by pip.

use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kf_tests::cluster::{TestNamespace, User};
use kf_tests::rounds::{Contender, compare};
use kf_toolchains::packaging;

const ROUNDS: usize = 5;

/// The files of a release for this machine.
pub(crate) struct Release {
    pub(crate) program: PathBuf,
    pub(crate) wheel: PathBuf,
}

pub(crate) fn measure(release: &Release, kubectl: &Path, namespace: &TestNamespace) -> Result<()> {
    let folder = namespace.directory().join("first");
    let kubeconfig = namespace.kubeconfig(User::DataScientist);
    let run = |program: &Path, words: &[&str], home: &Path| {
        let mut command = Command::new(program);
        command.args(words).env_clear().env("HOME", home).env("KUBECONFIG", &kubeconfig);
        succeed(&mut command)
    };
    let (home, installed) = (folder.join("home"), folder.join("kf"));
    let theirs = || run(kubectl, &["auth", "whoami"], &folder);
    let from_file = || {
        clear(&folder)?;
        fs_err::copy(&release.program, &installed)?;
        run(&installed, &["whoami"], &home)
    };
    let from_wheel = || {
        clear(&folder)?;
        let environment = folder.join("environment");
        packaging::install(&release.wheel, &environment).map_err(Error::other)?;
        run(&environment.join("bin/kf"), &["whoami"], &home)
    };
    let (again, known) = (namespace.directory().join("again"), namespace.directory().join("kf-again"));
    fs_err::create_dir_all(&again)?;
    fs_err::copy(&release.program, &known)?;
    compare(
        "from the file to the first useful output",
        ROUNDS,
        None,
        vec![
            Contender::new("kubectl auth whoami", theirs),
            Contender::new("kf whoami, a new home", from_file),
            Contender::new("kf whoami, the second time", || run(&known, &["whoami"], &again)),
            Contender::new("venv, pip install, kf whoami", from_wheel),
        ],
    )
}

/// Creates an empty folder.
fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs_err::remove_dir_all(folder)?;
    }
    fs_err::create_dir_all(folder.join("home"))
}

fn succeed(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    Err(Error::other(format!("`{}` ended with {}: {words}", command.get_program().display(), output.status)))
}
