//! Long logs and logs of many pods, compared with kubectl.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use kf_tests::cluster::{BUSYBOX, User, skip_without_node};

use crate::common::lines::Following;
use crate::common::servers::Proxy;
use crate::common::team::Team;
use crate::common::{Home, until, wait_for_exit};

/// Of 102 bytes each, together more than 100 MB.
const LINES: u32 = 1_000_000;

/// The length of the line before them, and of everything.
const FIRST_LINE: u64 = "waiting\n".len() as u64;
const ALL: u64 = FIRST_LINE + LINES as u64 * 102;

/// A digest and the length of a program's output; `bytes` counts it meanwhile.
fn printed(mut command: Command, bytes: &AtomicU64) -> (String, u64) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let digest = || {
        let mut sum = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut into = sum.stdin.take().unwrap();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = out.read(&mut buffer).unwrap();
            if read == 0 {
                break;
            }
            bytes.fetch_add(read as u64, Ordering::Relaxed);
            into.write_all(&buffer[..read]).unwrap();
        }
        drop(into);
        String::from_utf8(sum.wait_with_output().unwrap().stdout).unwrap()
    };
    let digest = std::thread::scope(|scope| {
        let digest = scope.spawn(digest);
        assert!(wait_for_exit(&mut child).success(), "{command:?}");
        digest.join().unwrap()
    });
    (digest, bytes.load(Ordering::Relaxed))
}

#[test]
fn long_log_is_followed_byte_for_byte() {
    if skip_without_node("long_log_is_followed_byte_for_byte") {
        return;
    }
    let team = Team::with_node("long");
    let home = team.home(User::DataScientist, &["logs"]);
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
          echo waiting; until [ -e /tmp/go ]; do sleep 0.1; done; awk 'BEGIN {{ for (i = 0; i < {LINES}; i++)
          printf \"%08d the quick brown fox jumps over the lazy dog and trains a small model until it learns at last\\n\", i }}';
          until [ -e /tmp/end ]; do sleep 0.1; done
"
    ));
    team.wait("condition=Ready", &["pod/long"]);
    let mut kubectl = Command::new(team.kubectl_path());
    kubectl.arg("--kubeconfig").arg(team.kubeconfig(User::DataScientist)).args(["logs", "-f", "long"]);
    let kf = home.kf(["logs", "pod/long", "-f"]);
    let counts = [AtomicU64::new(0), AtomicU64::new(0)];
    let [of_kubectl, of_kf] = &counts;
    let (theirs, ours) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| printed(kubectl, of_kubectl));
        let ours = scope.spawn(|| printed(kf, of_kf));
        let both_have = |bytes: u64| {
            let now = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
            if now.iter().all(|count| *count >= bytes) {
                Ok(())
            } else {
                Err(format!("{now:?} of {bytes} bytes"))
            }
        };
        until(|| both_have(FIRST_LINE));
        team.admin(&["exec", "long", "--", "touch", "/tmp/go"]);
        // The kubelet may lose the end of the log if the container ends at once.
        until(|| both_have(ALL));
        team.admin(&["exec", "long", "--", "touch", "/tmp/end"]);
        (theirs.join().unwrap(), ours.join().unwrap())
    });
    assert_eq!(theirs.1, ALL);
    assert_eq!(ours, theirs);
}

/// Sixteen pods that print until `end` is signaled. The sixth fails once after `fail`.
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
      volumes: [{{name: marks, emptyDir: {{}}}}, {{name: signals, configMap: {{name: signals, optional: true}}}}]
      containers:
        - name: main
          image: {BUSYBOX}
          volumeMounts: [{{name: marks, mountPath: /marks}}, {{name: signals, mountPath: /signals}}]
          command: [sh, -c]
          args:
            - |
              run=first; [ -e /marks/seen ] && run=second; touch /marks/seen
              n=0
              until [ -e /signals/end ]; do
                n=$((n + 1)); echo \"$run run, line $n\"; sleep 0.2
                if [ $run = first ] && [ $JOB_COMPLETION_INDEX = 5 ] && [ -e /signals/fail ]; then
                  echo \"$run run ends\"; exit 1
                fi
              done
              echo \"$run run ends\"
"
    )
}

/// Signals the pods through a config map.
fn signal(team: &Team, words: &[&str]) {
    let data: Vec<String> = words.iter().map(|word| format!("{word}: ''")).collect();
    team.apply(&format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: signals}}\ndata: {{{}}}\n",
        data.join(", ")
    ));
}

/// The lines of each rank, in order.
fn by_rank(lines: &[String]) -> BTreeMap<&str, Vec<&str>> {
    let mut lines_of_ranks: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in lines {
        let (rank, words) = line.split_once("] ").unwrap_or_else(|| panic!("{line}"));
        lines_of_ranks.entry(rank.trim_start_matches('[')).or_default().push(words);
    }
    lines_of_ranks
}

/// Waits until every rank has printed this many more lines.
#[track_caller]
fn wait_for_lines_of_all(kf: &Following, more: usize) {
    let counts = || -> BTreeMap<String, usize> {
        by_rank(&kf.lines()).into_iter().map(|(rank, lines)| (rank.to_owned(), lines.len())).collect()
    };
    let before = counts();
    until(|| {
        let now = counts();
        let done = now.iter().filter(|(rank, count)| **count >= before.get(*rank).unwrap_or(&0) + more);
        if done.count() == 16 {
            Ok(())
        } else {
            Err(format!("not all of 16 printed {more} more lines: {now:?}"))
        }
    });
}

/// Breaks every connection, and accepts new ones after the first was refused.
fn break_connections(proxy: &Proxy) {
    proxy.disconnect();
    proxy.wait_until_tried();
    proxy.reconnect();
}

#[test]
fn logs_of_sixteen_pods_have_each_line_once_in_order() {
    if skip_without_node("logs_of_sixteen_pods_have_each_line_once_in_order") {
        return;
    }
    let team = Team::with_node("sixteen");
    let proxy = Proxy::in_front_of(&team.kubeconfig(User::DataScientist));
    let home = Home::with_commands(&["logs"]).kubeconfig(proxy.kubeconfig());
    team.apply(&sixteen());
    let kf = Following::start(&home, &["logs", "job/many", "--all", "-f"]);

    // The connections break before, during and after the restart of the sixth pod.
    wait_for_lines_of_all(&kf, 10);
    break_connections(&proxy);
    wait_for_lines_of_all(&kf, 10);
    signal(&team, &["fail"]);
    kf.line("[rank-5] first run ends");
    break_connections(&proxy);
    kf.line("[rank-5] second run, line 20");
    break_connections(&proxy);
    wait_for_lines_of_all(&kf, 10);
    signal(&team, &["end"]);

    let (status, stdout, stderr) = kf.finish_with_lines();
    assert_eq!(status.code(), Some(0), "{stderr:#?}");
    let ranks = by_rank(&stdout);
    assert_eq!(ranks.len(), 16, "{:?}", ranks.keys());
    for (rank, words) in ranks {
        let runs: &[&str] = if rank == "rank-5" { &["first", "second"] } else { &["first"] };
        let mut rest = words.as_slice();
        for run in runs {
            let end = format!("{run} run ends");
            let length = rest.iter().position(|line| *line == end).unwrap_or(rest.len());
            let expected: Vec<_> =
                (1..=length).map(|n| format!("{run} run, line {n}")).chain([end]).collect();
            let (of_run, of_next) = rest.split_at(rest.len().min(length + 1));
            assert_eq!(of_run, expected, "{rank}\n{stderr:#?}");
            rest = of_next;
        }
        assert!(rest.is_empty(), "{rank} printed more: {rest:?}");
    }
}
