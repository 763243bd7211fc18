use kf_core::api::{DeleteOptions, KubeApi as _, PatchKind, Propagation, WriteOptions};
use kf_core::grants::Layer;

use super::*;

const PLAIN: WriteOptions = WriteOptions { dry_run: false, force: false };

fn jobs(verbs: &[&str]) -> Value {
    rule("batch", &["jobs"], verbs)
}

fn job() -> ObjectRef {
    object("batch", "Job", "mnist")
}

fn layer(error: ApiError) -> Layer {
    error.refusal.unwrap().layer
}

#[tokio::test]
async fn create_sends_post_with_body_that_matches_path() {
    let server = Server::default();
    server.answer(201, &json!({"metadata": {"name": "mnist"}}));
    let broker = server.broker(&[jobs(&["create"])]);
    broker.create(job(), json!({"spec": {}}), PLAIN).await.unwrap();
    let sent = server.last();
    assert_eq!(sent.method, "POST");
    assert_eq!(
        sent.uri,
        "/apis/batch/v1/namespaces/team-a/jobs?fieldManager=kf-train&fieldValidation=Strict"
    );
    assert_eq!(
        sent.body,
        json!({"apiVersion": "batch/v1", "kind": "Job",
               "metadata": {"name": "mnist", "namespace": "team-a"}, "spec": {}})
    );
    let elsewhere = json!({"metadata": {"namespace": "kube-system"}});
    assert_eq!(broker.create(job(), elsewhere, PLAIN).await.unwrap_err().code, ErrorCode::Invalid);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn apply_needs_both_verbs_and_force_its_own_grant() {
    let server = Server::default();
    let force = WriteOptions { force: true, ..PLAIN };
    let broker = server.broker(&[jobs(&["patch"])]);
    assert_eq!(layer(broker.apply(job(), json!({}), PLAIN).await.unwrap_err()), Layer::Manifest);
    let broker = server.broker(&[jobs(&["patch", "create"])]);
    assert_eq!(broker.apply(job(), json!({}), force).await.unwrap_err().code, ErrorCode::Forbidden);
    assert!(server.requests().is_empty());

    let mut rule = jobs(&["get", "patch", "create"]);
    rule["force"] = json!(true);
    for options in [PLAIN, force] {
        server.answer(200, &json!({}));
        server.broker(std::slice::from_ref(&rule)).apply(job(), json!({}), options).await.unwrap();
    }
    let sent = server.last();
    assert_eq!(
        sent.uri,
        "/apis/batch/v1/namespaces/team-a/jobs/mnist?fieldManager=kf-train&fieldValidation=Strict&force=true"
    );
    assert!(sent.headers.contains(&("content-type".into(), "application/apply-patch+yaml".into())));
    assert!(!server.sent.lock().unwrap()[0].uri.contains("force"));
}

#[tokio::test]
async fn owner_references_finalizers_and_status_need_their_own_grants() {
    let server = Server::default();
    let broker = server.broker(&[jobs(&["create", "patch"])]);
    for body in [
        json!({"metadata": {"ownerReferences": [{"uid": "x"}]}}),
        json!({"metadata": {"finalizers": ["x"]}}),
        json!({"status": {}}),
    ] {
        for result in [
            broker.create(job(), body.clone(), PLAIN).await,
            broker.apply(job(), body.clone(), PLAIN).await,
            broker.patch(job(), PatchKind::Merge, body.clone(), PLAIN).await,
        ] {
            assert_eq!(layer(result.unwrap_err()), Layer::Manifest);
        }
    }
    let operation = json!([{"op": "add", "path": "/metadata/finalizers/-", "value": "x"}]);
    assert_eq!(
        layer(broker.patch(job(), PatchKind::Json, operation, PLAIN).await.unwrap_err()),
        Layer::Manifest
    );
    assert!(server.requests().is_empty());

    server.answer(201, &json!({}));
    let broker = server.broker(&[jobs(&["create"]), rule("batch", &["jobs/finalizers"], &["update"])]);
    broker.create(job(), json!({"metadata": {"finalizers": ["x"]}}), PLAIN).await.unwrap();
}

#[tokio::test]
async fn secret_data_cannot_be_copied_to_visible_field() {
    let server = Server::default();
    let broker = server.broker(&[rule("", &["secrets"], &["get", "patch"])]);
    let copy = json!([{"op": "copy", "from": "/data/password", "path": "/metadata/annotations/x"}]);
    let secret = object("", "Secret", "s");
    assert_eq!(
        broker.patch(secret.clone(), PatchKind::Json, copy, PLAIN).await.unwrap_err().code,
        ErrorCode::Invalid
    );
    assert!(server.requests().is_empty());
    server.answer(200, &json!({"metadata": {"resourceVersion": "7"}, "data": {"password": "aHVudGVyMg=="}}));
    server.answer(200, &json!({"data": {"password": "aHVudGVyMg==", "new": "bmV3"}}));
    let answer =
        broker.patch(secret, PatchKind::Merge, json!({"data": {"new": "bmV3"}}), PLAIN).await.unwrap();
    assert_eq!(answer["data"]["password"], "redacted");
}

#[tokio::test]
async fn delete_sends_options_and_refuses_zero_grace_period() {
    let server = Server::default();
    server.answer(200, &json!({}));
    let broker = server.broker(&[jobs(&["delete"])]);
    let options = DeleteOptions {
        dry_run: false,
        propagation: Propagation::Foreground,
        grace_period_seconds: Some(5),
        uid: Some("0a-1b".into()),
    };
    broker.delete(job(), options.clone()).await.unwrap();
    let sent = server.last();
    assert_eq!(
        (sent.method.as_str(), sent.uri.as_str()),
        ("DELETE", "/apis/batch/v1/namespaces/team-a/jobs/mnist")
    );
    assert_eq!(
        sent.body,
        json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground",
               "gracePeriodSeconds": 5, "preconditions": {"uid": "0a-1b"}, "dryRun": []})
    );
    let at_once = DeleteOptions { grace_period_seconds: Some(0), ..options };
    assert_eq!(broker.delete(job(), at_once).await.unwrap_err().code, ErrorCode::Invalid);
}

#[tokio::test]
async fn dry_run_makes_every_write_a_dry_run() {
    let server = Server::default();
    let mut config = server.config(&[jobs(&["get", "create", "patch", "delete"])]);
    config.dry_run = true;
    let broker = Broker::new(config).unwrap();
    let live = json!({"metadata": {"name": "mnist", "resourceVersion": "7"}, "spec": {"n": 1}});
    let absent = status(404, "NotFound", "x");
    // A patch also reads the managers of the fields.
    for (code, reads) in [(404, vec![&absent]), (200, vec![&live]), (200, vec![&live, &live])] {
        reads.into_iter().for_each(|before| server.answer(code, before));
        server.answer(200, &json!({"metadata": {"name": "mnist"}, "spec": {"n": 2}}));
    }
    server.answer(200, &json!({}));
    let created = broker.create(job(), json!({"spec": {"n": 2}}), PLAIN).await.unwrap();
    assert_eq!(
        created["metadata"]["dryRun"], true,
        "the command can see that nothing was created: {created}"
    );
    let applied = broker.apply(job(), json!({"spec": {"n": 2}}), PLAIN).await.unwrap();
    assert_eq!(applied["metadata"]["dryRun"], true);
    let patched = broker.patch(job(), PatchKind::Merge, json!({"spec": {"n": 2}}), PLAIN).await.unwrap();
    assert_eq!(patched["metadata"]["dryRun"], true);
    let options = DeleteOptions {
        dry_run: false,
        propagation: Propagation::Background,
        grace_period_seconds: None,
        uid: None,
    };
    broker.delete(job(), options).await.unwrap();
    for sent in server.sent.lock().unwrap().iter().filter(|s| s.method != "GET") {
        assert!(
            sent.uri.ends_with("&dryRun=All") || sent.body["dryRun"] == json!(["All"]),
            "{} {}",
            sent.method,
            sent.uri
        );
    }
    let changes = broker.changes();
    let headlines: Vec<String> = changes.iter().map(Change::headline).collect();
    assert_eq!(
        headlines,
        [
            "would create job/mnist in team-a",
            "would change job/mnist in team-a",
            "would change job/mnist in team-a",
            "would delete job/mnist in team-a",
        ]
    );
    assert_eq!(changes[1].lines[0].text, "spec.n: 1 → 2");
    assert!(!changes[1].lines[0].by_server);
    let documents: Vec<Value> =
        changes.iter().map(|change| serde_json::from_str(&change.document).unwrap()).collect();
    let after = json!({"metadata": {"name": "mnist"}, "spec": {"n": 2}});
    assert_eq!(documents[..3], [after.clone(), after.clone(), after]);
    let identity = json!({"name": "mnist", "namespace": "team-a"});
    assert_eq!(documents[3], json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": identity}));
}

#[tokio::test]
async fn dry_run_response_is_marked_and_mark_is_never_sent() {
    let server = Server::default();
    let broker = Broker::new(server.config(&[jobs(&["get", "create", "patch"])])).unwrap();
    let answer = json!({"metadata": {"name": "mnist"}, "spec": {"n": 2}});
    server.answer(200, &answer);
    let check = WriteOptions { dry_run: true, force: false };
    let checked = broker.create(job(), json!({"spec": {"n": 2}}), check).await.unwrap();
    assert_eq!(checked, json!({"metadata": {"name": "mnist", "dryRun": true}, "spec": {"n": 2}}));
    server.answer(200, &answer);
    let made = broker.create(job(), checked, PLAIN).await.unwrap();
    assert_eq!(made, answer);
    let sent = server.sent.lock().unwrap();
    assert_eq!(sent.last().unwrap().body["metadata"]["dryRun"], Value::Null, "not a field of the API");
}

#[tokio::test]
async fn dry_run_diff_never_shows_secret_data() {
    let server = Server::default();
    let mut with_data = rule("", &["secrets"], &["get", "patch"]);
    with_data["data"] = json!(true);
    let mut config = server.config(&[with_data]);
    config.dry_run = true;
    let broker = Broker::new(config).unwrap();
    let metadata = |note: &str| json!({"resourceVersion": "7", "annotations": {"note": note}});
    for _ in ["guard", "diff"] {
        server.answer(
            200,
            &json!({"metadata": metadata("b2xk"), "data": {"password": "b2xk", "same": "b2xk"}}),
        );
    }
    let after = json!({"password": "bmV3", "same": "b2xk", "more": "bmV3"});
    server.answer(200, &json!({"metadata": metadata("bmV3"), "data": after}));
    let body = json!({"stringData": {"password": "new", "more": "new"}});
    let answer = broker.patch(object("", "Secret", "s"), PatchKind::Merge, body, PLAIN).await.unwrap();
    assert_eq!(answer["data"]["password"], "bmV3");
    let change = &broker.changes()[0];
    assert_eq!(change.action, Action::Change);
    let lines: Vec<(&str, bool)> = change.lines.iter().map(|l| (l.text.as_str(), l.by_server)).collect();
    assert_eq!(
        lines,
        [
            ("data.more: redacted", false),
            ("data.password: redacted → redacted (changed)", false),
            ("metadata.annotations.note: redacted → redacted (changed)", true),
        ]
    );
}

const SECRET: &str = "aHVudGVyMg==";

/// The API server's response to a patch whose result it cannot decode.
fn undecodable(server: &Server) {
    let words =
        format!("Secret in version \"v1\" cannot be handled: {{\"data\":{{\"password\":\"{SECRET}\"}}}}");
    let mut answer = status(422, "Invalid", &words);
    answer["details"] =
        json!({"causes": [{"field": "patch", "reason": "FieldValueInvalid", "message": words}]});
    server.answer(422, &answer);
}

#[tokio::test]
async fn error_of_write_shows_only_what_grant_allows() {
    let live = json!({"metadata": {"resourceVersion": "7"}});
    let mut shown = rule("", &["secrets"], &["get", "patch"]);
    shown["data"] = json!(true);
    for (kind, rule, expected) in [
        ("Secret", rule("", &["secrets"], &["patch"]), Some(": Invalid")),
        ("Secret", rule("", &["secrets"], &["get", "patch"]), Some(": Invalid")),
        ("ConfigMap", rule("", &["configmaps"], &["patch"]), Some(": Invalid: patch (FieldValueInvalid)")),
        ("ConfigMap", rule("", &["configmaps"], &["get", "patch"]), None),
        ("Secret", shown, None),
    ] {
        let server = Server::default();
        let broker = server.broker(&[rule]);
        server.answer(200, &live);
        undecodable(&server);
        let body = json!({"metadata": {"labels": [1]}});
        let error = broker.patch(object("", kind, "s"), PatchKind::Merge, body, PLAIN).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Invalid);
        assert_eq!(error.message.contains(SECRET), expected.is_none(), "{error}");
        if let Some(end) = expected {
            assert!(error.message.ends_with(end), "{error}");
        }
        // The message is kept for the user, unless it is about a secret.
        let withheld = broker.withheld();
        assert_eq!(withheld.len(), usize::from(kind == "ConfigMap" && expected.is_some()), "{withheld:?}");
    }
}

#[tokio::test]
async fn write_returns_identity_if_grant_shows_no_more() {
    let server = Server::default();
    let broker = server.broker(&[rule("", &["configmaps"], &["create", "patch"])]);
    let map = object("", "ConfigMap", "c");
    let whole = json!({"metadata": {"name": "c", "resourceVersion": "7"}, "data": {"password": SECRET}});
    for answer in [&whole, &whole, &whole] {
        server.answer(200, answer);
    }
    let empty = broker.patch(map.clone(), PatchKind::Merge, json!({}), PLAIN).await.unwrap();
    assert_eq!(empty, json!({"metadata": {"name": "c", "resourceVersion": "7"}}));
    let created = broker.create(map.clone(), json!({"data": {"password": SECRET}}), PLAIN).await.unwrap();
    assert_eq!(created["data"]["password"], SECRET);
    let test = json!([{"op": "test", "path": "/data/password", "value": SECRET}]);
    let error = broker.patch(map, PatchKind::Json, test, PLAIN).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn patch_without_force_cannot_take_over_field() {
    let live = json!({"metadata": {"resourceVersion": "7", "managedFields": [
        {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:n": {}}}}]}, "spec": {"n": 1}});
    let change = json!({"spec": {"n": 2}});
    let operations = json!([{"op": "replace", "path": "/spec/n", "value": 2}]);
    for (kind, body) in
        [(PatchKind::Merge, &change), (PatchKind::Strategic, &change), (PatchKind::Json, &operations)]
    {
        let server = Server::default();
        server.answer(200, &live);
        let broker = server.broker(&[jobs(&["get", "patch"])]);
        let error = broker.patch(job(), kind, body.clone(), PLAIN).await.unwrap_err();
        assert_eq!(
            error.message,
            "train is not allowed to take over spec.n of job mnist in team-a, set by kubectl"
        );
        assert_eq!(error.code, ErrorCode::Forbidden);
        assert_eq!(server.requests().len(), 1);

        let server = Server::default();
        server.answer(200, &json!({}));
        let mut rule = jobs(&["get", "patch"]);
        rule["force"] = json!(true);
        server.broker(&[rule]).patch(job(), kind, body.clone(), PLAIN).await.unwrap();
        assert_eq!(&server.last().body, body);
    }
}

#[tokio::test]
async fn scale_without_force_cannot_take_over_replicas() {
    let scale = |kind: &str| ObjectRef { subresource: Some("scale".into()), ..object("apps", kind, "web") };
    let rules = || [rule("apps", &["deployments", "deployments/scale"], &["get", "patch"])];
    let change = json!({"spec": {"replicas": 0}});
    let owned =
        json!([{"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
    // Without a field of that name, only the definition of the kind determines what `scale` changes.
    for spec in [json!({"replicas": 3}), json!({"workers": 3}), json!({})] {
        let server = Server::default();
        server.answer(
            200,
            &json!({"metadata": {"resourceVersion": "7", "managedFields": owned}, "spec": spec}),
        );
        let broker = server.broker(&rules());
        let error =
            broker.patch(scale("Deployment"), PatchKind::Merge, change.clone(), PLAIN).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Forbidden, "{spec}");
        assert!(error.message.contains("take over spec.replicas of "), "{error}");
        assert_eq!(server.requests(), ["GET /apis/apps/v1/namespaces/team-a/deployments/web"]);
    }
}

#[tokio::test]
async fn right_to_log_or_session_does_not_show_messages_about_pod() {
    for (verbs, shown) in [(&[][..], false), (&["list"], true), (&["get"], true)] {
        let mut rules = vec![rule("", &["pods/exec", "pods/log"], &["get", "create"])];
        if !verbs.is_empty() {
            rules.push(rule("", &["pods"], verbs));
        }
        let server = Server::default();
        let broker = server.broker(&rules);
        let words = "a container name must be specified for pod web, choose one of: [hunter2]";
        server.answer(400, &status(400, "BadRequest", words));
        let error = broker.log(None, "web".into(), kf_core::api::LogOptions::default()).await.err().unwrap();
        assert_eq!(error.message.contains("hunter2"), shown, "{verbs:?}: {error}");
        assert_eq!(broker.withheld().is_empty(), shown);
    }
}

#[tokio::test]
async fn patch_is_bound_to_version_that_was_read() {
    let server = Server::default();
    let broker = server.broker(&[jobs(&["get", "patch"])]);
    let change = json!({"spec": {"n": 2}});
    let conflict = status(409, "Conflict", "the object has been modified");
    for version in ["7", "8"] {
        server.answer(200, &json!({"metadata": {"resourceVersion": version}}));
        if version == "7" {
            server.answer(409, &conflict);
        }
    }
    server.answer(200, &json!({}));
    broker.patch(job(), PatchKind::Merge, change.clone(), PLAIN).await.unwrap();
    assert_eq!(server.last().body["metadata"]["resourceVersion"], "8");
    for _ in 0..5 {
        server.answer(200, &json!({"metadata": {"resourceVersion": "7"}}));
        server.answer(409, &conflict);
    }
    let error = broker.patch(job(), PatchKind::Merge, change.clone(), PLAIN).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    server.answer(200, &json!({"metadata": {"resourceVersion": "7"}}));
    let meant = json!({"metadata": {"resourceVersion": "6"}});
    let error = broker.patch(job(), PatchKind::Merge, meant, PLAIN).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    for absent in [json!({}), json!({"metadata": {"resourceVersion": 7}})] {
        server.answer(200, &absent);
        let error = broker.patch(job(), PatchKind::Merge, change.clone(), PLAIN).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Internal);
    }
}

#[tokio::test]
async fn patch_is_not_sent_if_object_cannot_be_read() {
    let server = Server::default();
    let broker = server.broker(&[jobs(&["get", "patch"])]);
    server.answer(403, &status(403, "Forbidden", "User \"vic\" cannot get resource \"jobs\""));
    let error = broker.patch(job(), PatchKind::Merge, json!({"spec": {"n": 2}}), PLAIN).await.unwrap_err();
    assert_eq!(layer(error), Layer::Rbac);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn write_with_read_only_is_refused() {
    let server = Server::default();
    let mut config = server.config(&[jobs(&["create", "delete"])]);
    config.grants.run.read_only = true;
    let broker = Broker::new(config).unwrap();
    assert_eq!(layer(broker.create(job(), json!({}), PLAIN).await.unwrap_err()), Layer::Run);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn denial_of_authorizer_is_refusal_of_rbac_layer() {
    let server = Server::default();
    server.answer(
        403,
        &status(
            403,
            "Forbidden",
            "jobs.batch is forbidden: User \"alice\" cannot create resource \"jobs\" in API group \"batch\" \
             in the namespace \"team-a\"",
        ),
    );
    let broker = server.broker(&[jobs(&["create"])]);
    let error = broker.create(job(), json!({}), PLAIN).await.unwrap_err();
    assert_eq!(error.message, "you are not allowed to create jobs.batch in team-a");
    assert_eq!(layer(error), Layer::Rbac);
}

/// Refusals that are not decided by a single layer are logged too, and count against the budget.
#[tokio::test]
async fn audit_log_has_every_kind_of_refusal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit");
    let server = Server::default();
    let mut config = server.config(&[rule("", &["secrets", "configmaps"], &["get", "patch", "create"])]);
    config.audit = Some(AuditLog::named(&path).unwrap());
    config.budgets.refusals = 2;
    let broker = Broker::new(config).unwrap();
    let copy = json!([{"op": "copy", "from": "/data/password", "path": "/metadata/annotations/x"}]);
    let force = WriteOptions { force: true, ..PLAIN };
    let _ = broker.patch(object("", "Secret", "s"), PatchKind::Json, copy.clone(), PLAIN).await.unwrap_err();
    let _ = broker.apply(object("", "ConfigMap", "c"), json!({}), force).await.unwrap_err();
    let error = broker.patch(object("", "Secret", "s"), PatchKind::Json, copy, PLAIN).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Budget);
    let text = fs_err::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let logged: Vec<_> = lines.iter().map(|line| (line["stage"].as_str(), line["name"].as_str())).collect();
    assert_eq!(logged, [(Some("refused"), Some("s")), (Some("refused"), Some("c"))]);
    assert!(server.requests().is_empty());
}
