//! `kf services` and `kf top` on a real API server.

use kf_tests::cluster::User;
use serde_json::Value;

use crate::common::Ran;
use crate::common::lines::Following;
use crate::common::team::Team;

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.transcript()))
}

/// A team with a service in front of one pending pod.
fn team_with_a_service(hint: &str) -> Team {
    let team = Team::new(hint);
    team.apply(
        "apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      schedulerName: nobody
      containers:
      - name: main
        image: kf.test/none
        resources: {requests: {cpu: 250m, memory: 64Mi}, limits: {memory: 128Mi}}
",
    );
    team.wait("create", &["pod", "-l", "app=web"]);
    team
}

#[test]
fn service_without_running_pods_is_listed_and_unhealthy() {
    let team = team_with_a_service("services");
    for user in [User::DataScientist, User::Viewer] {
        let home = team.home(user, &["services"]);
        let listed = json(&home.run_unchanged(["services", "list", "-o", "json"]).success());
        assert_eq!(listed[0]["addresses"][0], format!("web.{}.svc:80", team.name()));
        assert_eq!((&listed[0]["kind"], &listed[0]["ready"]), (&"service".into(), &0.into()));
        let ran = home.run_unchanged(["services", "health"]).code(1);
        assert!(ran.stdout.contains("none of its 1 pods is running"), "{}", ran.transcript());
        let ran = home.run_unchanged(["services", "stats"]).success();
        assert!(ran.stderr.contains("does not serve metrics.k8s.io"), "{}", ran.transcript());
        home.run_unchanged(["services", "list", "wbe"]).code(5);
    }
    let vic = team.home(User::Viewer, &["services"]);
    let mut list = Following::start(&vic, &["services", "list", "--watch"]);
    list.line("web.");
    team.admin(&["create", "service", "clusterip", "later", "--tcp=80"]);
    list.line("later.");
    list.assert_running();
    let ran = team.home(User::NoRights, &["services"]).run_unchanged(["services", "list"]).code(4);
    assert!(ran.stderr.contains("✗ nils has no `list "), "{}", ran.transcript());
}

#[test]
fn requests_are_shown_without_metrics_server() {
    let team = team_with_a_service("top");
    for user in [User::DataScientist, User::Viewer] {
        let home = team.home(user, &["top"]);
        let ran = home.run_unchanged(["top"]).success();
        assert!(ran.stderr.contains("does not serve metrics.k8s.io"), "{}", ran.transcript());
        assert_eq!(ran.row("deployment/web"), "deployment/web 1 unknown 250m/- unknown 64Mi/128Mi");
        let pods = json(&home.run_unchanged(["top", "deployment/web", "-o", "json"]).success());
        assert_eq!(pods[0]["requests"]["cpu"], 0.25);
        assert_eq!(pods[0]["used"], Value::Null);
    }
    let ran = team.home(User::NoRights, &["top"]).run_unchanged(["top"]).code(4);
    assert!(ran.stderr.contains("✗ nils has no `list pods`"), "{}", ran.transcript());
}
