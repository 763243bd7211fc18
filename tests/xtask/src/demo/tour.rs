//! Sets up the README's tour for `--keep`: a home with all commands but one, a namespace without the tour's job, and the
//! lines that set up a shell.
//!
//! `tests/it/demo.rs` runs these lines, and then the tour.

use super::stage::{Stage, shown};
use crate::report;
use crate::step::{Failure, Result};

/// The command that the tour adds, and the object that it creates.
const ADDS: &str = "train";
const CREATES: &str = "trainjob/mnist";

/// Before the demo: removes the job of an earlier tour from a kept cluster, because the demo's job has the same name.
pub fn clean_up(stage: &mut Stage) -> Result<()> {
    let home_of_demo = std::mem::replace(&mut stage.home, stage.folder.join("tour"));
    let words = stage.add_registry_words();
    stage.run_quietly(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
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
    stage.run_quietly(&["remove", CREATES, "--yes"])?;
    if has_job(stage)? {
        return Err(Failure(format!("{CREATES} still exists, so the README's tour cannot create it")));
    }
    Ok(())
}

fn has_job(stage: &Stage) -> Result<bool> {
    let status = stage.run_quietly(&["status", "-o", "name"])?;
    Ok(status.output.lines().any(|line| line == CREATES))
}

pub fn print_next_steps(stage: &Stage) {
    report::line("\n# The cluster stays. Type this, then what the README's tour shows:");
    report::line(&format!("export KF_HOME={}", stage.home.display()));
    report::line(&format!("export KUBECONFIG={}", stage.scientist.display()));
    report::line(&format!("export VIEWER={}", stage.viewer.display()));
    report::line(&format!("alias kf={}", stage.kf.display()));
    report::line("kf command list --available");
    report::line("# or, to start with a home without added commands:");
    report::line(&format!("export KF_HOME={}", stage.folder.join("fresh").display()));
    let words = stage.add_registry_words();
    report::line(&format!("kf {}", shown(&words.iter().map(String::as_str).collect::<Vec<_>>())));
    report::line("# to stop the cluster: cargo xtask cluster down");
}
