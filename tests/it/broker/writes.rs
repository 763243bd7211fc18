//! Writing: dry runs, schemas, policies, conflicts, secrets.

use std::time::Duration;

use kf_cluster::broker::Action;
use kf_core::api::{ErrorCode, KubeApi as _, PatchKind};

use super::*;
use crate::common::PATIENCE;

#[tokio::test]
async fn a_dry_run_shows_the_change_and_makes_none() {
    let namespace = TestNamespace::new(cluster(), "dry run").unwrap();
    let real = broker(&namespace, User::DataScientist, &everything());
    let mut config = config(&namespace, User::DataScientist, &everything());
    config.dry_run = true;
    let dry = Broker::new(config).unwrap();

    let job = object(TRAINER, "TrainJob", "mnist");
    let body = json!({"spec": {"runtimeRef": {"name": "kf-test"}}});
    dry.create(job.clone(), body, PLAIN).await.unwrap();
    assert_eq!(real.get(job).await.unwrap_err().code, ErrorCode::NotFound);

    let map = |value: &str| json!({"data": {"epochs": value}});
    real.apply(config_map("settings"), map("3"), PLAIN).await.unwrap();
    dry.apply(config_map("settings"), map("5"), PLAIN).await.unwrap();
    dry.apply(config_map("settings"), map("3"), PLAIN).await.unwrap();
    assert_eq!(real.get(config_map("settings")).await.unwrap()["data"]["epochs"], "3");

    let changes = dry.changes();
    let actions: Vec<Action> = changes.iter().map(|change| change.action).collect();
    assert_eq!(actions, [Action::Create, Action::Change, Action::Nothing]);
    assert_eq!(changes[0].headline(), format!("would create trainjob/mnist in {}", namespace.name()));
    let line = |text: &str| changes[0].lines.iter().find(|line| line.text == text).cloned();
    assert!(!line("kind: TrainJob").unwrap().by_server, "{:?}", changes[0].lines);
    assert!(
        line("spec.runtimeRef.kind: ClusterTrainingRuntime").unwrap().by_server,
        "{:?}",
        changes[0].lines
    );
    assert_eq!(changes[1].lines[0].text, "data.epochs: \"3\" → \"5\"");
}

#[tokio::test]
async fn what_the_schema_does_not_know_is_invalid() {
    let namespace = TestNamespace::new(cluster(), "schema").unwrap();
    let broker = broker(&namespace, User::DataScientist, &everything());
    for (body, words) in [
        (json!({"spec": {"runtimeRef": {"name": "kf-test"}, "nmNodes": 2}}), "nmNodes"),
        (json!({"spec": {"runtimeRef": {"name": 7}}}), "runtimeRef.name"),
        (json!({"spec": {}}), "runtimeRef"),
    ] {
        let error = broker.create(object(TRAINER, "TrainJob", "x"), body, PLAIN).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Invalid, "{error}");
        assert!(error.message.contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_policy_s_no_is_told_in_its_own_words() {
    let namespace = TestNamespace::new(cluster(), "policy").unwrap();
    let admin = connection(&namespace, User::Admin).client().await.unwrap();
    let name = format!("kf-{}", namespace.name());
    let post = async |path: &str, body: Value| {
        let request = http::Request::post(path).header("content-type", "application/json");
        let _: Value = admin.request(request.body(body.to_string().into_bytes()).unwrap()).await.unwrap();
    };
    let base = "/apis/admissionregistration.k8s.io/v1";
    let api = json!("admissionregistration.k8s.io/v1");
    post(
        &format!("{base}/validatingadmissionpolicies"),
        json!({"apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": {
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"],
                "operations": ["CREATE"], "resources": ["configmaps"]}]},
            "validations": [{"expression": "!object.metadata.name.startsWith('big')",
                "message": "big things need a ticket"}],
        }}),
    )
    .await;
    post(
        &format!("{base}/validatingadmissionpolicybindings"),
        json!({"apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": {
            "policyName": name, "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels":
                {"kubernetes.io/metadata.name": namespace.name()}}},
        }}),
    )
    .await;
    let broker = broker(&namespace, User::DataScientist, &everything());
    // The server takes a moment to heed a new policy.
    let refused = async {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match broker.create(config_map(&format!("big-{attempt}")), json!({}), PLAIN).await {
                Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => break error,
            }
        }
    };
    let refused = tokio::time::timeout(PATIENCE, refused).await;
    for kind in ["validatingadmissionpolicybindings", "validatingadmissionpolicies"] {
        let request = http::Request::delete(format!("{base}/{kind}/{name}")).body(Vec::new()).unwrap();
        let _: Value = admin.request(request).await.unwrap();
    }
    let error = refused.unwrap();
    assert_eq!(error.code, ErrorCode::Invalid, "{error}");
    assert!(error.refusal.is_none());
    assert!(error.message.contains("big things need a ticket"), "{error}");
}

#[tokio::test]
async fn fields_of_others_are_left_to_them_without_force() {
    let namespace = TestNamespace::new(cluster(), "conflict").unwrap();
    let mut rules = everything();
    rules.push(json!({"apiGroups": [""], "resources": ["services"], "verbs": ["patch"], "force": true}));
    rules.push(rule("", &["configmaps"], &["patch"]));
    let broker = broker(&namespace, User::DataScientist, &rules);
    let mut other = config(&namespace, User::DataScientist, &rules);
    other.command.name = "other".into();
    let other = Broker::new(other).unwrap();
    let ports =
        |port: u16| json!({"spec": {"selector": {"port": port.to_string()}, "ports": [{"port": 80}]}});
    let service = object("", "Service", "web");
    other.apply(service.clone(), ports(1), PLAIN).await.unwrap();
    let error = broker.apply(service.clone(), ports(2), PLAIN).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert!(error.message.contains("kf-other"), "{error}");
    let force = WriteOptions { force: true, ..PLAIN };
    let taken = broker.apply(service.clone(), ports(2), force).await.unwrap();
    assert_eq!(taken["spec"]["selector"]["port"], "2");
    let error = broker.create(service, ports(3), PLAIN).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert!(error.message.ends_with("exists already"), "{error}");
    let error = broker.apply(config_map("x"), json!({}), force).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Forbidden, "{error}");
}

#[tokio::test]
async fn a_secret_is_written_and_not_read() {
    let namespace = TestNamespace::new(cluster(), "secret").unwrap();
    let blind = rule("", &["secrets"], &["get", "list", "create", "patch"]);
    let broker = broker(&namespace, User::DataScientist, &[blind]);
    let secret = object("", "Secret", "token");
    let body = json!({"stringData": {"password": "hunter2"}});
    let answer = broker.create(secret.clone(), body, PLAIN).await.unwrap();
    assert_eq!(answer["data"]["password"], "redacted");
    let more = json!({"stringData": {"more": "x"}});
    let answer = broker.patch(secret.clone(), PatchKind::Strategic, more, PLAIN).await.unwrap();
    assert_eq!(answer["data"], json!({"password": "redacted", "more": "redacted"}));
    assert_eq!(broker.get(secret).await.unwrap()["data"]["password"], "redacted");
    let page = broker.list(all("", "Secret"), None, None).await.unwrap();
    assert!(!serde_json::to_string(&page.items).unwrap().contains("aHVudGVyMg"));
}
