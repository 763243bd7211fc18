//! Writing: dry runs, schemas, policies, conflicts, secrets.

use std::time::Duration;

use kf_cluster::broker::Action;
use kf_core::api::{ErrorCode, KubeApi as _, PatchKind};

use super::*;
use crate::common::TIMEOUT;

#[tokio::test]
async fn dry_run_reports_changes_and_stores_none() {
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
async fn object_violating_schema_is_invalid() {
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
async fn admission_policy_message_is_passed_on() {
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
    // A new policy takes effect after a moment.
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
    let refused = tokio::time::timeout(TIMEOUT, refused).await;
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
async fn apply_without_force_keeps_fields_of_other_managers() {
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
    assert!(error.message.ends_with("already exists"), "{error}");
    let error = broker.apply(config_map("x"), json!({}), force).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Forbidden, "{error}");
}

#[tokio::test]
async fn written_secret_is_returned_redacted() {
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

const PASSWORD: &str = "hunter2";
const ENCODED: &str = "aHVudGVyMg==";

/// Creates a secret and a config map with the password, as another field manager than the command.
async fn plant(namespace: &TestNamespace, immutable: bool) {
    let mut owner = config(namespace, User::DataScientist, &everything());
    owner.command.name = "owner".into();
    let owner = Broker::new(owner).unwrap();
    let name = if immutable { "fixed" } else { "token" };
    let body = |field: &str| json!({field: {"password": PASSWORD}, "immutable": immutable});
    owner.create(object("", "Secret", name), body("stringData"), PLAIN).await.unwrap();
    owner.create(config_map(name), body("data"), PLAIN).await.unwrap();
}

#[tokio::test]
async fn failed_write_does_not_leak_hidden_data() {
    let namespace = TestNamespace::new(cluster(), "server words").unwrap();
    plant(&namespace, false).await;
    let blind = [
        vec![rule("", &["secrets"], &["patch", "create"]), rule("", &["configmaps"], &["patch", "create"])],
        vec![
            rule("", &["secrets"], &["get", "patch", "create"]),
            rule("", &["configmaps"], &["patch", "create"]),
        ],
    ];
    for rules in blind {
        let mut rules = rules;
        for rule in &mut rules {
            rule["force"] = json!(true);
        }
        let broker = broker(&namespace, User::DataScientist, &rules);
        let mut refused = 0;
        for kind in ["Secret", "ConfigMap"] {
            for body in [
                json!({"data": {"x": 5}}),
                json!({"immutable": "yes"}),
                json!({"metadata": {"labels": [1]}}),
                json!({"metadata": {"annotations": 7}}),
                json!({"spec": {"unknown": true}}),
                json!({"metadata": {"labels": {"a": "not a label!"}}}),
            ] {
                for dry_run in [false, true] {
                    let object = object("", kind, "token");
                    let options = WriteOptions { dry_run, force: false };
                    let force = WriteOptions { dry_run, force: true };
                    for answer in [
                        broker.patch(object.clone(), PatchKind::Merge, body.clone(), options).await,
                        broker.patch(object.clone(), PatchKind::Strategic, body.clone(), options).await,
                        broker.apply(object.clone(), body.clone(), options).await,
                        broker.apply(object.clone(), body.clone(), force).await,
                    ] {
                        let shown = format!("{answer:?}");
                        assert!(
                            !shown.contains(PASSWORD) && !shown.contains(ENCODED),
                            "{kind} {body}: {shown}"
                        );
                        refused += usize::from(answer.is_err());
                    }
                }
            }
        }
        assert!(refused > 60, "{refused}");
        let withheld = broker.withheld();
        assert!(
            !withheld.is_empty()
                && withheld.iter().all(|(object, _)| object.starts_with("the API server about configmap"))
        );
    }
}

/// What a command sees of a write: the object or the error.
fn learned(answer: Result<Value, kf_core::api::ApiError>) -> Result<Value, (ErrorCode, String)> {
    answer.map_err(|error| (error.code, error.message))
}

#[tokio::test]
async fn write_does_not_confirm_guessed_value() {
    let namespace = TestNamespace::new(cluster(), "guesses").unwrap();
    plant(&namespace, false).await;
    plant(&namespace, true).await;
    for force in [false, true] {
        for verbs in [&["get", "patch", "create"][..], &["patch", "create"]] {
            let rules = ["secrets", "configmaps"].map(|plural| {
                let mut rule = rule("", &[plural], verbs);
                rule["force"] = json!(force);
                rule
            });
            let broker = broker(&namespace, User::DataScientist, &rules);
            for kind in ["Secret", "ConfigMap"] {
                if kind == "ConfigMap" && verbs.contains(&"get") {
                    continue;
                }
                for name in ["token", "fixed"] {
                    // A forced write without dry run would change a mutable object.
                    let tried: &[bool] = if force && name == "token" { &[true] } else { &[true, false] };
                    for dry_run in tried {
                        let options = WriteOptions { dry_run: *dry_run, force };
                        let mut outcomes = Vec::new();
                        for guess in [PASSWORD, "wrong"] {
                            let field = if kind == "Secret" { "stringData" } else { "data" };
                            let body = json!({field: {"password": guess}});
                            let object = object("", kind, name);
                            outcomes.push((
                                learned(broker.apply(object.clone(), body.clone(), options).await),
                                learned(
                                    broker
                                        .patch(object.clone(), PatchKind::Merge, body.clone(), options)
                                        .await,
                                ),
                                learned(broker.patch(object, PatchKind::Strategic, body, options).await),
                            ));
                        }
                        assert_eq!(outcomes[0], outcomes[1], "{kind} {name} {verbs:?} {options:?}");
                        assert!(force || outcomes[0].0.is_err());
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn patch_cannot_take_fields_of_other_managers() {
    let namespace = TestNamespace::new(cluster(), "take over").unwrap();
    let rules = |force: bool| {
        let mut rule = rule("", &["configmaps", "services"], &["get", "create", "patch"]);
        rule["force"] = json!(force);
        [rule]
    };
    let mut other = config(&namespace, User::DataScientist, &rules(false));
    other.command.name = "other".into();
    let other = Broker::new(other).unwrap();
    other.apply(config_map("c"), json!({"data": {"theirs": "1"}}), PLAIN).await.unwrap();
    let service = object("", "Service", "web");
    let ports = json!({"spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "name": "http"}]}});
    other.create(service.clone(), ports, PLAIN).await.unwrap();

    let broker = broker(&namespace, User::DataScientist, &rules(false));
    let patch = async |object: &ObjectRef, kind: PatchKind, body: Value| {
        broker.patch(object.clone(), kind, body, PLAIN).await
    };
    let map = config_map("c");
    for (object, kind, body, path) in [
        (&map, PatchKind::Merge, json!({"data": {"theirs": "2"}}), "data.theirs"),
        (&map, PatchKind::Merge, json!({"data": {"theirs": null}}), "data.theirs"),
        (&map, PatchKind::Merge, json!({"data": null}), "data"),
        (&map, PatchKind::Strategic, json!({"data": {"$patch": "replace", "mine": "1"}}), "data"),
        (&map, PatchKind::Json, json!([{"op": "remove", "path": "/data/theirs"}]), "data.theirs"),
        (&map, PatchKind::Json, json!([{"op": "add", "path": "/data", "value": {}}]), "data"),
        (
            &service,
            PatchKind::Strategic,
            json!({"spec": {"ports": [{"port": 80, "name": "web"}]}}),
            "spec.ports[0].name",
        ),
        (&service, PatchKind::Merge, json!({"spec": {"selector": {"app": "mine"}}}), "spec.selector"),
    ] {
        let error = patch(object, kind, body.clone()).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Forbidden, "{body}: {error}");
        let owner = ", set by kf-other";
        assert!(
            error.message.contains(&format!("take over {path} of ")) && error.message.ends_with(owner),
            "{error}"
        );
    }
    for (object, kind, body) in [
        (&map, PatchKind::Merge, json!({"data": {"mine": "1", "theirs": "1"}})),
        (&map, PatchKind::Merge, json!({"data": {"mine": "2"}})),
        (&map, PatchKind::Json, json!([{"op": "replace", "path": "/data/mine", "value": "3"}])),
        (&map, PatchKind::Json, json!([{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}])),
        (&service, PatchKind::Strategic, json!({"spec": {"ports": [{"port": 81, "name": "more"}]}})),
    ] {
        patch(object, kind, body.clone()).await.unwrap_or_else(|error| panic!("{body}: {error}"));
    }
    let forcing = super::broker(&namespace, User::DataScientist, &rules(true));
    let taken = forcing.patch(map, PatchKind::Merge, json!({"data": {"theirs": "2"}}), PLAIN).await.unwrap();
    assert_eq!(taken["data"], json!({"mine": "3", "theirs": "2"}));
}

#[tokio::test]
async fn dry_run_reports_changed_secret_value_redacted() {
    let namespace = TestNamespace::new(cluster(), "secret diff").unwrap();
    plant(&namespace, false).await;
    let mut rule = rule("", &["secrets"], &["get", "patch"]);
    rule["force"] = json!(true);
    let mut config = config(&namespace, User::DataScientist, &[rule]);
    config.dry_run = true;
    let dry = Broker::new(config).unwrap();
    let secret = object("", "Secret", "token");
    for body in [
        json!({"stringData": {"password": "other", "more": "x"}}),
        json!({"stringData": {"password": PASSWORD}}),
    ] {
        dry.patch(secret.clone(), PatchKind::Merge, body, PLAIN).await.unwrap();
    }
    let changes = dry.changes();
    let lines: Vec<&str> = changes[0].lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(lines, ["data.more: redacted", "data.password: redacted → redacted (changed)"]);
    assert_eq!((changes[1].action, &changes[1].lines), (Action::Nothing, &Vec::new()));
}
