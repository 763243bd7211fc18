//! The main job: a command is added with its rights, runs in its sandbox, and trains a model.

use super::stage::{Stage, Who};
use crate::step::Result;

/// The first-party commands of the main job.
pub const COMMANDS: [&str; 5] = ["hello", "whoami", "status", "train", "logs"];

pub fn play(stage: &mut Stage, node: bool) -> Result<()> {
    trust(stage)?;
    stage.expect_success(&["command", "list", "--available"])?;

    stage.chapter(
        "Commands are shown with their rights before they are added; without a terminal they are refused",
    );
    stage.expect_success(&["command", "add", "hello"])?;
    stage.expect_success(&["hello"])?;
    for name in COMMANDS.into_iter().skip(1).chain(["snoop"]) {
        stage.add_with_rights(name)?;
    }
    stage.expect_success(&["whoami"])?;
    stage.expect_success(&["command", "describe", "train"])?;

    stage.chapter("Dry run");
    let job = ["train", "mnist", "--runtime", "kf-test", "--nodes", "2", "--env", "EPOCHS=5"];
    stage.expect_success(&[&job[..], &["--dry-run"]].concat())?;
    if node {
        stage.chapter("A real training run on a real node: the epochs stream in, the exit code is the job's");
        stage.expect_success(&[&job[..], &["--wait", "--logs"]].concat())?;
        stage.expect_success(&["logs", "mnist", "--rank", "0"])?;
    } else {
        stage.chapter("The API server accepts the job");
        stage.expect_success(&job)?;
    }
    stage.expect_success(&["status"])?;

    stage.chapter("A user with fewer rights is refused, with the reason and the remedy");
    stage.expect_refusal(Who::Viewer, &["train", "mine", "--runtime", "kf-test"], "your own rights")?;

    stage.chapter("A command that exceeds its manifest is refused, whatever the user's rights");
    stage.expect_refusal(Who::Scientist, &["snoop"], "requested by snoop")?;

    stage.chapter("Every request can be shown, and is logged");
    stage.expect_success(&["status", "--explain"])?;
    stage.show_audit_log()?;
    stage.chapter("Done");
    Ok(())
}

fn trust(stage: &mut Stage) -> Result<()> {
    stage.chapter("A registry is trusted by its root only");
    let words = stage.add_registry_words();
    stage.expect_success(&words.iter().map(String::as_str).collect::<Vec<_>>()).map(drop)
}
