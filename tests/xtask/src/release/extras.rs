//! What belongs beside a program in `share`: completions and manual pages, as kf itself writes them.

use std::path::Path;
use std::process::Command;

use kf_toolchains::command;

use crate::say;
use crate::step::{Doing, Failure, Result};

/// Each shell's file, where its own packages put theirs.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "bash-completion/completions/kf"),
    ("zsh", "zsh/site-functions/_kf"),
    ("fish", "fish/vendor_completions.d/kf.fish"),
];

/// Writes everything below `share`.
pub fn write(kf: &Path, share: &Path) -> Result<()> {
    let doing = "cannot write completions and manual pages";
    for (shell, file) in COMPLETIONS {
        let script = command::output(fresh(kf).args(["completion", shell])).doing(doing)?;
        place(&share.join(file), script.as_bytes())?;
    }
    if !fresh(kf).args(["man", "--help"]).output().doing(doing)?.status.success() {
        say::step("no manual pages: this kf has no `kf man`");
        return Ok(());
    }
    let pages = share.join("man/man1");
    fs_err::create_dir_all(&pages).doing(doing)?;
    command::output(fresh(kf).args(["man", "--dir"]).arg(&pages)).map(drop).doing(doing)
}

/// Fails unless the completions of every shell are below `share`.
pub fn are_in(share: &Path) -> Result<()> {
    let missing = COMPLETIONS.iter().map(|(_, file)| share.join(file)).find(|file| !file.is_file());
    missing.map_or(Ok(()), |file| Err(Failure(format!("{} was not installed", file.display()))))
}

/// A file with its folders.
pub fn place(file: &Path, content: &[u8]) -> Result<()> {
    let folder = file.parent().unwrap_or(file);
    fs_err::create_dir_all(folder).and_then(|()| fs_err::write(file, content)).doing("cannot write a file")
}

/// kf in a home that is not there.
fn fresh(kf: &Path) -> Command {
    let mut command = Command::new(kf);
    command.env_clear().env("KF_HOME", "/nonexistent").env("HOME", "/nonexistent");
    command
}
