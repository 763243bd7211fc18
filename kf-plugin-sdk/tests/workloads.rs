//! Finding a workload by name, its pods, and the pod to use.

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;
use kf_plugin_sdk::workloads::{State, Workload, WorkloadKind, complete_workload};
use serde_json::{Value, json};

/// Serves all kinds of the catalogue except workspaces and Spark applications.
fn cluster() -> FakeHost {
    let host = FakeHost::new("team-a");
    let absent = [WorkloadKind::Pod, WorkloadKind::Workspace, WorkloadKind::SparkApplication];
    for kind in WorkloadKind::ALL.into_iter().filter(|kind| !absent.contains(kind)) {
        host.serve(kind.group(), "v1", &kind.kind().kind, kind.resource());
    }
    host.change_context(|context| context.command = "logs".into());
    host
}

fn object(kind: WorkloadKind, name: &str) -> Value {
    let group = kind.group();
    let version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
    json!({ "apiVersion": version, "kind": kind.kind().kind, "metadata": { "name": name } })
}

fn owned_by(kind: WorkloadKind, name: &str, object: Value) -> Value {
    let mut object = Object::from(object);
    let owner = json!([{ "kind": kind.kind().kind, "name": name, "controller": true }]);
    object.set("/metadata/ownerReferences", owner);
    object.into_value()
}

fn pod(name: &str, labels: Value, containers: &[&str]) -> Value {
    let containers: Vec<_> = containers.iter().map(|name| json!({ "name": name })).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "labels": labels, "creationTimestamp": "2026-01-01T11:59:00Z" },
        "spec": { "containers": containers },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    })
}

#[test]
fn name_without_kind_finds_only_match() {
    let host = cluster();
    host.put(object(WorkloadKind::Notebook, "desk"));
    host.put(owned_by(WorkloadKind::Notebook, "desk", object(WorkloadKind::StatefulSet, "desk")));
    let found = Workload::find(&host.kf(), "desk").unwrap();
    assert_eq!(found.to_string(), "notebook/desk");
    let part = Workload::find(&host.kf(), "sts/desk").unwrap();
    assert_eq!(part.kind, WorkloadKind::StatefulSet);
}

#[test]
fn owned_object_is_found_by_its_own_name() {
    let host = cluster();
    host.put(owned_by(WorkloadKind::Experiment, "sweep", object(WorkloadKind::Trial, "sweep-x1")));
    host.put(owned_by(WorkloadKind::Trial, "sweep-x1", object(WorkloadKind::PyTorchJob, "sweep-x1")));
    assert_eq!(Workload::find(&host.kf(), "sweep-x1").unwrap().to_string(), "trial/sweep-x1");
}

#[test]
fn ambiguous_name_is_refused_with_choices() {
    let host = cluster();
    host.put(object(WorkloadKind::TrainJob, "mnist"));
    host.put(object(WorkloadKind::InferenceService, "mnist"));
    let error = Workload::find(&host.kf(), "mnist").unwrap_err();
    let choices = "`mnist` is ambiguous: trainjob/mnist or inferenceservice/mnist";
    assert_eq!(error, Error::invalid(choices).hint("kf logs trainjob/mnist"));
    assert_eq!(Workload::find(&host.kf(), "isvc/mnist").unwrap().kind, WorkloadKind::InferenceService);
    let only = [WorkloadKind::InferenceService];
    assert_eq!(Workload::find_among(&host.kf(), "mnist", &only).unwrap().kind, only[0]);
    let error = Workload::find_among(&host.kf(), "trainjob/mnist", &only).unwrap_err();
    assert_eq!(error.message, "unsupported kind `trainjob`; expected one of inferenceservice");
}

#[test]
fn forbidden_kinds_are_skipped_and_named_if_nothing_is_found() {
    let host = cluster();
    host.cluster(|cluster| {
        cluster.deny("get", "kubeflow.org", "experiments");
        cluster.deny("get", "jobset.x-k8s.io", "jobsets");
    });
    host.put(object(WorkloadKind::Deployment, "web"));
    assert_eq!(Workload::find(&host.kf(), "web").unwrap().to_string(), "deployment/web");
    let error = Workload::find(&host.kf(), "sweep").unwrap_err();
    let message = "no workload `sweep` in team-a; skipped (no permission to get): experiments";
    assert_eq!(error, Error::not_found(message).hint("kf status"));
    assert_eq!(Workload::find(&host.kf(), "experiment/sweep").unwrap_err().code, ErrorCode::Forbidden);
}

#[test]
fn find_without_access_to_pods_is_forbidden() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("get", "", "pods"));
    assert_eq!(Workload::find(&host.kf(), "mnist").unwrap_err().code, ErrorCode::Forbidden);
}

#[test]
fn missing_object_differs_from_kind_that_is_not_served() {
    let kf = cluster().kf();
    let nothing = |words| Workload::find(&kf, words).unwrap_err();
    let hint = "kf status";
    assert_eq!(nothing("mnist"), Error::not_found("no workload `mnist` in team-a").hint(hint));
    assert_eq!(nothing("job/mnist"), Error::not_found("no job `mnist` in team-a").hint(hint));
    assert_eq!(nothing("workspace/mnist").message, "the cluster does not serve Workspace.kubeflow.org");
    assert_eq!(nothing("cronjob/mnist").code, ErrorCode::Invalid);
}

#[test]
fn unreadable_kind_is_not_reported_as_missing() {
    let host = cluster();
    let down = Error::new(ErrorCode::Unreachable, "the API server does not answer");
    host.cluster(|cluster| cluster.fail("get", "Tensorboard", down.clone()));
    let message =
        "no workload `mnist` found in team-a; skipped: TensorBoards (the API server does not answer)";
    let error = Error::new(ErrorCode::Unreachable, message);
    assert_eq!(Workload::find(&host.kf(), "mnist").unwrap_err(), error);
    assert_eq!(Workload::find(&host.kf(), "tensorboard/mnist").unwrap_err(), down);
}

#[test]
fn pods_and_main_container_are_found_for_each_kind() {
    let serving = |name| json!({ "serving.kserve.io/inferenceservice": name });
    let legacy = json!({ "training.kubeflow.org/job-name": "old" });
    let cases = [
        (WorkloadKind::InferenceService, "iris", serving("iris"), &["proxy", "kserve-container"][..], 1),
        (WorkloadKind::Notebook, "desk", json!({ "notebook-name": "desk" }), &["istio-proxy", "desk"], 1),
        (WorkloadKind::PyTorchJob, "old", legacy, &["pytorch", "log"], 0),
        (WorkloadKind::Tensorboard, "board", json!({ "app": "board" }), &["tensorboard"], 0),
        (WorkloadKind::Job, "prep", json!({ "batch.kubernetes.io/job-name": "prep" }), &["agent", "main"], 1),
    ];
    let host = cluster();
    host.put(pod("stranger", json!({ "app": "stranger" }), &["main"]));
    for (kind, name, labels, containers, works) in cases {
        host.put(object(kind, name));
        host.put(pod(&format!("{name}-0"), labels, containers));
        let component = Workload::find(&host.kf(), &format!("{kind}/{name}")).unwrap();
        let pods = component.pods(&host.kf()).unwrap();
        assert_eq!(pods.iter().map(Object::name).collect::<Vec<_>>(), [format!("{name}-0")]);
        assert_eq!(component.default_container(&pods[0]).as_deref(), Some(containers[works]), "{kind}");
        let error = component.container(&pods[0], Some("nope")).unwrap_err();
        assert!(error.message.contains("has no container `nope`; it has "), "{error}");
    }
}

#[test]
fn pods_of_deployment_match_selector() {
    let host = cluster();
    let mut web = object(WorkloadKind::Deployment, "web");
    web["spec"] = json!({ "selector": { "matchLabels": { "app": "web", "tier": "front" } } });
    host.put(web);
    host.put(object(WorkloadKind::Deployment, "none"));
    host.put(pod("web-1", json!({ "app": "web", "tier": "front" }), &["main"]));
    host.put(pod("web-2", json!({ "app": "web" }), &["main"]));
    let pods = |name| Workload::find(&host.kf(), name).unwrap().pods(&host.kf()).unwrap();
    assert_eq!(pods("web").iter().map(Object::name).collect::<Vec<_>>(), ["web-1"]);
    assert!(pods("none").is_empty(), "no selector is not every pod");
}

#[test]
fn pods_of_earlier_object_of_same_name_are_ignored() {
    let host = cluster();
    let mut desk = object(WorkloadKind::Notebook, "desk");
    desk["metadata"]["creationTimestamp"] = "2026-01-01T11:59:30Z".into();
    host.put(desk);
    host.put(pod("desk-0", json!({ "notebook-name": "desk" }), &["desk"]));
    let component = Workload::find(&host.kf(), "desk").unwrap();
    assert!(component.pods(&host.kf()).unwrap().is_empty());
}

#[test]
fn pick_pod_without_running_pod_shows_reason() {
    let host = cluster();
    host.put(object(WorkloadKind::Notebook, "desk"));
    let component = Workload::find(&host.kf(), "desk").unwrap();
    host.put(json!({
        "apiVersion": "v1", "kind": "Event", "metadata": { "name": "e" }, "type": "Warning",
        "involvedObject": { "kind": "Notebook", "name": "desk" }, "reason": "FailedCreate",
        "message": "exceeded quota: compute",
    }));
    let error = component.pick_pod(&host.kf()).unwrap_err();
    let message = "notebook/desk has no running pod (pending): exceeded quota: compute";
    assert_eq!(error, Error::failed(message).hint("kf status notebook/desk"));
    assert_eq!(component.verdict(&host.kf()).unwrap().state, State::Pending);

    host.put(pod("desk-0", json!({ "notebook-name": "desk" }), &["desk"]));
    assert_eq!(component.pick_pod(&host.kf()).unwrap().name(), "desk-0");
}

#[test]
fn pod_is_picked_by_rank() {
    let host = cluster();
    host.put(object(WorkloadKind::TrainJob, "mnist"));
    for rank in ["0", "1"] {
        let labels = json!({
            "jobset.sigs.k8s.io/jobset-name": "mnist", "jobset.sigs.k8s.io/replicatedjob-name": "node",
            "batch.kubernetes.io/job-completion-index": rank,
        });
        host.put(pod(&format!("mnist-node-0-{rank}"), labels, &["node"]));
    }
    let component = Workload::find(&host.kf(), "mnist").unwrap();
    assert_eq!(component.pick_pod(&host.kf()).unwrap().name(), "mnist-node-0-0", "the lowest of equals");
    assert_eq!(component.pick_rank(&host.kf(), Some(1)).unwrap().name(), "mnist-node-0-1");
    let error = component.pick_rank(&host.kf(), Some(7)).unwrap_err();
    assert_eq!(error.message, "trainjob/mnist has no pod of rank 7");
}

#[test]
fn completion_offers_workloads_without_owner() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("list", "kubeflow.org", "experiments"));
    host.put(object(WorkloadKind::TrainJob, "mnist"));
    host.put(owned_by(WorkloadKind::TrainJob, "mnist", object(WorkloadKind::JobSet, "mnist")));
    host.put(object(WorkloadKind::Deployment, "model"));
    host.put(object(WorkloadKind::InferenceService, "model"));
    host.put(object(WorkloadKind::Deployment, "web"));
    let complete = |word: &str| -> Vec<String> {
        let request = CompletionRequest { words: vec![word.to_owned()], argument: "name".into() };
        let candidates = complete_workload(&request, &host.kf()).unwrap();
        candidates.into_iter().map(|candidate| candidate.value).collect()
    };
    assert_eq!(complete("m"), ["mnist", "inferenceservice/model", "deployment/model"]);
    assert_eq!(complete("jobset/"), ["jobset/mnist"]);
    assert_eq!(complete("nothing"), [""; 0]);
}

#[test]
fn served_short_name_is_expanded() {
    let host = cluster();
    host.cluster(|cluster| cluster.serve_short_name("TrainJob", "tj"));
    host.put(object(WorkloadKind::TrainJob, "mnist"));
    let find = |words: &str| Workload::find(&host.kf(), words).map(|component| component.to_string());
    assert_eq!(find("tj/mnist"), Ok("trainjob/mnist".to_owned()));
    assert_eq!(find("TJ/mnist"), Ok("trainjob/mnist".to_owned()));
    // Names of the catalogue work without the server; unknown ones are refused.
    host.put(object(WorkloadKind::InferenceService, "iris"));
    assert_eq!(find("isvc/iris"), Ok("inferenceservice/iris".to_owned()));
    assert_eq!(find("tj/absent").unwrap_err().message, "no trainjob `absent` in team-a");
    assert!(find("exp/mnist").unwrap_err().message.starts_with("unknown kind `exp`"));
    let request = CompletionRequest { words: vec!["tj/m".to_owned()], argument: "name".into() };
    let candidates = complete_workload(&request, &host.kf()).unwrap();
    // The typed kind is kept.
    assert_eq!(candidates.into_iter().map(|found| found.value).collect::<Vec<_>>(), ["tj/mnist"]);
}
