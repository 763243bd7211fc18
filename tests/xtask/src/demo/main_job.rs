//! The main job: a command is added with its rights, runs in its sandbox, and trains something.

use super::stage::{Stage, Who};
use crate::step::Result;

/// The first-party commands of the main job.
pub const COMMANDS: [&str; 5] = ["hello", "whoami", "status", "train", "logs"];

pub fn tell(stage: &mut Stage, node: bool) -> Result<()> {
    trust(stage)?;
    stage.ok(&["command", "list", "--available"])?;

    stage.chapter("Commands are added with their rights in sight; without a person the answer is no");
    stage.ok(&["command", "add", "hello"])?;
    stage.ok(&["hello"])?;
    for name in COMMANDS.into_iter().skip(1).chain(["snoop"]) {
        stage.add_with_rights(name)?;
    }
    stage.ok(&["whoami"])?;
    stage.ok(&["command", "describe", "train"])?;

    stage.chapter("Looking before leaping");
    let job = ["train", "mnist", "--runtime", "kf-test", "--nodes", "2", "--env", "EPOCHS=5"];
    stage.ok(&[&job[..], &["--dry-run"]].concat())?;
    if node {
        stage.chapter("A real training run on a real node: the epochs stream in, the exit code is the job's");
        stage.ok(&[&job[..], &["--wait", "--logs"]].concat())?;
        stage.ok(&["logs", "mnist", "--rank", "0"])?;
    } else {
        stage.chapter("The API server accepts the job");
        stage.ok(&job)?;
    }
    stage.ok(&["status"])?;

    stage.chapter("Somebody with fewer rights is refused, with the reason and the remedy");
    stage.refused(Who::Viewer, &["train", "mine", "--runtime", "kf-test"], "your own rights")?;

    stage.chapter("A command that reaches further than its manifest is refused, whatever the user may do");
    stage.refused(Who::Scientist, &["snoop"], "requested by snoop")?;

    stage.chapter("Every call can be seen, and is written down");
    stage.ok(&["status", "--explain"])?;
    stage.show_audit_log()?;
    stage.chapter("Done");
    Ok(())
}

fn trust(stage: &mut Stage) -> Result<()> {
    stage.chapter("A registry is trusted by its root, and by nothing else");
    let words = stage.words_of_trust();
    stage.ok(&words.iter().map(String::as_str).collect::<Vec<_>>()).map(drop)
}
