//! `kf logs` and `kf status --watch` while pods and connections come and go.

use kf_tests::cluster::{User, skip_without_node};

use crate::common::Home;
use crate::common::lines::{Following, waiting_pod};
use crate::common::servers::Proxy;
use crate::common::team::Team;
use crate::kf_snapshot;

const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      initContainers:
      - {name: fetch, image: "kf.test/busybox:1", command: [echo, fetched]}
      containers:
      - {name: main, image: "kf.test/busybox:1", command: [sh, -c, "echo serving on $HOSTNAME; exec sleep 3600"]}
"#;

#[test]
fn deployment_logs_come_from_its_pods() {
    if skip_without_node("deployment_logs_come_from_its_pods") {
        return;
    }
    let team = Team::with_node("web-logs");
    team.apply(WEB);
    team.wait("condition=Available", &["deployment/web"]);
    let vic = team.home(User::Viewer, &["logs"]);
    let pods = team.admin(&["get", "pods", "-o", "name", "--sort-by=.metadata.name"]);
    let pods: Vec<_> = pods.lines().filter_map(|line| line.strip_prefix("pod/")).collect();
    let serving: String = pods.iter().map(|pod| format!("[{pod}] serving on {pod}\n")).collect();
    assert_eq!(vic.run(["logs", "web"]).success().stdout, serving);
    let all: String =
        pods.iter().map(|pod| format!("[{pod}/fetch] fetched\n[{pod}/main] serving on {pod}\n")).collect();
    assert_eq!(vic.run(["logs", "deploy/web", "--all"]).success().stdout, all);
    let fetched = vic.run(["logs", &format!("pod/{}", pods[0]), "-c", "fetch"]).success();
    assert_eq!(fetched.stdout, "fetched\n");
    let wrong = vic.run_unchanged(["logs", &format!("pod/{}", pods[0]), "-c", "nope"]).code(2);
    assert!(wrong.stderr.contains("has no container `nope`; it has main, fetch"), "{}", wrong.transcript());

    // Following continues while the deployment exists, and includes replacement pods.
    let mut following = Following::start(&vic, &["logs", "web", "-f"]);
    // In any order.
    let mut first_lines: Vec<String> = pods.iter().map(|_| following.line("serving on web-")).collect();
    first_lines.sort();
    let expected: Vec<String> = pods.iter().map(|pod| format!("[{pod}] serving on {pod}")).collect();
    assert_eq!(first_lines, expected);
    team.admin(&["delete", "pod", pods[0], "--wait=false"]);
    let line = following.line("serving on web-");
    assert!(!pods.iter().any(|pod| line.contains(pod)), "{line}");
    following.assert_running();
    team.admin(&["delete", "deployment", "web", "--wait=false"]);
    following.stderr_line("web was deleted");

    let nils = team.home(User::NoRights, &["logs"]);
    kf_snapshot!(nils.run_unchanged(["logs", "web"]), @"
    exit: 4
    ----- stdout -----
    ----- stderr -----
    error: logs is not allowed to get pods named web in [NAMESPACE]
      requested by logs                      ✓
      allowed by registry                    ✓
      accepted by you                        ✓
      environment [NAMESPACE] ✓
      your own rights                        ✗ nils has no `get pods` in [NAMESPACE]
      also missing: list, watch pods; get pods/log
    hint: ask an owner of [NAMESPACE] (role admin or kubeflow-admin)
    ");
}

#[test]
fn train_job_logs_are_selected_by_rank() {
    if skip_without_node("train_job_logs_are_selected_by_rank") {
        return;
    }
    let team = Team::with_node("ranks");
    let home = team.home(User::DataScientist, &["train", "logs", "status"]);
    let train = ["train", "trio", "--runtime", "kf-test", "--nodes", "3"];
    home.run(train.iter().chain(&["--env", "EPOCHS=2", "--env", "EPOCH_SECONDS=0.1"])).success();
    let followed = home.run(["logs", "trio", "-f"]).success();
    assert!(followed.stderr.contains("trio complete"), "{}", followed.transcript());

    let rank = |rank: &str| home.run(["logs", "trio", "--rank", rank]).success().stdout;
    let ranks = ["0", "1", "2"].map(rank);
    for (index, log) in ranks.iter().enumerate() {
        assert!(log.starts_with(&format!("rank={index} nodes=3")), "{log}");
    }
    let labelled: String = ranks
        .iter()
        .enumerate()
        .flat_map(|(index, log)| log.lines().map(move |line| format!("[node-{index}] {line}\n")))
        .collect();
    assert_eq!(home.run(["logs", "trio"]).success().stdout, labelled);
    assert_eq!(home.run(["logs", "trio", "--all"]).success().stdout, labelled);
    let mut lines: Vec<_> = followed.stdout.lines().collect();
    let mut expected: Vec<_> = labelled.lines().collect();
    lines.sort_unstable();
    expected.sort_unstable();
    assert_eq!(lines, expected, "each line once");
    let stamped = home.run(["logs", "trio", "--rank", "0", "--timestamps", "--tail", "1"]).success().stdout;
    assert!(stamped.starts_with("20") && stamped.contains("Z done "), "{stamped}");

    kf_snapshot!(home.run_unchanged(["logs", "trio", "--rank", "3"]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: logs: trio has no rank 3; it has ranks 0 to 2
    ");
    kf_snapshot!(home.run_unchanged(["logs", "trio", "--previous"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: logs: trio has not restarted: there is no previous run
    hint: kf logs trainjob/trio
    ");
    team.admin(&["delete", "pods", "--all", "--wait=true"]);
    kf_snapshot!(home.run_unchanged(["logs", "trio"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: logs: trio has ended and its pods were deleted with their logs
    hint: kf status trainjob/trio
    ");
}

#[test]
fn watch_resumes_after_api_server_outage() {
    let team = Team::new("away");
    team.apply(&waiting_pod("before"));
    let proxy = Proxy::in_front_of(&team.kubeconfig(User::Viewer));
    let home = Home::with_commands(&["status"]).kubeconfig(proxy.kubeconfig());
    let mut following = Following::start(&home, &["status", "--watch"]);
    following.line("before");
    proxy.disconnect();
    team.apply(&waiting_pod("meanwhile"));
    following.stderr_line("retrying");
    following.assert_running();
    proxy.reconnect();
    following.line("meanwhile");
    following.stderr_line("the API server answers again");
    // It is a watch again, not only a list.
    team.apply(&waiting_pod("after"));
    following.line("after");
}
