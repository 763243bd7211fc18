//! `kf remove` on a real API server.

use kf_tests::cluster::User;

use crate::common::team::Team;

/// A team with a job whose pod is pending, with a volume.
fn team_with_a_job(hint: &str) -> Team {
    let team = Team::new(hint);
    team.apply(
        "apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: prepare}
spec:
  template:
    spec:
      schedulerName: nobody
      restartPolicy: Never
      containers: [{name: main, image: 'kf.test/none'}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
",
    );
    team.wait("create", &["pod", "-l", "batch.kubernetes.io/job-name=prepare"]);
    team
}

#[test]
fn job_is_removed_with_pods_and_keeps_volume() {
    let team = team_with_a_job("remove");
    let home = team.home(User::DataScientist, &["remove"]);
    let before = team.versions();
    let ran = home.run_unchanged(["remove", "prepare"]).code(2);
    assert!(ran.stderr.contains("keeps volumes: data"), "{}", ran.transcript());
    assert!(ran.stderr.ends_with("hint: kf remove job/prepare --yes\n"), "{}", ran.transcript());

    let pod = team.admin(&["get", "pods", "-o", "jsonpath={.items[0].metadata.name}"]);
    let ran = home.run_unchanged(["remove", &format!("pod/{pod}"), "--yes"]).code(2);
    assert!(ran.stderr.contains("belongs to job/prepare"), "{}", ran.transcript());
    home.run(["remove", "prepare", "--dry-run"]).success();
    assert_eq!(team.versions(), before);

    let ran = home.run(["remove", "prepare", "--yes"]).success();
    assert_eq!(ran.stdout, "job/prepare removed\n");
    assert_eq!(team.admin(&["get", "jobs,pods", "-o", "name"]), "");
    assert_eq!(team.admin(&["get", "pvc", "-o", "name"]), "persistentvolumeclaim/data\n");
    home.run_unchanged(["remove", "prepare"]).code(5);
}

#[test]
fn keep_pods_flag_keeps_pods() {
    let team = team_with_a_job("remove-orphan");
    let home = team.home(User::DataScientist, &["remove"]);
    home.run(["remove", "prepare", "--yes", "--keep-pods"]).success();
    assert_eq!(team.admin(&["get", "jobs", "-o", "name"]), "");
    assert!(team.admin(&["get", "pods", "-o", "name"]).starts_with("pod/prepare-"));
}

#[test]
fn viewer_cannot_remove() {
    let team = team_with_a_job("remove-viewer");
    let before = team.versions();
    let ran = team.home(User::Viewer, &["remove"]).run_unchanged(["remove", "prepare", "--yes"]).code(4);
    assert!(ran.stderr.contains("✗ vic has no `delete jobs`"), "{}", ran.transcript());
    assert!(ran.stderr.contains("hint: ask an owner of"), "{}", ran.transcript());
    assert_eq!(team.versions(), before);
}
