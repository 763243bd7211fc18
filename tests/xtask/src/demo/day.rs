//! A data scientist's day: a notebook, training, a shell in a pod, tuning, serving, an update without lost requests,
//! and cleaning up.

use std::path::Path;

use super::picture;
use super::stage::{Stage, Who};
use crate::cluster::Cluster;
use crate::report;
use crate::step::Result;

/// The parts of the platform that the day needs besides Trainer.
const PARTS: [&str; 5] = ["kserve", "model-server", "jupyterlab", "notebooks", "dns"];

const COMMANDS: [&str; 14] = [
    "create", "events", "jupyter", "logs", "notebook", "remove", "run", "serve", "services", "status", "top",
    "train", "tune", "use",
];

pub fn play(stage: &mut Stage, cluster: &Cluster, picture: Option<&Path>) -> Result<()> {
    report::during("starting KServe, notebooks and DNS", None, || cluster.require(&PARTS))?;
    let words = stage.add_registry_words();
    stage.run_quietly(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
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
    stage.expect_success(&["use", "team-a"])?;
    stage.expect_refusal(Who::Scientist, &["create", "scratch"], "your own rights")?;

    stage.chapter("A notebook");
    stage.expect_success(&["notebook", "create", "lab", "--image", "kf.test/jupyterlab:1", "--wait"])?;
    stage.expect_success(&["notebook", "ls"])?;
    stage.open_page(&["notebook", "open", "lab", "--no-browser"], None)?;

    stage.chapter("A training job: the epochs stream in, the exit code is the job's");
    stage.expect_success(&[
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
    stage.expect_code(&["train", "bad", "--runtime", "kf-test", "--env", "FAIL_AT=2", "--wait"], 1)?;
    stage.expect_success(&["status"])?;
    stage.expect_success(&["events", "bad", "--warnings"])?;
    Ok(())
}

fn noon(stage: &mut Stage) -> Result<()> {
    stage.chapter("Inside a pod");
    stage.expect_success(&["run", "lab", "--", "sh", "-c", "hostname; ls /site/bin | head -3"])?;
    stage.expect_code(&["run", "lab", "--", "sh", "-c", "exit 7"], 7)?;

    stage.chapter("Tuning, on Trainer alone");
    stage.expect_success(&[
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
    stage.expect_success(&iris("kf.test/model-server:1"))?;
    stage.expect_success(&iris("kf.test/model-server:2"))?;
    stage.expect_success(&["serve", "iris", "--request", r#"{"instances":[[1,2]]}"#])?;
    stage.chapter("A revision that cannot start: traffic stays where it was");
    stage.expect_code(&iris("kf.test/model-server:broken"), 1)?;
    stage.expect_success(&["serve", "iris", "--rollback", "--wait"])?;
    stage.expect_success(&["services", "health"])?;
    stage.expect_success(&["top"])?;
    Ok(())
}

fn evening(stage: &mut Stage) -> Result<()> {
    stage.chapter("Tidying up");
    stage.expect_success(&["remove", "mnist", "--yes"])?;
    stage.expect_success(&["notebook", "stop", "lab"])?;
    stage.expect_success(&["status"])?;
    stage.expect_refusal(Who::Viewer, &["remove", "iris", "--yes"], "your own rights")?;
    Ok(())
}
