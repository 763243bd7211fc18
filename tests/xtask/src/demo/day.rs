//! A data scientist's day: a notebook, training, a look inside a pod, curves, tuning, serving, an
//! update that loses nothing, and tidying up.

use std::path::Path;

use super::picture;
use super::stage::{Stage, Who};
use crate::cluster::Cluster;
use crate::say;
use crate::step::Result;

/// What the day needs of the platform beyond Trainer.
const PARTS: [&str; 5] = ["kserve", "model-server", "jupyterlab", "notebooks", "dns"];

const COMMANDS: [&str; 14] = [
    "create", "events", "jupyter", "logs", "notebook", "remove", "run", "serve", "services", "status", "top",
    "train", "tune", "use",
];

pub fn tell(stage: &mut Stage, cluster: &Cluster, picture: Option<&Path>) -> Result<()> {
    say::during("bringing up KServe, notebooks and DNS", None, || cluster.require(&PARTS))?;
    let words = stage.words_of_trust();
    stage.unseen(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
    for name in COMMANDS {
        stage.add_quietly(name)?;
    }
    morning(stage)?;
    noon(stage)?;
    afternoon(stage)?;
    evening(stage)?;
    stage.chapter("Done");
    picture.map_or(Ok(()), |file| picture::draw(stage.shown(), file))
}

fn morning(stage: &mut Stage) -> Result<()> {
    stage.chapter("A place to work");
    stage.ok(&["use", "team-a"])?;
    stage.refused(Who::Scientist, &["create", "scratch"], "your own rights")?;

    stage.chapter("A notebook");
    stage.ok(&["notebook", "create", "lab", "--image", "kf.test/jupyterlab:1", "--wait"])?;
    stage.ok(&["notebook", "ls"])?;
    stage.looked_at(&["notebook", "open", "lab", "--no-browser"], None)?;

    stage.chapter("A training job: the epochs stream in, the exit code is the job's");
    stage.ok(&[
        "train",
        "mnist",
        "--runtime",
        "kf-test",
        "--nodes",
        "2",
        "--env",
        "EPOCHS=5",
        "--wait",
        "--logs",
    ])?;
    stage.chapter("One that fails says why");
    stage.ends(&["train", "bad", "--runtime", "kf-test", "--env", "FAIL_AT=2", "--wait"], 1)?;
    stage.ok(&["status"])?;
    stage.ok(&["events", "bad", "--warnings"])?;
    Ok(())
}

fn noon(stage: &mut Stage) -> Result<()> {
    stage.chapter("Inside a pod");
    stage.ok(&["run", "lab", "--", "sh", "-c", "hostname; ls /site/bin | head -3"])?;
    stage.ends(&["run", "lab", "--", "sh", "-c", "exit 7"], 7)?;

    stage.chapter("Tuning, on Trainer alone");
    stage.ok(&[
        "tune",
        "rate",
        "--runtime",
        "kf-test",
        "--param",
        "rate=0.05,0.1,0.2",
        "--env",
        "LEARNING_RATE=${rate}",
        "--parallel",
        "3",
        "--objective",
        "loss",
        "--minimize",
    ])?;
    Ok(())
}

fn afternoon(stage: &mut Stage) -> Result<()> {
    stage.chapter("Serving, and an update");
    let iris = |image: &'static str| {
        [
            "serve",
            "iris",
            "--image",
            image,
            "--env",
            "MODEL_NAME=iris",
            "--cpu",
            "100m",
            "--memory",
            "64Mi",
            "--wait",
        ]
    };
    stage.ok(&iris("kf.test/model-server:1"))?;
    stage.ok(&iris("kf.test/model-server:2"))?;
    stage.ok(&["serve", "iris", "--request", r#"{"instances":[[1,2]]}"#])?;
    stage.chapter("A revision that cannot start: traffic stays where it was");
    stage.ends(&iris("kf.test/model-server:broken"), 1)?;
    stage.ok(&["serve", "iris", "--rollback", "--wait"])?;
    stage.ok(&["services", "health"])?;
    stage.ok(&["top"])?;
    Ok(())
}

fn evening(stage: &mut Stage) -> Result<()> {
    stage.chapter("Tidying up");
    stage.ok(&["remove", "mnist", "--yes"])?;
    stage.ok(&["notebook", "stop", "lab"])?;
    stage.ok(&["status"])?;
    stage.refused(Who::Viewer, &["remove", "iris", "--yes"], "your own rights")?;
    Ok(())
}
