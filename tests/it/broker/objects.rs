//! Reading: get, list, watch, discovery, identity.

use futures_util::StreamExt as _;
use kf_core::api::{
    AccessQuestion, DeleteOptions, ErrorCode, EventKind, KubeApi as _, LogOptions, Propagation, Selection,
};

use super::*;
use crate::common::TIMEOUT;

const DELETE: DeleteOptions = DeleteOptions {
    dry_run: false,
    propagation: Propagation::Background,
    grace_period_seconds: None,
    uid: None,
};

#[tokio::test]
async fn train_job_is_applied_read_and_deleted() {
    let namespace = TestNamespace::new(cluster(), "round trip").unwrap();
    let broker = broker(&namespace, User::DataScientist, &everything());
    let job = object(TRAINER, "TrainJob", "mnist");
    let body = json!({"spec": {"runtimeRef": {"name": "kf-test"}}});
    broker.apply(job.clone(), body, PLAIN).await.unwrap();
    let got = broker.get(job.clone()).await.unwrap();
    assert_eq!(got["metadata"]["namespace"], namespace.name());
    assert_eq!(got["spec"]["runtimeRef"]["kind"], "ClusterTrainingRuntime");
    assert!(got["metadata"].get("managedFields").is_none());

    // The host sets the field manager, not the guest.
    let admin = connection(&namespace, User::Admin).client().await.unwrap();
    let path = format!("/apis/{TRAINER}/v1alpha1/namespaces/{}/trainjobs/mnist", namespace.name());
    let raw: Value = admin.request(http::Request::get(path).body(Vec::new()).unwrap()).await.unwrap();
    assert_eq!(raw["metadata"]["managedFields"][0]["manager"], "kf-probe");

    broker.delete(job.clone(), DELETE).await.unwrap();
    let error = broker.get(job).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(error.message, format!("trainjob mnist in {} not found", namespace.name()));
    let calls = broker.calls();
    assert!(calls.iter().filter(|c| c.verb != "discover").all(|c| c.rule == Some(3)), "{calls:?}");
}

#[tokio::test]
async fn pages_cover_the_whole_list() {
    let namespace = TestNamespace::new(cluster(), "pages").unwrap();
    let broker = broker(&namespace, User::DataScientist, &everything());
    let mut expected: Vec<String> = (0..7).map(|n| format!("part-{n}")).collect();
    for name in &expected {
        broker
            .create(config_map(name), json!({"metadata": {"labels": {"part": "yes"}}}), PLAIN)
            .await
            .unwrap();
    }
    let parts = Selection { label_selector: Some("part in (yes)".into()), ..all("", "ConfigMap") };
    let (mut names, mut token, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = broker.list(parts.clone(), Some(3), token).await.unwrap();
        pages += 1;
        for item in &page.items {
            let item = item.value().unwrap();
            assert_eq!((&item["kind"], &item["apiVersion"]), (&json!("ConfigMap"), &json!("v1")));
            names.push(item["metadata"]["name"].as_str().unwrap().to_owned());
        }
        token = page.continue_token;
        if token.is_none() {
            break;
        }
    }
    names.sort();
    expected.sort();
    assert_eq!((names, pages), (expected, 3));
}

#[tokio::test]
async fn watch_reports_changes_since_list() {
    let namespace = TestNamespace::new(cluster(), "watch").unwrap();
    let broker = broker(&namespace, User::DataScientist, &everything());
    let marked = Selection { label_selector: Some("mine".into()), ..all("", "ConfigMap") };
    let from = broker.list(marked.clone(), None, None).await.unwrap().resource_version;
    let mut events = broker.watch(marked, from).await.unwrap();
    let labelled = json!({"metadata": {"labels": {"mine": "1"}}});
    broker.create(config_map("a"), labelled.clone(), PLAIN).await.unwrap();
    broker.create(config_map("not-mine"), json!({}), PLAIN).await.unwrap();
    let body = json!({"metadata": {"labels": {"mine": "1"}}, "data": {"x": "y"}});
    broker.apply(config_map("a"), body, PLAIN).await.unwrap();
    broker.delete(config_map("a"), DELETE).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let event = tokio::time::timeout(TIMEOUT, events.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(event.object["metadata"]["name"], "a");
        assert!(event.object["metadata"].get("managedFields").is_none());
        seen.push(event.kind);
    }
    assert_eq!(seen, [EventKind::Added, EventKind::Modified, EventKind::Deleted]);
}

#[tokio::test]
async fn watch_from_compacted_version_is_expired() {
    let namespace = TestNamespace::new(cluster(), "expired").unwrap();
    let broker = broker(&namespace, User::DataScientist, &everything());
    // The definition of train jobs was stored long after version 1.
    let error = match broker.watch(all(TRAINER, "TrainJob"), "1".into()).await {
        Err(error) => error,
        Ok(mut events) => {
            let first = tokio::time::timeout(TIMEOUT, events.next()).await;
            first.unwrap().unwrap().unwrap_err()
        }
    };
    assert_eq!(error.code, ErrorCode::Expired, "{error}");
}

#[tokio::test]
async fn log_of_pending_pod_is_empty() {
    let namespace = TestNamespace::new(cluster(), "log").unwrap();
    let broker = broker(&namespace, User::DataScientist, &everything());
    let log = async |container: &str| {
        let options = LogOptions { container: Some(container.into()), ..LogOptions::default() };
        broker.log(None, "web".into(), options).await
    };
    let missing = log("web").await.err().unwrap();
    assert_eq!(missing.code, ErrorCode::NotFound);
    assert_eq!(missing.message, format!("pod web in {} not found", namespace.name()));
    // No node has this label, so that the pod stays pending on clusters with nodes too.
    let spec = json!({"containers": [{"name": "web", "image": "kf.test/none:1"}],
                      "nodeSelector": {"kf-test": "nowhere"}});
    broker.create(object("", "Pod", "web"), json!({"spec": spec}), PLAIN).await.unwrap();
    assert!(log("web").await.unwrap().next().await.is_none());
    let error = log("other").await.err().unwrap();
    assert_eq!(error.code, ErrorCode::Invalid);
    assert!(error.message.contains("container other is not valid"), "{error}");
}

#[tokio::test]
async fn whoami_can_i_and_discover_report_server_state() {
    let namespace = TestNamespace::new(cluster(), "who").unwrap();
    let reviews = [
        rule("authentication.k8s.io", &["selfsubjectreviews"], &["create"]),
        rule("authorization.k8s.io", &["selfsubjectaccessreviews"], &["create"]),
    ];
    let broker = broker(&namespace, User::Viewer, &reviews);
    let me = broker.whoami().await.unwrap();
    assert_eq!(me.username, "vic");
    assert!(me.groups.contains(&"system:authenticated".to_owned()));
    assert!(me.expires.is_some());
    let question = |verb: &str, resource: &str| AccessQuestion {
        verb: verb.into(),
        group: String::new(),
        resource: resource.into(),
        namespace: None,
        name: None,
    };
    let questions = vec![question("get", "pods/log"), question("create", "pods"), question("get", "secrets")];
    let verdicts = broker.can_i(questions).await.unwrap();
    assert_eq!(verdicts.iter().map(|v| v.allowed).collect::<Vec<_>>(), [true, false, false]);
    let served = broker.discover(TRAINER.into()).await.unwrap();
    let job = served.iter().find(|k| k.kind == "TrainJob").unwrap();
    assert_eq!((job.plural.as_str(), job.namespaced), ("trainjobs", true));
    let runtime = served.iter().find(|k| k.kind == "ClusterTrainingRuntime").unwrap();
    assert!(!runtime.namespaced);
    assert!(broker.discover("absent.example".into()).await.unwrap().is_empty());
}
