//! `kf serve` with KServe's own controller, on a real node.

use kf_tests::cluster::{BROKEN_MODEL_SERVER, LOAD, MODEL_SERVERS, Part, User, skip_without_node};
use serde_json::Value;

use crate::common::lines::Following;
use crate::common::team::Team;
use crate::common::{Home, until};

fn team(hint: &str) -> Team {
    let team = Team::with_node(hint);
    team.require(Part::KServe);
    team.require(Part::ModelServer);
    team
}

/// Arguments that serve this image as `iris` with small requests.
fn iris<'a>(image: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let words =
        ["serve", "iris", "--image", image, "--env", "MODEL_NAME=iris", "--cpu", "200m", "--memory", "64Mi"];
    [&words[..], more].concat()
}

/// The version of the model that responds to `kf serve --request`.
fn version(home: &Home) -> String {
    let words = ["serve", "iris", "--request", r#"{"instances":[[1,2]]}"#];
    let ran = home.run(words).success();
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.transcript()));
    assert_eq!(answer["predictions"][0].as_f64(), Some(3.0), "{answer}");
    answer["version"].as_str().unwrap().to_owned()
}

/// A pod that sends requests.
struct Load<'a>(&'a Team);

impl<'a> Load<'a> {
    fn start(team: &'a Team) -> Self {
        team.apply(&format!(
            "apiVersion: v1
kind: Pod
metadata: {{name: load}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: {LOAD}
      args: [-url=http://iris-predictor/v1/models/iris:predict, '-body={{\"instances\":[1]}}', -rate=250, -for=15m]
"
        ));
        team.wait("condition=Ready", &["pod/load"]);
        Self(team)
    }

    #[track_caller]
    fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        until(|| {
            let line = self.0.admin(&["logs", "load", "--tail=1"]);
            let stats = serde_json::from_str(&line).ok().filter(&holds);
            stats.ok_or_else(|| format!("{what}: {line}"))
        })
    }
}

#[test]
fn update_and_rollback_lose_no_request() {
    if skip_without_node("update_and_rollback_lose_no_request") {
        return;
    }
    let team = team("no-loss");
    let home = team.home(User::DataScientist, &["serve"]);
    let [first, second] = MODEL_SERVERS;
    let ran = home.run(iris(first, &["--wait"])).success();
    assert!(ran.stderr.contains("added a preStop delay of 10s"), "{}", ran.transcript());
    assert!(!ran.stderr.contains("cannot record the revision"), "{}", ran.transcript());
    let address = format!("ready at http://iris-predictor.{}.svc.cluster.local", team.name());
    assert!(ran.stdout.contains(&address), "{}", ran.transcript());

    let load = Load::start(&team);
    let from = |version: &'static str, count: u64| {
        move |stats: &Value| {
            stats["versions"][version].as_u64().unwrap_or(0) >= count && stats["last"] == version
        }
    };
    load.until("the first version answers", from("1", 500));
    home.run(iris(second, &["--wait"])).success();
    load.until("the second version answers", from("2", 500));
    let ran = home.run(["serve", "iris", "--rollback", "--wait"]).success();
    assert!(ran.stderr.contains(&format!("rolling back to {first}")), "{}", ran.transcript());
    let stats = load.until("10,000 requests are sent", |stats| {
        stats["requests"].as_u64() >= Some(10_000) && stats["last"] == "1"
    });
    assert_eq!((&stats["failed"], &stats["errors"]), (&0.into(), &serde_json::json!([])), "{stats}");
}

#[test]
fn failing_revision_keeps_traffic_on_previous_one() {
    if skip_without_node("failing_revision_keeps_traffic_on_previous_one") {
        return;
    }
    let team = team("cannot-start");
    let home = team.home(User::DataScientist, &["serve"]);
    home.run(iris(MODEL_SERVERS[0], &["--wait"])).success();

    let ran = home.run(iris(BROKEN_MODEL_SERVER, &["--wait"])).code(1);
    assert!(
        ran.stderr.contains("the new revision of iris cannot start: crashes: exit 1"),
        "{}",
        ran.transcript()
    );
    assert!(ran.stderr.contains("model.pkl: no such file"), "{}", ran.transcript());
    assert!(ran.stderr.contains("1 pod keeps serving the previous revision"), "{}", ran.transcript());
    assert!(ran.stderr.contains("hint: kf serve iris --rollback"), "{}", ran.transcript());
    let listed = home.run(["serve", "--list"]).success();
    assert!(listed.stdout.contains("Degraded"), "{}", listed.transcript());

    let ran = home.run(iris("kf.test/nowhere:1", &["--wait"])).code(1);
    assert!(ran.stderr.contains("cannot pull image kf.test/nowhere:1"), "{}", ran.transcript());
    // KServe reports it as ready.
    let ready = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
    assert_eq!(team.admin(&["get", "inferenceservice", "iris", "-o", ready]), "True");

    home.run(["serve", "iris", "--rollback", "--wait"]).success();
    assert_eq!(version(&home), "1");
}

#[test]
fn service_is_created_stopped_and_started() {
    if skip_without_node("service_is_created_stopped_and_started") {
        return;
    }
    let team = team("stopped");
    let home = team.home(User::DataScientist, &["serve"]);
    let tried = home.run(iris(MODEL_SERVERS[1], &["--dry-run"])).success();
    assert!(tried.stderr.contains("Nothing was changed"), "{}", tried.transcript());
    home.run(iris(MODEL_SERVERS[1], &["--wait"])).success();
    assert_eq!(version(&home), "2");
    let again = home.run(iris(MODEL_SERVERS[1], &[])).success();
    assert!(again.stdout.contains("inferenceservice/iris unchanged"), "{}", again.transcript());

    let mut list = Following::start(&home, &["serve", "--list", "--watch"]);
    list.line("Running");
    home.run(["serve", "iris", "--stop"]).success();
    list.line("Stopped");
    list.assert_running();
    home.run(["serve", "iris", "--wait"]).code(1);
    home.run(["serve", "iris", "--start", "--wait"]).success();
    assert_eq!(version(&home), "2");
}

#[test]
fn viewer_cannot_serve() {
    if skip_without_node("viewer_cannot_serve") {
        return;
    }
    let team = team("no-serving");
    let home = team.home(User::Viewer, &["serve"]);
    let ran = home.run_unchanged(iris(MODEL_SERVERS[0], &[])).code(4);
    let lacks = format!("✗ vic has no `patch inferenceservices` in {}", team.name());
    assert!(ran.stderr.contains(&lacks), "{}", ran.transcript());
    assert!(ran.stderr.contains("hint: ask an owner of"), "{}", ran.transcript());
    assert_eq!(team.admin(&["get", "inferenceservices", "-o", "name"]), "");
    home.run(["serve", "--list"]).success();
}
