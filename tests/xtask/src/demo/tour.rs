//! What `--keep` leaves for the README's tour: a home in which every command but one is added, a namespace without the job
//! that the tour makes, and the lines that set up a shell.
//!
//! `tests/it/demo.rs` types these lines, and then the tour.

use super::stage::{Stage, shown};
use crate::say;
use crate::step::{Failure, Result};

/// What the tour adds and makes itself.
const ADDS: &str = "train";
const MAKES: &str = "trainjob/mnist";

/// Before the demo: removes the job that an earlier tour has left in a kept cluster, because the demo makes one of that
/// name, too.
pub fn begin(stage: &mut Stage) -> Result<()> {
    let home_of_demo = std::mem::replace(&mut stage.home, stage.folder.join("tour"));
    let words = stage.words_of_trust();
    stage.unseen(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
    for name in ["status", "remove"] {
        stage.add_quietly(name)?;
    }
    remove_job(stage)?;
    stage.home = home_of_demo;
    Ok(())
}

/// After the demo: adds the other commands, and removes the job of the demo.
pub fn set_up(stage: &mut Stage, commands: &[String]) -> Result<()> {
    stage.home = stage.folder.join("tour");
    for name in commands.iter().filter(|name| *name != ADDS) {
        stage.add_quietly(name)?;
    }
    remove_job(stage)
}

fn remove_job(stage: &Stage) -> Result<()> {
    if !has_job(stage)? {
        return Ok(());
    }
    stage.unseen(&["remove", MAKES, "--yes"])?;
    if has_job(stage)? {
        return Err(Failure(format!("{MAKES} is still there, and the README's tour cannot make its own")));
    }
    Ok(())
}

fn has_job(stage: &Stage) -> Result<bool> {
    let status = stage.unseen(&["status", "-o", "name"])?;
    Ok(status.words.lines().any(|line| line == MAKES))
}

pub fn show_how_to_go_on(stage: &Stage) {
    say::line("\n# The cluster stays. Type this, then what the README's tour shows:");
    say::line(&format!("export KF_HOME={}", stage.home.display()));
    say::line(&format!("export KUBECONFIG={}", stage.scientist.display()));
    say::line(&format!("export VIEWER={}", stage.viewer.display()));
    say::line(&format!("alias kf={}", stage.kf.display()));
    say::line("kf command list --available");
    say::line("# or, to begin with a home in which nothing is added yet:");
    say::line(&format!("export KF_HOME={}", stage.folder.join("fresh").display()));
    let words = stage.words_of_trust();
    say::line(&format!("kf {}", shown(&words.iter().map(String::as_str).collect::<Vec<_>>())));
    say::line("# and in the end: cargo xtask cluster down");
}
