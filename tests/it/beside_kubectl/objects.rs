//! Objects and their names.

use kf_tests::cluster::User;
use serde_json::Value;

use super::{Differences, kubectl, ran};
use crate::common::team::Team;
use crate::common::until_true;

fn team(hint: &str) -> Team {
    let team = Team::new(hint);
    let mut objects = String::new();
    for name in ["theirs", "ours"] {
        objects += &format!(
            "---
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  schedulerName: nobody
  containers: [{{name: main, image: 'kf.test/none'}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{schedulerName: nobody, containers: [{{name: main, image: 'kf.test/none'}}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: {name}}}
spec:
  replicas: 0
  serviceName: {name}
  selector: {{matchLabels: {{app: set-{name}}}}}
  template:
    metadata: {{labels: {{app: set-{name}}}}}
    spec: {{containers: [{{name: main, image: 'kf.test/none'}}]}}
---
apiVersion: batch/v1
kind: Job
metadata: {{name: {name}}}
spec:
  suspend: true
  template: {{spec: {{restartPolicy: Never, containers: [{{name: main, image: 'kf.test/none'}}]}}}}
"
        );
    }
    team.apply(&objects);
    team
}

#[test]
fn kind_names_match_kubectl() {
    let team = team("short-names");
    let home = team.home(User::DataScientist, &["status"]);
    let cluster = team.kubeconfig(User::DataScientist);
    let mut differences = Differences::default();
    for (word, kind) in [
        ("po", Some("pod")),
        ("pod", Some("pod")),
        ("pods", Some("pod")),
        ("deploy", Some("deployment")),
        ("deployments", Some("deployment")),
        ("deployment", Some("deployment")),
        ("sts", Some("statefulset")),
        ("job", Some("job")),
        ("jobs", Some("job")),
        ("nosuchkind", None),
    ] {
        let theirs =
            ran(kubectl(&team, &home, &cluster).args(["get", &format!("{word}/ours"), "-o", "name"]), &home);
        let found = theirs.stdout.trim().split(['.', '/']).next().filter(|kind| !kind.is_empty());
        differences.check(&format!("kubectl: {word}"), &found, &kind, &theirs);
        let ours = home.run(["status", &format!("{word}/ours"), "-o", "json"]);
        let status: Value = serde_json::from_str(&ours.stdout).unwrap_or_default();
        differences.check(&format!("kf: {word}"), &status["kind"].as_str(), &kind, &ours);
    }
}

/// With foreground propagation an owner stays until its dependents are gone, and a controller may recreate them.
#[test]
fn remove_uses_background_propagation() {
    let team = team("background");
    let home = team.home(User::DataScientist, &["remove"]);
    let cluster = team.kubeconfig(User::DataScientist);
    let is_there = |object: &str| team.kubectl(User::Admin, &["get", object]).status.success();
    for kind in ["deployment", "statefulset", "job", "pod"] {
        let deleted = ran(
            kubectl(&team, &home, &cluster).args(["delete", &format!("{kind}/theirs"), "--wait=false"]),
            &home,
        );
        deleted.success();
        home.run(["remove", &format!("{kind}/ours"), "--yes", "--no-wait"]).success();
        for name in ["theirs", "ours"] {
            let object = format!("{kind}/{name}");
            // With foreground propagation it would have a finalizer as long as a dependent exists.
            if kind != "pod" && is_there(&object) {
                let held = team.admin(&["get", &object, "-o", "jsonpath={.metadata.finalizers}"]);
                assert!(!held.contains("foregroundDeletion"), "{object}: {held}");
            }
            until_true(&format!("{object} is gone"), || !is_there(&object));
        }
    }
}

/// kubectl's server-side dry run prints the same, and nothing is deleted.
#[test]
fn remove_dry_run_deletes_nothing() {
    let team = team("dry-removal");
    let home = team.home(User::DataScientist, &["remove"]);
    let cluster = team.kubeconfig(User::DataScientist);
    let mut theirs = kubectl(&team, &home, &cluster);
    let theirs = ran(theirs.args(["delete", "job/ours", "--dry-run=server", "-o", "name"]), &home);
    assert_eq!(theirs.success().stdout, "job.batch/ours\n");
    let ours = home.run(["remove", "job/ours", "--dry-run", "-o", "name"]).success();
    assert_eq!(ours.stdout, "job/ours\n", "{}", ours.transcript());
    let deleted = "jsonpath={.metadata.name} {.metadata.deletionTimestamp}";
    assert_eq!(team.admin(&["get", "job", "ours", "-o", deleted]), "ours ");
}

/// kubectl exits with 1 for every error; kf has an exit code per kind of error.
#[test]
fn missing_and_forbidden_objects_have_distinct_exit_codes() {
    let team = team("exit-codes");
    let mut differences = Differences::default();
    for (user, theirs, ours, code, words) in [
        (User::DataScientist, &["get", "pod", "gone"][..], &["status", "pod/gone"][..], 5, "gone"),
        (User::DataScientist, &["logs", "gone"], &["logs", "pod/gone"], 5, "gone"),
        (User::DataScientist, &["exec", "gone", "--", "id"], &["run", "pod/gone", "--", "id"], 5, "gone"),
        (User::DataScientist, &["delete", "pod", "gone"], &["remove", "pod/gone", "--yes"], 5, "gone"),
        (User::Viewer, &["delete", "pod", "ours"], &["remove", "pod/ours", "--yes"], 4, "pods"),
        (User::NoRights, &["get", "pods"], &["status"], 4, "pods"),
    ] {
        let home = team.home(user, &["status", "logs", "run", "remove"]);
        let theirs_ran = ran(kubectl(&team, &home, &team.kubeconfig(user)).args(theirs), &home);
        let result = |ran: &crate::common::Ran| (ran.code, ran.stderr.contains(words));
        differences.check(
            &format!("kubectl {theirs:?}"),
            &result(&theirs_ran),
            &(Some(1), true),
            &theirs_ran,
        );
        let ours_ran = home.run(ours);
        differences.check(&format!("kf {ours:?}"), &result(&ours_ran), &(Some(code), true), &ours_ran);
    }
}
