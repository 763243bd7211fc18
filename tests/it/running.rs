//! Commands against a real cluster, and on a node with real containers.

use std::process::Stdio;

use kf_tests::cluster::{User, skip_without_node};
use serde_json::Value;

use crate::common::team::Team;
use crate::common::terminal::{Terminal, shown};
use crate::common::{Home, Ran, Streams, output_of};
use crate::kf_snapshot;

fn json(ran: Ran) -> Value {
    let ran = ran.success();
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.transcript()))
}

/// A team with a pending pod and a deployment.
fn team_with_pending_pod(hint: &str) -> Team {
    let team = Team::new(hint);
    team.apply(
        "apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  schedulerName: nobody
  containers: [{name: main, image: 'kf.test/none'}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  replicas: 0
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: main, image: 'kf.test/none'}]}
",
    );
    team
}

#[test]
fn output_formats_hold_the_same_data() {
    let team = Team::new("formats");
    let home = team.home(User::DataScientist, &["whoami"]);
    let whoami = json(home.run(["whoami", "-o", "json"]));
    assert_eq!(whoami["user"], "dana");
    assert_eq!(whoami["namespace"], team.name());
    assert_eq!(whoami["role"], "edit");
    let yaml = home.run(["whoami", "-o", "yaml"]).success().stdout;
    assert_eq!(serde_saphyr::from_str::<Value>(&yaml).unwrap(), whoami);
    assert_eq!(home.run(["-o", "name", "whoami"]).success().stdout, "user/dana\n");
}

#[test]
fn status_lists_workloads() {
    let team = team_with_pending_pod("status");
    let home = team.home(User::DataScientist, &["status"]);
    let ran = home.run_unchanged(["status"]).success();
    assert!(!ran.stdout.contains('\u{1b}'), "{}", ran.stdout);
    let rows: Vec<&str> = ran.stdout.lines().collect();
    assert!(rows[0].starts_with("KIND"), "{}", ran.stdout);
    assert!(rows.iter().any(|row| row.starts_with("pod ") && row.contains("web")), "{}", ran.stdout);
    assert!(rows.iter().any(|row| row.starts_with("deployment ") && row.contains("api")), "{}", ran.stdout);
    let objects = json(home.run(["status", "-o", "json"]));
    assert_eq!(objects.as_array().unwrap().len(), rows.len() - 1);
    let names = home.run(["status", "-o", "name"]).success().stdout;
    assert!(names.contains("pod/web\n"), "{names}");
    kf_snapshot!(home.run_unchanged(["status", "nothing-such"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: status: no workload `nothing-such` in [NAMESPACE]
    hint: kf status
    ");
}

#[test]
fn colour_is_only_used_on_terminal() {
    let team = team_with_pending_pod("colour");
    let home = team.home(User::DataScientist, &["status"]);
    let on_terminal = |home: &Home| Terminal::start(home.kf(["status"])).finish().1;
    let screen = on_terminal(&home);
    assert!(screen.contains(&0x1b), "{}", String::from_utf8_lossy(&screen));
    let piped = home.run(["status"]).success().stdout;
    assert!(!piped.contains('\u{1b}'), "{piped}");
    // The age of a pod may differ by a second.
    let words = |text: &str| text.split_whitespace().next_back().map(str::to_owned);
    assert_eq!(words(&shown(&screen)), words(&piped));
    let home = home.env("NO_COLOR", "1");
    assert!(!on_terminal(&home).windows(2).any(|bytes| bytes == b"\x1b[3"));
}

#[test]
fn closed_stdout_ends_kf_silently() {
    let team = team_with_pending_pod("head");
    let home = team.home(User::DataScientist, &["status"]);
    let mut kf = home.kf(["status"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(kf.stdout.take());
    let ended = Ran::of(&Streams::of(&mut kf).output(&mut kf), home.path());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(141), ""), "{}", ended.transcript());
}

const QUICK: [&str; 2] = ["EPOCHS=3", "EPOCH_SECONDS=0.1"];

/// `kf train NAME` with quick epochs and more arguments.
fn train<'a>(name: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec!["train", name, "--runtime", "kf-test"];
    words.extend(QUICK.iter().flat_map(|pair| ["--env", pair]));
    words.extend(more);
    words
}

#[test]
fn job_of_two_nodes_trains_and_streams_logs() {
    if skip_without_node("job_of_two_nodes_trains_and_streams_logs") {
        return;
    }
    let team = Team::with_node("two-nodes");
    let home = team.home(User::DataScientist, &["train", "logs", "status"]);
    let ran = home.run(train("pair", &["--nodes", "2", "--wait", "--logs"])).success();
    for rank in 0..2 {
        let prefix = format!("[node-{rank}] ");
        let lines: Vec<&str> = ran.stdout.lines().filter_map(|line| line.strip_prefix(&prefix)).collect();
        assert!(lines[0].contains(&format!("rank={rank} nodes=2")), "{}", ran.transcript());
        assert_eq!(lines.iter().filter(|line| line.starts_with("epoch=")).count(), 3, "{}", ran.transcript());
        assert!(lines.last().unwrap().starts_with("done "), "{}", ran.transcript());
    }
    assert_eq!(ran.stdout.lines().count(), 10, "{}", ran.transcript());
    assert!(ran.stderr.contains("trainjob/pair created (runtime kf-test, 2 nodes)"), "{}", ran.transcript());
    assert!(ran.stderr.lines().last().unwrap().starts_with("train: pair complete"), "{}", ran.transcript());

    let status = json(home.run(["status", "trainjob/pair", "-o", "json"]));
    assert!(status.to_string().contains("Complete"), "{status}");
    // The log of one rank is the same as kubectl's for its pod, byte for byte.
    let selector = "-lbatch.kubernetes.io/job-completion-index=1";
    let pod = team.admin(&["get", "pods", selector, "-o", "jsonpath={.items[0].metadata.name}"]);
    let theirs = team.kubectl(User::DataScientist, &["logs", &pod]).stdout;
    let ours = output_of(&mut home.kf(["logs", &format!("pod/{pod}")]));
    assert_eq!(String::from_utf8_lossy(&ours.stdout), String::from_utf8_lossy(&theirs));
    let ranked = home.run(["logs", "pair", "--rank", "1"]).success();
    assert_eq!(ranked.stdout.as_bytes(), theirs);
    // A job that has ended does not run again.
    kf_snapshot!(home.run_unchanged(train("pair", &[])), @"
    exit: 1
    ----- stdout -----
    ----- stderr -----
    error: train: training job pair exists and is complete; it cannot run again
    hint: kf train pair-2 --runtime kf-test --env EPOCHS=3 --env EPOCH_SECONDS=0.1
    ");
}

#[test]
fn failing_job_fails_kf_with_reason() {
    if skip_without_node("failing_job_fails_kf_with_reason") {
        return;
    }
    let team = Team::with_node("failing");
    let home = team.home(User::DataScientist, &["train"]);
    kf_snapshot!(without_waits(home.run_unchanged(train("fails", &["--env", "FAIL_AT=2", "--wait"]))), @"
    exit: 1
    ----- stdout -----
    ----- stderr -----
    train: trainjob/fails created (runtime kf-test)
    train: [node-0] rank=0 nodes=1 seed=1 points=64
    train: [node-0] epoch=1 loss=0.584595
    train: [node-0] rank=0 failed at epoch 2, as FAIL_AT says
    train: node-0 failed: exit 3
    error: train: fails failed after [TIME]: FailedJobs: jobset failed due to one or more job failures (first failed job: fails-node-0)
    hint: kf status trainjob/fails
    ");
    let followed = home.run_unchanged(train("again", &["--env", "FAIL_AT=2", "--logs"])).code(1);
    let last = followed.stdout.lines().last().unwrap();
    assert!(last.ends_with("rank=0 failed at epoch 2, as FAIL_AT says"), "{}", followed.transcript());
    let last_lines: Vec<&str> = followed.stderr.lines().rev().take(2).collect();
    assert_eq!(last_lines[0], "hint: kf status trainjob/again");
    assert!(last_lines[1].starts_with("error: train: again failed after "), "{}", followed.transcript());
}

/// Removes progress lines, which depend on the speed of the machine.
fn without_waits(mut ran: Ran) -> Ran {
    let lines = ran.stderr.split_inclusive('\n').filter(|line| !line.starts_with("train: waiting for "));
    ran.stderr = lines.collect();
    ran
}

#[test]
fn job_refused_by_webhook_is_not_created() {
    if skip_without_node("job_refused_by_webhook_is_not_created") {
        return;
    }
    let team = Team::with_node("webhook");
    let home = team.home(User::DataScientist, &["train"]);
    let before = team.versions();
    // Valid by the schema; only the webhook knows that the runtime sets this variable.
    let ran = home.run_unchanged(train("mnist", &["--env", "PET_NNODES=3"]));
    kf_snapshot!(ran, @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: train: the cluster rejected the training job: spec.trainer.env: Invalid value: must not have reserved envs, invalid envs configured: [PET_NNODES]
    ");
    assert_eq!(team.versions(), before);
}
