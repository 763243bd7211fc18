//! `kf serve`: changes in the cluster, and output.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, too")]

mod controller;

use controller::{Pods, cluster, kserve, object, writes};
use kf_plugin_sdk::HttpResponse;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;
use kf_plugin_serve::Plugin;
use serde_json::{Value, json};

const KIND: &str = "serving.kserve.io/InferenceService";

fn runtime(name: &str, formats: Value) -> Value {
    json!({
        "apiVersion": "serving.kserve.io/v1alpha1", "kind": "ClusterServingRuntime",
        "metadata": { "name": name }, "spec": { "supportedModelFormats": formats },
    })
}

fn refused(host: &FakeHost, words: &[&str]) -> Error {
    let error = host.run::<Plugin>(words).unwrap_err();
    assert!(writes(host).iter().all(|(_, dry_run)| *dry_run), "nothing was changed");
    error
}

/// A running service of image 1 with a recorded revision.
fn running() -> FakeHost {
    let host = cluster();
    kserve(&host, 1, Pods::Ready);
    host.run::<Plugin>(&["iris", "--image", "iris:1", "--wait"]).unwrap();
    host
}

fn image(host: &FakeHost) -> String {
    object(host, KIND, "iris").str("/spec/predictor/containers/0/image").unwrap().to_owned()
}

#[test]
fn image_is_served_and_additions_are_reported() {
    let host = cluster();
    assert_eq!(host.run::<Plugin>(&["iris", "--image", "iris:1", "--port", "9000"]), Ok(Exit::OK));
    assert_eq!(writes(&host), [("apply", true), ("apply", false)]);
    assert_eq!(host.terminal().stdout, "inferenceservice/iris created (iris:1)\n");
    assert_eq!(
        host.terminal().notes,
        [
            "added a preStop delay of 10s",
            "added a readiness probe on port 9000",
            "added a termination grace period of 40s",
            "added a rolling update without unavailable pods",
            "check its status with `kf status iris`",
        ]
    );
    let service = object(&host, KIND, "iris");
    assert_eq!(service.str("/spec/predictor/containers/0/name"), Some("kserve-container"));
    assert!(service.at("/spec/predictor/annotations/kf-cli.dev~1revision").is_some());
}

#[test]
fn as_is_adds_nothing() {
    let host = cluster();
    host.run::<Plugin>(&["iris", "--image", "iris:1", "--as-is"]).unwrap();
    let service = object(&host, KIND, "iris");
    let expected = json!([{ "name": "kserve-container", "image": "iris:1" }]);
    assert_eq!(service.at("/spec/predictor/containers"), Some(&expected));
    assert_eq!(host.terminal().notes, ["check its status with `kf status iris`"]);
}

#[test]
fn knative_service_gets_no_pre_stop_delay() {
    let host = cluster();
    let words = [
        "iris",
        "--image",
        "iris:1",
        "--set",
        r"metadata.annotations.serving\.kserve\.io/deploymentMode=Knative",
    ];
    host.run::<Plugin>(&words).unwrap();
    assert_eq!(object(&host, KIND, "iris").at("/spec/predictor/containers/0/lifecycle"), None);
}

#[test]
fn flags_change_only_their_fields() {
    let host = running();
    host.run::<Plugin>(&["iris", "--env", "A=1"]).unwrap();
    host.run::<Plugin>(&["iris", "--image", "iris:2", "--replicas", "2"]).unwrap();
    let service = object(&host, KIND, "iris");
    assert_eq!(service.str("/spec/predictor/containers/0/image"), Some("iris:2"));
    assert_eq!(service.str("/spec/predictor/containers/0/env/0/name"), Some("A"));
    assert_eq!(service.int("/spec/predictor/maxReplicas"), Some(2));
}

#[test]
fn repeated_command_changes_nothing() {
    let host = running();
    let before = writes(&host).len();
    assert_eq!(host.run::<Plugin>(&["iris", "--image", "iris:1"]), Ok(Exit::OK));
    assert!(host.terminal().stdout.ends_with("inferenceservice/iris unchanged (iris:1)\n"));
    assert_eq!(writes(&host)[before..], [("apply", true)]);
}

#[test]
fn same_content_has_same_revision_name() {
    let host = running();
    let revision = |host: &FakeHost| {
        object(host, KIND, "iris").str("/spec/predictor/annotations/kf-cli.dev~1revision").map(str::to_owned)
    };
    let first = revision(&host);
    host.run::<Plugin>(&["iris", "--image", "iris:2"]).unwrap();
    let second = revision(&host);
    host.run::<Plugin>(&["iris", "--image", "iris:1"]).unwrap();
    assert_eq!(revision(&host), first, "its pods may still be there");
    assert_ne!(second, first);
}

#[test]
fn file_defines_service_and_flags_override_it() {
    let host = cluster();
    host.put(runtime("sk", json!([{ "name": "sklearn", "autoSelect": true }])));
    host.file(
        "iris.yaml",
        "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nspec:\n  predictor:\n    sklearn: {storageUri: pvc://m/iris}\n",
    );
    host.format(Format::Json);
    let words = ["iris", "iris.yaml", "--set", "spec.predictor.timeout=60", "--memory", "1Gi"];
    host.run::<Plugin>(&words).unwrap();
    let service = object(&host, KIND, "iris");
    assert_eq!(service.str("/spec/predictor/model/modelFormat/name"), Some("sklearn"));
    assert_eq!(service.str("/spec/predictor/model/resources/limits/memory"), Some("1Gi"));
    assert_eq!(service.int("/spec/predictor/timeout"), Some(60));
    let report: Value = serde_json::from_str(&host.terminal().stdout).unwrap();
    assert_eq!((&report["change"], &report["serves"]), (&json!("created"), &json!("pvc://m/iris")));
    assert_eq!(report["added"].as_array().map(Vec::len), Some(3));
}

#[test]
fn model_without_storage_is_refused() {
    let host = cluster();
    host.file(
        "iris.yaml",
        "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nspec:\n  predictor:\n    model: {modelFormat: {name: sklearn}}\n",
    );
    let error = refused(&host, &["iris", "iris.yaml"]);
    assert_eq!(error.code, ErrorCode::Invalid);
    assert_eq!(error.message, "the model has no storageUri, so its pods cannot start");
}

#[test]
fn unsupported_format_lists_supported_formats() {
    let host = cluster();
    host.put(runtime("sk", json!([{ "name": "sklearn", "autoSelect": true }, { "name": "xgboost" }])));
    let with =
        |words: &[&'static str]| [&["iris", "--model", "pvc://m/iris", "--format"][..], words].concat();
    let error = refused(&host, &with(&["onnx"]));
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(error.message, "no serving runtime supports the format onnx; supported: sklearn, xgboost");
    assert_eq!(error.hint.as_deref(), Some("kf serve iris --model pvc://m/iris --format sklearn"));
    refused(&host, &with(&["xgboost"]));
    host.kf_flags(&["-n", "team-a"]);
    let error = refused(&host, &with(&["onnx", "--drain=5s", "--timeout", "2m", "-w"]));
    assert_eq!(
        error.hint.as_deref(),
        Some("kf -n team-a serve iris --model pvc://m/iris --format sklearn --drain=5s --timeout 2m -w")
    );
    host.kf_flags(&[]);
    let error = refused(&host, &with(&["onnx", "--runtime", "sk"]));
    assert_eq!(error.message, "serving runtime sk does not support onnx, only sklearn, xgboost");
    let error = refused(&host, &with(&["sklearn", "--runtime", "nope"]));
    assert_eq!(error.message, "no serving runtime `nope`; available: sk");
    host.run::<Plugin>(&with(&["xgboost", "--runtime", "sk"])).unwrap();
}

#[test]
fn serve_works_without_permission_for_runtimes() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("*", "serving.kserve.io", "clusterservingruntimes"));
    host.run::<Plugin>(&["iris", "--model", "pvc://m/iris", "--format", "onnx"]).unwrap();
}

#[test]
fn invalid_arguments_are_refused_without_changes() {
    let host = cluster();
    for words in [
        &[][..],
        &["Iris", "--image", "i"],
        &["iris", "--image", "i", "--model", "m"],
        &["iris", "--image", "i", "--replicas", "3:1"],
        &["iris", "--image", "i", "--port", "0"],
        &["iris", "--image", "i", "--request", "{"],
        &["iris", "--image", "i", "--request-path", "v1"],
        &["iris", "--rollback", "--image", "i"],
        &["iris", "--stop", "--start"],
        &["iris", "--list"],
        &["iris", "--image", "i", "--set", "metadata.name=x"],
    ] {
        assert_eq!(refused(&host, words).code, ErrorCode::Invalid, "{words:?}");
    }
    let error = refused(&host, &["iris"]);
    assert_eq!(error.code, ErrorCode::NotFound);
    assert!(error.message.contains("creating one needs --image, --model or a file"));
    assert_eq!(
        error.hint.as_deref(),
        Some("kf serve iris --image IMAGE, or --model URI --format FORMAT, or a file")
    );
    let error = refused(&host, &["iris", "--format", "sklearn"]);
    assert_eq!(error.hint.as_deref(), Some("kf serve iris --format sklearn --model URI"));
}

#[test]
fn serve_without_permission_is_forbidden_without_changes() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("create", "serving.kserve.io", "inferenceservices"));
    assert_eq!(refused(&host, &["iris", "--image", "iris:1"]).code, ErrorCode::Forbidden);
}

#[test]
fn cluster_without_kserve_is_reported() {
    let error = FakeHost::new("team-a").run::<Plugin>(&["iris", "--image", "i"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(error.hint.as_deref(), Some("ask your admin to install KServe"));
}

#[test]
fn field_conflict_hints_at_force_conflicts() {
    let host = running();
    let conflict = "Apply failed with 1 conflict: conflict with \"kubectl\": .spec.predictor.containers";
    let conflict = Error::new(ErrorCode::Conflict, conflict);
    host.cluster(|cluster| cluster.fail("patch", "InferenceService", conflict));
    let error = host.run::<Plugin>(&["iris", "--image", "iris:2"]).unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("kf serve iris --image iris:2 --force-conflicts"));
}

#[test]
fn dry_run_changes_nothing_and_does_not_wait() {
    let host = cluster();
    host.change_context(|context| context.dry_run = true);
    assert_eq!(host.run::<Plugin>(&["iris", "--image", "iris:1", "--wait"]), Ok(Exit::OK));
    assert_eq!(writes(&host), [("apply", true)]);
}

#[test]
fn wait_ends_when_every_pod_is_new() {
    let host = running();
    assert_eq!(
        host.terminal().stdout,
        "inferenceservice/iris ready at http://iris-predictor.team-a.svc.cluster.local (1 pod)\n"
    );
    // KServe reports Ready all the time; pods of the new revision come later.
    kserve(&host, 30, Pods::Ready);
    host.run::<Plugin>(&["iris", "--image", "iris:2", "--wait"]).unwrap();
    assert!(host.kf().now().0 - host.start().0 >= 30_000, "it waited for the new pods");
}

#[test]
fn image_pull_failure_keeps_old_revision() {
    let host = running();
    kserve(&host, 20, Pods::NoImage);
    let error = host.run::<Plugin>(&["iris", "--image", "nope:1", "--wait"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Failed);
    assert_eq!(
        error.message,
        "the new revision of iris cannot start: cannot pull image nope:1: image not found"
    );
    assert_eq!(error.hint.as_deref(), Some("kf serve iris --rollback"));
    assert_eq!(host.terminal().notes.last().unwrap(), "1 pod keeps serving the previous revision");
}

#[test]
fn crash_reports_last_log_line() {
    let host = cluster();
    kserve(&host, 5, Pods::Crash("Traceback\nmodel.pkl: no such file\n\n"));
    let error = host.run::<Plugin>(&["iris", "--image", "iris:1", "--wait"]).unwrap_err();
    assert_eq!(error.message, "iris cannot start: crashes: exit 1, 2 restarts: \"model.pkl: no such file\"");
    assert_eq!(error.hint.as_deref(), Some("kf logs iris"));
}

#[test]
fn wait_timeout_reports_reason() {
    let host = cluster();
    kserve(&host, 5, Pods::NotReady);
    let words = ["iris", "--image", "iris:1", "--wait", "--timeout", "30s"];
    let error = host.run::<Plugin>(&words).unwrap_err();
    assert_eq!(error.code, ErrorCode::TimedOut);
    assert_eq!(error.message, "iris is not ready after 30s: 0 of 1 pods ready: not ready yet");
}

#[test]
fn spec_rejected_by_kserve_fails() {
    let host = cluster();
    host.at(std::time::Duration::from_secs(2), |cluster| {
        cluster.change(KIND, "iris", |service| {
            let failure = json!({ "message": "No runtime found to support specified framework/version" });
            let status = json!({ "transitionStatus": "InvalidSpec", "lastFailureInfo": failure });
            service.set("/status/modelStatus", status);
        });
    });
    let error = host.run::<Plugin>(&["iris", "--image", "iris:1", "--wait"]).unwrap_err();
    assert_eq!(error.message, "iris cannot start: No runtime found to support specified framework/version");
}

#[test]
fn rollback_restores_last_ready_revision() {
    let host = running();
    let first = object(&host, KIND, "iris").at("/spec/predictor").cloned();
    kserve(&host, 60, Pods::NoImage);
    host.run::<Plugin>(&["iris", "--image", "nope:1", "--wait"]).unwrap_err();
    host.run::<Plugin>(&["iris", "--image", "nope:2"]).unwrap();
    assert_eq!(host.run::<Plugin>(&["iris", "--rollback"]), Ok(Exit::OK));
    assert_eq!(object(&host, KIND, "iris").at("/spec/predictor").cloned(), first);
    assert!(host.terminal().notes.iter().any(|note| note.starts_with("rolling back to iris:1, ready at ")));
}

#[test]
fn repeated_rollback_alternates_between_two_revisions() {
    let host = running();
    kserve(&host, 60, Pods::Ready);
    host.run::<Plugin>(&["iris", "--image", "iris:2", "--wait"]).unwrap();
    kserve(&host, 120, Pods::Ready);
    host.run::<Plugin>(&["iris", "--rollback", "--wait"]).unwrap();
    assert_eq!(image(&host), "iris:1");
    kserve(&host, 180, Pods::Ready);
    host.run::<Plugin>(&["iris", "--rollback", "--wait"]).unwrap();
    assert_eq!(image(&host), "iris:2");
}

#[test]
fn rollback_without_earlier_revision_fails() {
    let host = running();
    let error = host.run::<Plugin>(&["iris", "--rollback"]).unwrap_err();
    assert_eq!(error.message, "no other ready revision of iris is recorded");
    assert_eq!(host.run::<Plugin>(&["none", "--rollback"]).unwrap_err().code, ErrorCode::NotFound);
}

#[test]
fn revisions_of_deleted_service_are_ignored() {
    let host = running();
    host.run::<Plugin>(&["iris", "--image", "iris:2"]).unwrap();
    host.cluster(|cluster| {
        cluster.change("ConfigMap", "iris-kf-revisions", |map| {
            map.set("/metadata/ownerReferences", json!([{ "uid": "another" }]));
        });
    });
    host.run::<Plugin>(&["iris", "--rollback"]).unwrap_err();
}

#[test]
fn serve_works_without_permission_for_config_maps() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("*", "", "configmaps"));
    kserve(&host, 1, Pods::Ready);
    assert_eq!(host.run::<Plugin>(&["iris", "--image", "iris:1", "--wait"]), Ok(Exit::OK));
    assert!(host.terminal().notes.last().unwrap().starts_with("cannot record the revision"));
}

#[test]
fn request_is_sent_to_new_revision() {
    let host = running();
    host.on_http(|request| {
        assert_eq!((request.pod.as_str(), request.port), ("iris-predictor-2-0", 8080));
        let body = match request.path.as_str() {
            "/v1/models/iris:predict" => [b"got ".as_slice(), request.body.as_slice()].concat(),
            path => path.as_bytes().to_vec(),
        };
        let status = if request.path == "/missing" { 404 } else { 200 };
        Ok(HttpResponse { status, body, ..HttpResponse::default() })
    });
    kserve(&host, 60, Pods::Ready);
    let ask = |words: &[&str]| {
        let before = host.terminal().stdout.len();
        let exit = host.run::<Plugin>(&[&["iris", "--image", "iris:2"], words].concat());
        (exit, host.terminal().stdout[before..].to_owned())
    };
    let body = r#"{"instances":[1]}"#;
    assert_eq!(ask(&["--request", body]), (Ok(Exit::OK), format!("got {body}\n")));
    assert_eq!(ask(&["--request-path", "/v2"]), (Ok(Exit::OK), "/v2\n".to_owned()));
    let missing = Error::failed("/missing of iris-predictor-2-0 returned status 404");
    assert_eq!(ask(&["--request-path", "/missing"]), (Err(missing), "/missing\n".to_owned()));
}

#[test]
fn service_is_stopped_and_started() {
    let host = running();
    let stop = || object(&host, KIND, "iris").annotation("serving.kserve.io/stop").map(str::to_owned);
    host.run::<Plugin>(&["iris", "--stop"]).unwrap();
    assert_eq!(stop().as_deref(), Some("true"));
    let error = host.run::<Plugin>(&["iris", "--image", "iris:2", "--wait"]).unwrap_err();
    assert_eq!(error.message, "iris is stopped: it has no pods");
    assert_eq!(error.hint.as_deref(), Some("kf serve iris --start"));
    host.run::<Plugin>(&["iris", "--stop"]).unwrap();
    host.run::<Plugin>(&["iris", "--start"]).unwrap();
    assert_eq!(stop(), None);
    let lines = host.terminal().stdout.clone();
    let expected = "iris stopped\ninferenceservice/iris stopped already\ninferenceservice/iris started\n";
    assert!(lines.ends_with(expected), "{lines}");
    assert_eq!(host.run::<Plugin>(&["none", "--stop"]).unwrap_err().code, ErrorCode::NotFound);
}

#[test]
fn list_shows_state_of_newest_revision() {
    let host = running();
    kserve(&host, 60, Pods::NoImage);
    host.run::<Plugin>(&["iris", "--image", "nope:1", "--wait"]).unwrap_err();
    let before = host.terminal().stdout.len();
    host.run::<Plugin>(&["--list"]).unwrap();
    let table = host.terminal().stdout[before..].to_owned();
    let row = table.lines().nth(1).unwrap();
    assert!(row.contains("Degraded") && row.contains("nope:1"), "{table}");
    let why = "the new revision cannot start: cannot pull image nope:1: image not found";
    assert!(row.ends_with(why), "{table}");
}

#[test]
fn list_watch_follows_changes() {
    let host = running();
    host.at(std::time::Duration::from_secs(600), |cluster| {
        cluster.change(KIND, "iris", |iris| {
            iris.set("/metadata/annotations", json!({ "serving.kserve.io/stop": "true" }))
        });
    });
    let before = host.terminal().stdout.len();
    assert_eq!(host.run::<Plugin>(&["--list", "--watch"]), Ok(Exit::OK));
    let stdout = host.terminal().stdout[before..].to_owned();
    let states: Vec<_> = stdout.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let states: Vec<_> = states.into_iter().filter(|state| *state != "STATE").collect();
    assert_eq!(states, ["Running", "Stopped"], "{stdout}");
    assert_eq!(host.run::<Plugin>(&["--watch"]).unwrap_err().code, ErrorCode::Invalid);
}
