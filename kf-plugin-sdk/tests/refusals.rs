//! The fake host refuses what kf refuses, so that native tests catch it.

use kf_plugin_sdk::abi::{DeleteOptions, PatchKind, WriteOptions};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;
use kf_plugin_sdk::{Access, Port};
use serde_json::{Value, json};

const JOBS: &str = r#"
[plugin]
name = "jobs"

[[permissions.kubernetes]]
apiGroups = ["batch"]
resources = ["jobs"]
verbs = ["get", "list", "create", "patch", "delete"]
optional = true

[[permissions.kubernetes]]
apiGroups = [""]
resources = ["secrets"]
verbs = ["get"]
resourceNames = ["token"]

[[permissions.kubernetes]]
apiGroups = [""]
resources = ["pods/exec"]
verbs = ["create"]
"#;

fn host(manifest: &str) -> FakeHost {
    let host = FakeHost::new("team-a");
    host.serve("batch", "v1", "Job", "jobs");
    host.serve("", "v1", "Secret", "secrets");
    host.serve_cluster("", "v1", "Node", "nodes");
    host.put(job("mnist"));
    host.put(json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web" } }));
    for name in ["token", "other"] {
        host.put(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "data": { "password": "c2VjcmV0" },
        }));
    }
    host.manifest(manifest);
    host
}

fn job(name: &str) -> Value {
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name } })
}

#[track_caller]
#[expect(clippy::unwrap_used, reason = "what is not refused fails the test")]
fn refused<T: std::fmt::Debug>(answer: Result<T>, code: ErrorCode) -> String {
    let error = answer.unwrap_err();
    assert_eq!(error.code, code, "{error}");
    error.message
}

#[test]
fn call_without_rule_is_forbidden() {
    let kf = host(JOBS).kf();
    let jobs = kf.api("batch/Job");
    assert_eq!(jobs.list().unwrap().len(), 1);
    jobs.apply(&job("mnist").into()).unwrap();
    let message = refused(kf.api("Pod").list(), ErrorCode::Forbidden);
    assert_eq!(message, "the manifest has no rule for `list pods` in team-a");
    refused(jobs.watch("0").map(drop), ErrorCode::Forbidden);
    refused(kf.log("web").open().map(drop), ErrorCode::Forbidden);
    refused(kf.forward_ports("web", &[Port { local: 0, remote: 80 }]).map(drop), ErrorCode::Forbidden);
    refused(kf.selected(), ErrorCode::Forbidden);
    refused(kf.whoami(), ErrorCode::Forbidden);
    refused(kf.can_i(&[Access::new("list", "", "pods")]), ErrorCode::Forbidden);
    assert!(
        kf.can_i(&[Access::new("list", "batch", "jobs")]).unwrap()[0].allowed,
        "the command itself has that permission"
    );
}

#[test]
fn rule_is_limited_to_its_scope_and_names() {
    let kf = host(JOBS).kf();
    let elsewhere = kf.api("batch/Job").in_namespace("team-b");
    assert_eq!(
        refused(elsewhere.list(), ErrorCode::Forbidden),
        "the manifest has no rule for `list jobs.batch` in team-b"
    );
    refused(kf.api("batch/Job").everywhere().list(), ErrorCode::Forbidden);
    refused(kf.api("Secret").get("other"), ErrorCode::Forbidden);
    let wide = JOBS.replace("optional = true", "scope = \"cluster\"");
    let kf = host(&wide).kf();
    assert_eq!(kf.api("batch/Job").everywhere().list().unwrap().len(), 1);
}

#[test]
fn data_of_secrets_is_redacted_without_data_permission() {
    let password = |manifest: &str| {
        let secret = host(manifest).kf().api("Secret").get("token").unwrap();
        secret.str("/data/password").unwrap().to_owned()
    };
    assert_eq!(password(JOBS), "redacted");
    assert_eq!(password(&JOBS.replace("[\"token\"]", "[\"token\"]\ndata = true")), "c2VjcmV0");
}

#[test]
fn session_needs_both_verbs_and_no_dry_run() {
    let command = ["true".to_owned()];
    let start = |host: &FakeHost| host.kf().session("web").start(&command).map(drop);
    refused(start(&host(JOBS)), ErrorCode::Forbidden);
    let host = host(&JOBS.replace("[\"create\"]", "[\"get\", \"create\"]"));
    assert_eq!(start(&host), Ok(()));
    refused(host.kf().session("web").start(&[]).map(drop), ErrorCode::Invalid);
    refused(host.kf().session("web").tty(true).start(&command).map(drop), ErrorCode::Invalid);
    host.change_context(|context| context.dry_run = true);
    refused(start(&host), ErrorCode::Invalid);
}

#[test]
fn body_that_does_not_match_request_is_invalid() {
    let kf = host(JOBS).kf();
    let jobs = kf.api("batch/Job");
    for (pointer, value) in [
        ("/kind", "Pod"),
        ("/apiVersion", "apps/v1"),
        ("/metadata/namespace", "team-b"),
        ("/metadata/generateName", "x-"),
    ] {
        let mut body = Object::from(job("new"));
        body.set(pointer, value);
        refused(jobs.create(&body), ErrorCode::Invalid);
        refused(jobs.apply(&body), ErrorCode::Invalid);
    }
    let mut old = Object::from(job("new"));
    old.set("/apiVersion", "batch/v1beta1");
    refused(jobs.create(&old), ErrorCode::NotFound);
    refused(jobs.merge("mnist", &json!({ "metadata": { "name": "other" } })), ErrorCode::Invalid);
    refused(jobs.get("../secrets/token"), ErrorCode::Invalid);
    refused(jobs.get_subresource("mnist", "proxy"), ErrorCode::Invalid);
}

#[test]
fn owners_and_status_need_their_own_rules() {
    let kf = host(JOBS).kf();
    let jobs = kf.api("batch/Job");
    let owned = json!({ "metadata": { "ownerReferences": [] } });
    let message = refused(jobs.merge("mnist", &owned), ErrorCode::Forbidden);
    assert!(message.contains("`update jobs.batch/finalizers`"), "{message}");
    refused(jobs.merge("mnist", &json!({ "status": {} })), ErrorCode::Forbidden);
    let forced = WriteOptions { force: true, ..WriteOptions::default() };
    refused(jobs.apply_with(&job("mnist").into(), forced), ErrorCode::Forbidden);
    let patch = json!({ "spec": { "suspend": true } });
    jobs.patch("mnist", PatchKind::Merge, &patch, WriteOptions::default()).unwrap();
}

#[test]
fn write_with_outdated_resource_version_conflicts() {
    let kf = host(JOBS).kf();
    let jobs = kf.api("batch/Job");
    let read = jobs.get("mnist").unwrap();
    jobs.merge("mnist", &json!({ "spec": { "suspend": true } })).unwrap();
    let version = json!({ "metadata": { "resourceVersion": read.str("/metadata/resourceVersion") } });
    refused(jobs.merge("mnist", &version), ErrorCode::Conflict);
    refused(jobs.apply(&read), ErrorCode::Conflict);
}

#[test]
fn strategic_patch_of_custom_resource_is_invalid() {
    let host = FakeHost::new("team-a");
    host.serve("kubeflow.org", "v1", "Notebook", "notebooks");
    host.put(json!({ "apiVersion": "kubeflow.org/v1", "kind": "Notebook", "metadata": { "name": "desk" } }));
    let notebooks = host.kf().api("kubeflow.org/Notebook");
    let patch = json!({ "spec": {} });
    let patched = notebooks.patch("desk", PatchKind::Strategic, &patch, WriteOptions::default());
    refused(patched, ErrorCode::Invalid);
}

#[test]
fn delete_with_other_uid_conflicts() {
    let kf = host(JOBS).kf();
    let jobs = kf.api("batch/Job");
    let earlier = DeleteOptions { uid: Some("of-an-earlier-one".into()), ..DeleteOptions::default() };
    refused(jobs.delete_with("mnist", &earlier), ErrorCode::Conflict);
    jobs.delete("mnist").unwrap();
}

#[test]
fn selectors_match_api_server() {
    let host = host(JOBS);
    for (name, size) in [("small", "2"), ("large", "4")] {
        let mut sized = Object::from(job(name));
        sized.set("/metadata/labels", json!({ "size": size }));
        host.put(sized.into_value());
    }
    let jobs = host.kf().api("batch/Job");
    let selected = |labels: &str| -> Vec<String> {
        let found = jobs.clone().labels(labels).list().unwrap();
        found.iter().map(|job| job.name().to_owned()).collect()
    };
    assert_eq!(selected("size>3"), ["large"]);
    assert_eq!(selected("size!=4"), ["mnist", "small"]);
    assert_eq!(selected("size notin (2)"), ["large", "mnist"]);
    for invalid in ["size>x", "size in 2", "a b", "size=2,"] {
        refused(jobs.clone().labels(invalid).list(), ErrorCode::Invalid);
    }
    refused(jobs.clone().fields("spec.priority=1").list(), ErrorCode::Invalid);
    refused(jobs.clone().fields("status.phase").watch("0").map(drop), ErrorCode::Invalid);
}

#[test]
fn built_in_kinds_are_served_by_default() {
    let host = FakeHost::new("team-a");
    assert_eq!(host.kf().api("apps/Deployment").list().unwrap(), []);
    refused(host.kf().api("apps/Deployment").get("web"), ErrorCode::NotFound);
    refused(host.kf().api("kubeflow.org/Notebook").list(), ErrorCode::NotFound);
}

#[test]
fn invalid_access_question_is_refused() {
    let kf = host(JOBS).kf();
    refused(kf.can_i(&[Access::new("read", "", "pods/log/x")]), ErrorCode::Invalid);
    refused(kf.can_i(&[Access::new("*", "", "pods")]), ErrorCode::Invalid);
}

#[test]
#[should_panic(expected = "unknown variant `fetch`")]
fn manifest_with_unknown_verb_is_refused() {
    host(&JOBS.replace("\"list\"", "\"fetch\""));
}

#[test]
#[should_panic(expected = "wildcard")]
fn manifest_with_wildcard_is_refused() {
    host(&JOBS.replace("\"pods/exec\"", "\"*\""));
}

#[test]
#[should_panic(expected = "unknown field")]
fn manifest_with_unknown_field_is_refused() {
    host("[[permissions.kubernetes]]\napiGroups = []\nresources = []\nverbs = []\nscoep = \"cluster\"\n");
}

#[test]
fn session_on_terminal_needs_permission() {
    const EXEC: &str = r#"
[[permissions.kubernetes]]
apiGroups = [""]
resources = ["pods/exec", "pods/attach"]
verbs = ["get", "create"]
"#;
    let host = host(EXEC);
    let kf = host.kf();
    let command = ["sh".to_owned()];
    for (stdin, tty) in [(false, false), (true, false), (false, true), (true, true)] {
        let session = kf.session("web").stdin(stdin).tty(tty);
        for answer in [session.exec(&command), session.attach()] {
            assert!(refused(answer, ErrorCode::Forbidden).contains("terminal = true"));
        }
    }
    assert!(kf.session("web").start(&command).is_ok(), "no terminal is involved");
    host.manifest(&format!("[permissions]\nterminal = true\n{EXEC}"));
    assert_eq!(kf.session("web").stdin(true).tty(true).exec(&command), Ok(0));
}
