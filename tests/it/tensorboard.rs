//! TensorBoard with the real events of a training job, as a Tensorboard resource and as a Job.

use kf_tests::cluster::{Cluster, Part, Profile, TENSORBOARD, TRAINER, User, skip_without_node};

use crate::common::lines::Following;
use crate::common::page::Opened;
use crate::common::team::Team;
use crate::common::until;

/// A team with a claim `runs`, and a job `mnist` that has written its events there.
fn team(hint: &str, parts: &[Part]) -> Team {
    let cluster = Cluster::attach_or_start(Profile::Node).unwrap();
    for part in parts {
        cluster.require(*part).unwrap();
    }
    let team = Team::with_node(hint);
    let name = team.name();
    team.make_claim("runs");
    team.apply(&format!(
        "apiVersion: batch/v1
kind: Job
metadata: {{name: mnist, namespace: {name}}}
spec:
  template:
    spec:
      restartPolicy: Never
      securityContext: {{runAsUser: 0}}
      containers:
        - name: node
          image: '{TRAINER}'
          env:
            - {{name: LOG_DIR, value: /data/mnist}}
            - {{name: EPOCHS, value: '3'}}
            - {{name: EPOCH_SECONDS, value: '0.1'}}
          volumeMounts: [{{name: data, mountPath: /data}}]
      volumes: [{{name: data, persistentVolumeClaim: {{claimName: runs}}}}]
"
    ));
    team.wait("condition=complete", &["job/mnist"]);
    team
}

/// Asserts that the page is TensorBoard's and has the scalars of the job.
fn assert_scalars(opened: &Opened) {
    let (status, body) = opened.get("/");
    assert_eq!(status, 200);
    assert!(body.contains("TensorBoard"), "{body}");
    until(|| {
        let (status, tags) = opened.get("/data/plugin/scalars/tags");
        assert_eq!(status, 200, "{tags}");
        if tags.contains("loss") { Ok(()) } else { Err(tags) }
    });
}

#[test]
fn tensorboard_job_shows_training_scalars() {
    if skip_without_node("tensorboard_job_shows_training_scalars") {
        return;
    }
    let team = team("tensorboard", &[Part::TensorBoard]);
    let home = team.home(User::DataScientist, &["tensorboard"]);
    let words = ["tensorboard", "job/mnist", "--no-browser", "--rm", "--image", TENSORBOARD];
    let opened = Opened::start(home.kf(words));
    assert_scalars(&opened);
    let listed = home.run(["tensorboard", "--list"]).success();
    assert!(listed.stdout.contains("pvc://runs/mnist"), "{}", listed.transcript());
    // It has a deadline, which is not renewed once kf has ended.
    let deadline = "jsonpath={.items[*].spec.activeDeadlineSeconds}";
    let label = "-lapp.kubernetes.io/name=tensorboard";
    assert_eq!(team.admin(&["get", "jobs", label, "-n", team.name(), "-o", deadline]), "600");
    assert_eq!(opened.interrupt(), Some(130));
    // At the deadline the job is stopped and then removed.
    let short = r#"{"spec": {"activeDeadlineSeconds": 1, "ttlSecondsAfterFinished": 0}}"#;
    let job = team.admin(&["get", "jobs", label, "-n", team.name(), "-o", "name"]);
    team.admin(&["patch", job.trim(), "-n", team.name(), "--type=merge", "-p", short]);
    team.wait("delete", &[job.trim()]);
}

#[test]
fn tensorboard_resource_shows_training_scalars() {
    if skip_without_node("tensorboard_resource_shows_training_scalars") {
        return;
    }
    let team = team("tensorboards", &[Part::Tensorboards]);
    let home = team.home(User::DataScientist, &["tensorboard"]);
    let opened = Opened::start(home.kf(["tensorboard", "job/mnist", "--no-browser"]));
    assert_scalars(&opened);
    assert_eq!(opened.interrupt(), Some(130));
    let boards =
        team.admin(&["get", "tensorboards", "-n", team.name(), "-o", "jsonpath={.items[*].spec.logspath}"]);
    assert_eq!(boards, "pvc://runs/mnist");
    // The same one is reused.
    let mut again = Opened::start(home.kf(["tensorboard", "job/mnist", "--no-browser"]));
    again.expect("already shows pvc://runs/mnist");
    drop(again);

    let viewer = team.home(User::Viewer, &["tensorboard"]);
    let mut list = Following::start(&viewer, &["tensorboard", "--list", "--watch"]);
    list.line("pvc://runs/mnist");
    team.apply(
        "{apiVersion: tensorboard.kubeflow.org/v1alpha1, kind: Tensorboard, metadata: {name: later},
          spec: {logspath: 'pvc://runs/later'}}",
    );
    list.line("pvc://runs/later");
    list.assert_running();
    let ran = viewer.run_unchanged(["tensorboard", "--logs", "pvc://runs/other"]).code(4);
    assert!(ran.stderr.contains("✗ vic has no `create tensorboards`"), "{}", ran.transcript());
    assert!(ran.stderr.contains("hint: ask an owner of"), "{}", ran.transcript());
}
