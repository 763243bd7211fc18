//! Logs as long and as many as training makes them, beside kubectl.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use kf_tests::cluster::{BUSYBOX, User, skip_without_node};

use crate::common::servers::Proxy;
use crate::common::team::Team;
use crate::common::{Home, until};

/// Of 102 bytes each, so that it is more than 100 MB.
const LINES: u32 = 1_000_000;

/// A digest of all a program prints, and how much that was.
fn printed(mut command: Command) -> (String, u64) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut sum = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut into = sum.stdin.take().unwrap();
    let (mut bytes, mut buffer) = (0, vec![0; 1 << 16]);
    loop {
        let read = out.read(&mut buffer).unwrap();
        if read == 0 {
            break;
        }
        bytes += read as u64;
        into.write_all(&buffer[..read]).unwrap();
    }
    drop(into);
    assert!(child.wait().unwrap().success(), "{command:?}");
    (String::from_utf8(sum.wait_with_output().unwrap().stdout).unwrap(), bytes)
}

#[test]
fn a_long_log_is_followed_to_the_byte_as_kubectl_does() {
    if skip_without_node("a_long_log_is_followed_to_the_byte_as_kubectl_does") {
        return;
    }
    let team = Team::with_node("long");
    let home = team.home(User::DataScientist, &["logs"]);
    // It begins when both have had time to follow.
    team.apply(&format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: long}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: {BUSYBOX}
      command: [sh, -c]
      args:
        - >-
          sleep 5; awk 'BEGIN {{ for (i = 0; i < {LINES}; i++)
          printf \"%08d the quick brown fox jumps over the lazy dog and trains a small model until it learns at last\\n\", i }}'
"
    ));
    team.admin(&["wait", "--for=condition=Ready", "--timeout=60s", "pod/long"]);
    let mut kubectl = Command::new(team.kubectl_path());
    kubectl.arg("--kubeconfig").arg(team.kubeconfig(User::DataScientist)).args(["logs", "-f", "long"]);
    let kf = home.kf(["logs", "pod/long", "-f"]);
    let (theirs, ours) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| printed(kubectl));
        let ours = scope.spawn(|| printed(kf));
        (theirs.join().unwrap(), ours.join().unwrap())
    });
    assert_eq!(theirs.1, u64::from(LINES) * 102);
    assert_eq!(ours, theirs);
}

/// Sixteen pods of a job whose sixth is restarted in the middle.
fn sixteen() -> String {
    format!(
        "apiVersion: batch/v1
kind: Job
metadata: {{name: many}}
spec:
  parallelism: 16
  completions: 16
  completionMode: Indexed
  template:
    spec:
      restartPolicy: OnFailure
      terminationGracePeriodSeconds: 0
      volumes: [{{name: marks, emptyDir: {{}}}}]
      containers:
        - name: main
          image: {BUSYBOX}
          volumeMounts: [{{name: marks, mountPath: /marks}}]
          command: [sh, -c]
          args:
            - |
              run=first; [ -e /marks/seen ] && run=second; touch /marks/seen
              n=0
              while [ $n -lt 60 ]; do
                n=$((n + 1)); echo \"$run run, line $n\"; sleep 0.2
                if [ $run = first ] && [ $JOB_COMPLETION_INDEX = 5 ] && [ $n = 30 ]; then exit 1; fi
              done
"
    )
}

#[test]
fn the_logs_of_sixteen_pods_hold_each_line_once_and_in_order() {
    if skip_without_node("the_logs_of_sixteen_pods_hold_each_line_once_and_in_order") {
        return;
    }
    let team = Team::with_node("sixteen");
    let proxy = Proxy::before(&team.kubeconfig(User::DataScientist));
    let home = Home::with_commands(&["logs"]).kubeconfig(proxy.kubeconfig());
    team.apply(&sixteen());
    let mut kf = home.kf(["logs", "job/many", "--all", "-f"]);
    let child = kf.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Every pod is in the middle of its lines when the connections break.
    until(Duration::from_secs(120), || {
        let ready = team.admin(&["get", "job/many", "-o", "jsonpath={.status.ready}"]);
        if ready == "16" { Ok(()) } else { Err(format!("{ready} pods of 16 came")) }
    });
    std::thread::sleep(Duration::from_secs(3));
    proxy.cut();
    std::thread::sleep(Duration::from_millis(500));
    proxy.mend();
    let ended = child.wait_with_output().unwrap();
    let (stdout, stderr) = (String::from_utf8(ended.stdout).unwrap(), String::from_utf8_lossy(&ended.stderr));
    assert_eq!(ended.status.code(), Some(0), "{stderr}");

    let mut said: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in stdout.lines() {
        let (rank, words) = line.split_once("] ").unwrap_or_else(|| panic!("{line}"));
        said.entry(rank.trim_start_matches('[')).or_default().push(words);
    }
    assert_eq!(said.len(), 16, "{:?}", said.keys());
    let lines =
        |run: &str, count: u32| (1..=count).map(|n| format!("{run} run, line {n}")).collect::<Vec<_>>();
    for (rank, words) in said {
        let expected = match rank {
            "rank-5" => [lines("first", 30), lines("second", 60)].concat(),
            _ => lines("first", 60),
        };
        assert_eq!(words, expected, "{rank}\n{stderr}");
    }
}
