//! Tests of `kf pipeline`.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, too")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use kf_plugin_pipeline::Plugin;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;
use kf_plugin_sdk::{HttpResponse, Method};
use serde_json::{Value, json};

const IRIS: &str = "
pipelineInfo: {name: iris}
schemaVersion: 2.1.0
root:
  inputDefinitions:
    parameters:
      epochs: {parameterType: NUMBER_INTEGER}
";
const ID: &str = "11111111-2222-3333-4444-555555555555";
const SERVER_ARGS: [&str; 2] = ["--server-namespace", "team-a"];

/// Requests: the method and path, the account of the token, and the body.
type Requests = Rc<RefCell<Vec<(String, Option<String>, Value)>>>;

fn run(state: &str) -> Value {
    json!({
        "run_id": ID, "display_name": "iris-2", "state": state, "experiment_id": "e-1",
        "created_at": "2026-01-01T11:50:00Z", "finished_at": "2026-01-01T11:55:00Z",
        "runtime_config": { "parameters": { "epochs": 3 } },
        "run_details": { "task_details": [
            { "display_name": "root", "state": state },
            { "display_name": "train", "state": state, "start_time": "2026-01-01T11:52:00Z",
              "end_time": "2026-01-01T11:54:00Z", "error": { "message": "KeyError: 'label'\nmore" } },
            { "display_name": "load", "state": "SUCCEEDED", "start_time": "2026-01-01T11:51:00Z",
              "end_time": "2026-01-01T11:52:00Z", "child_tasks": [{ "pod_name": "iris-load" }] },
            { "display_name": "train-driver", "state": "SUCCEEDED" },
        ] },
    })
}

/// A cluster with a server in multi-user mode, whose run is in this state.
fn cluster(state: &'static str) -> (FakeHost, Requests) {
    let host = FakeHost::new("team-a");
    host.put(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "ml-pipeline-0", "labels": { "app": "ml-pipeline" } },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    }));
    let requests: Requests = Rc::default();
    let log = Rc::clone(&requests);
    host.on_http(move |request| {
        assert_eq!((request.pod.as_str(), request.port), ("ml-pipeline-0", 8888));
        let path = request.path.strip_prefix("/apis/v2beta1").unwrap();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let body = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        let account = request.bearer.as_ref().map(|bearer| {
            assert_eq!(bearer.audience, "pipelines.kubeflow.org");
            bearer.service_account.clone()
        });
        let verb = if request.method == Method::Post { "POST" } else { "GET" };
        log.borrow_mut().push((format!("{verb} {path}?{query}"), account, body.clone()));
        let runs = |path: &str| path == format!("/runs/{ID}");
        let answer = match (request.method, path) {
            (_, "/healthz") => json!({ "multi_user": true }),
            (Method::Get, "/runs") if query.contains("page_token=2") => json!({ "runs": [run(state)] }),
            (Method::Get, "/runs") => {
                json!({ "runs": [{ "run_id": "other-run", "display_name": "other", "state": "FAILED" }], "next_page_token": "2" })
            }
            (Method::Get, path) if runs(path) => run(state),
            (Method::Get, "/experiments") => {
                json!({ "experiments": [{ "experiment_id": "e-1", "display_name": "Default" }] })
            }
            (Method::Get, "/pipelines") => {
                json!({ "pipelines": [{ "pipeline_id": "p-1", "display_name": "iris" }] })
            }
            (Method::Get, "/pipelines/p-1/versions") => json!({ "pipeline_versions": [
                { "pipeline_version_id": "v-2", "display_name": "v2", "pipeline_spec": {
                    "root": { "inputDefinitions": { "parameters": { "epochs": { "parameterType": "NUMBER_INTEGER" } } } } } },
            ] }),
            (Method::Post, "/runs") => {
                let mut made = run("PENDING");
                made["display_name"] = body["display_name"].clone();
                made
            }
            (Method::Post, "/experiments") => json!({ "experiment_id": "e-9" }),
            _ => {
                let body = json!({ "error": "no such thing", "code": 5, "message": "no such thing" });
                return Ok(HttpResponse { status: 404, body: body.to_string().into_bytes(), ..HttpResponse::default() });
            }
        };
        Ok(HttpResponse { status: 200, body: answer.to_string().into_bytes(), ..HttpResponse::default() })
    });
    (host, requests)
}

fn kf(host: &FakeHost, words: &[&str]) -> Result<Exit> {
    host.run::<Plugin>(&[words, &SERVER_ARGS].concat())
}

#[test]
fn compiled_pipeline_runs_with_typed_parameters() {
    let (host, requests) = cluster("RUNNING");
    host.file("iris.yaml", IRIS);
    let words = ["run", "iris.yaml", "--param", "epochs=3", "--name", "iris-2"];
    assert_eq!(kf(&host, &words), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, format!("run/iris-2 created ({ID})\n"));
    let requests = requests.borrow();
    assert_eq!(requests[0].1, None, "the mode is read without a token");
    assert!(requests[1..].iter().all(|(_, account, _)| account.as_deref() == Some("default-editor")));
    let (path, _, body) = requests.last().unwrap();
    assert_eq!(path, "POST /runs?experiment_id=e-1");
    assert_eq!(body["runtime_config"]["parameters"], json!({ "epochs": 3 }));
    assert_eq!(body["pipeline_spec"]["pipelineInfo"]["name"], "iris");
}

#[test]
fn uploaded_version_runs_by_name() {
    let (host, requests) = cluster("RUNNING");
    kf(&host, &["run", "--pipeline", "iris@v2", "--param", "epochs=3"]).unwrap();
    let expected = json!({ "pipeline_id": "p-1", "pipeline_version_id": "v-2" });
    assert_eq!(requests.borrow().last().unwrap().2["pipeline_version_reference"], expected);
    let error = kf(&host, &["run", "--pipeline", "iris@v1", "--param", "epochs=3"]).unwrap_err();
    assert_eq!(error.message, "no version v1 of iris; available: v2");
    assert_eq!(kf(&host, &["run", "--pipeline", "iris"]).unwrap_err().code, ErrorCode::Invalid);
    assert_eq!(kf(&host, &["run", "--pipeline", "none"]).unwrap_err().code, ErrorCode::NotFound);
}

#[test]
fn missing_experiment_is_created() {
    let (host, requests) = cluster("RUNNING");
    host.file("iris.yaml", IRIS);
    kf(&host, &["run", "iris.yaml", "-p", "epochs=3", "--experiment", "new"]).unwrap();
    let requests = requests.borrow();
    let made = requests.iter().find(|(path, ..)| path == "POST /experiments?").unwrap();
    assert_eq!(made.2, json!({ "display_name": "new", "namespace": "team-a" }));
    assert_eq!(requests.last().unwrap().0, "POST /runs?experiment_id=e-9");
}

#[test]
fn invalid_file_or_parameter_is_reported_before_any_request() {
    let (host, requests) = cluster("RUNNING");
    host.file("iris.yaml", IRIS);
    host.file("bad.yaml", "a: 1\n");
    for words in
        [&["run", "iris.yaml"][..], &["run", "iris.yaml", "-p", "epochs=x"], &["run", "bad.yaml"], &["run"]]
    {
        assert_eq!(kf(&host, words).unwrap_err().code, ErrorCode::Invalid, "{words:?}");
    }
    assert!(requests.borrow().is_empty());
}

#[test]
fn dry_run_creates_nothing() {
    let (host, requests) = cluster("RUNNING");
    host.change_context(|context| context.dry_run = true);
    host.file("iris.yaml", IRIS);
    assert_eq!(kf(&host, &["run", "iris.yaml", "-p", "epochs=3"]), Ok(Exit::OK));
    assert!(requests.borrow().iter().all(|(path, ..)| path.starts_with("GET")));
}

#[test]
fn wait_ends_with_run_and_reports_failed_task() {
    let (host, _) = cluster("SUCCEEDED");
    host.file("iris.yaml", IRIS);
    let words = ["run", "iris.yaml", "-p", "epochs=3", "--wait", "--name", "iris-2"];
    assert_eq!(kf(&host, &words), Ok(Exit::OK));
    assert_eq!(host.terminal().notes.last().unwrap(), "iris-2 succeeded after 5m");

    let (host, _) = cluster("FAILED");
    host.file("iris.yaml", IRIS);
    let error = kf(&host, &words).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::Failed, "iris-2 failed after 5m"));
    assert!(error.hint.unwrap().starts_with("kf pipeline logs "));
    assert_eq!(host.terminal().notes[1..], ["task train failed: KeyError: 'label'"]);
}

#[test]
fn wait_for_endless_run_times_out() {
    let (host, _) = cluster("RUNNING");
    host.file("iris.yaml", IRIS);
    let error = kf(&host, &["run", "iris.yaml", "-p", "epochs=3", "--wait", "--timeout", "1m"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::TimedOut);
}

#[test]
fn list_reads_all_pages_up_to_limit() {
    let (host, requests) = cluster("RUNNING");
    kf(&host, &["ls"]).unwrap();
    let table = host.terminal().stdout.clone();
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(requests.borrow()[1].0.contains("namespace=team-a"));
    assert!(requests.borrow()[1].0.contains("sort_by=created_at%20desc"));
    host.format(Format::Name);
    let before = host.terminal().stdout.len();
    kf(&host, &["ls", "--limit", "1"]).unwrap();
    assert_eq!(host.terminal().stdout[before..], *"run/other\n");
    let before = host.terminal().stdout.len();
    kf(&host, &["ls", "pipelines"]).unwrap();
    kf(&host, &["ls", "experiments"]).unwrap();
    assert_eq!(host.terminal().stdout[before..], *"pipeline/iris\nexperiment/Default\n");
    assert_eq!(kf(&host, &["ls", "--experiment", "none"]).unwrap_err().code, ErrorCode::NotFound);
}

#[test]
fn watched_list_is_refreshed() {
    let (host, _) = cluster("RUNNING");
    let requests = Rc::new(RefCell::new(0));
    let count = Rc::clone(&requests);
    host.on_http(move |request| {
        let mut body = json!({});
        if request.path.contains("/runs?") {
            *count.borrow_mut() += 1;
            let state = if *count.borrow() <= 3 { "RUNNING" } else { "SUCCEEDED" };
            body = json!({ "runs": [run(state)] });
        }
        Ok(HttpResponse { status: 200, body: body.to_string().into_bytes(), ..HttpResponse::default() })
    });
    host.at(Duration::from_secs(12), |_| {});
    assert_eq!(kf(&host, &["ls", "--watch"]), Ok(Exit::OK));
    assert!(*requests.borrow() > 4, "{requests:?}");
    let stdout = host.terminal().stdout.clone();
    let states: Vec<_> = stdout.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(states, ["STATE", "Running", "STATE", "Succeeded"], "{stdout}");
}

#[test]
fn status_shows_tasks_in_order() {
    for name in ["iris-2", "1111", ID] {
        let (host, _) = cluster("FAILED");
        kf(&host, &["status", name]).unwrap();
        let stdout = host.terminal().stdout.clone();
        let tasks: Vec<_> = stdout.lines().skip_while(|line| !line.starts_with("TASK")).skip(1).collect();
        assert_eq!(tasks.len(), 2, "the server's own steps are omitted: {stdout}");
        assert!(tasks[0].starts_with("load") && tasks[1].starts_with("train"), "{stdout}");
        assert!(tasks[1].ends_with("KeyError: 'label'"), "{stdout}");
    }
    let (host, _) = cluster("FAILED");
    assert_eq!(kf(&host, &["status", "nope"]).unwrap_err().code, ErrorCode::NotFound);
}

fn pod(name: &str, path: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "labels": { "pipeline/runid": ID },
            "annotations": { "workflows.argoproj.io/node-name": path } },
        "status": { "containerStatuses": [{ "name": "main", "state": { "terminated": {} } }] },
    })
}

#[test]
fn logs_of_all_tasks_or_of_one() {
    let (host, _) = cluster("SUCCEEDED");
    host.put(pod("iris-load", "iris-x.root.load.executor"));
    host.put(pod("iris-train", "iris-x.root.train.executor"));
    host.put(pod("iris-driver", "iris-x.root.train-driver"));
    host.cluster(|cluster| {
        for task in ["load", "train", "driver"] {
            cluster.log(&format!("iris-{task}"), "main", &format!("{task} done\n"));
            cluster.end_log(&format!("iris-{task}"), "main");
        }
    });
    kf(&host, &["logs", "iris-2"]).unwrap();
    assert_eq!(host.terminal().stdout, "[load] load done\n[train] train done\n");
    for follow in [&[][..], &["-f"]] {
        let before = host.terminal().stdout.len();
        kf(&host, &[&["logs", "iris-2", "--task", "train"], follow].concat()).unwrap();
        assert_eq!(host.terminal().stdout[before..], *"train done\n");
    }
    let error = kf(&host, &["logs", "iris-2", "--task", "tune"]).unwrap_err();
    assert_eq!(error.message, "the run has no task `tune`; available: load, train");
}

#[test]
fn logs_of_run_without_pods_are_refused() {
    let (host, _) = cluster("SUCCEEDED");
    assert_eq!(kf(&host, &["logs", "iris-2"]).unwrap_err().code, ErrorCode::NotFound);
}

#[test]
fn service_account_does_not_extend_user_rights() {
    let (host, requests) = cluster("RUNNING");
    host.cluster(|cluster| cluster.deny("create", "pipelines.kubeflow.org", "runs"));
    host.file("iris.yaml", IRIS);
    let error = kf(&host, &["run", "iris.yaml", "-p", "epochs=3"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Forbidden);
    assert_eq!(error.message, "you are not allowed to create runs.pipelines.kubeflow.org in team-a");
    assert!(requests.borrow().iter().all(|(path, ..)| path.starts_with("GET")));
}

#[test]
fn refusals_of_server_are_reported() {
    for (status, code) in [(401, ErrorCode::Forbidden), (403, ErrorCode::Forbidden), (500, ErrorCode::Failed)]
    {
        let (host, _) = cluster("RUNNING");
        host.on_http(move |request| {
            let is_hello = request.path.ends_with("/healthz");
            let body = if is_hello { json!({ "multi_user": true }) } else { json!({ "message": "no" }) };
            let status = if is_hello { 200 } else { status };
            Ok(HttpResponse { status, body: body.to_string().into_bytes(), ..HttpResponse::default() })
        });
        let error = kf(&host, &["ls"]).unwrap_err();
        assert_eq!(error.code, code, "{status}");
        assert!(error.message.ends_with(": no"), "{}", error.message);
    }
}

#[test]
fn single_user_server_gets_no_token() {
    let (host, _) = cluster("RUNNING");
    host.on_http(|request| {
        assert!(request.bearer.is_none() && !request.path.contains("namespace="));
        Ok(HttpResponse { status: 200, body: b"{}".to_vec(), ..HttpResponse::default() })
    });
    assert_eq!(kf(&host, &["ls"]), Ok(Exit::OK));
}

#[test]
fn other_server_is_reported() {
    let (host, _) = cluster("RUNNING");
    host.on_http(|_| Ok(HttpResponse { status: 200, body: b"<html>".to_vec(), ..HttpResponse::default() }));
    let error = kf(&host, &["ls"]).unwrap_err();
    assert_eq!(error.message, "pod ml-pipeline-0 in team-a does not answer like the Pipelines API");
    let error = host.run::<Plugin>(&["ls", "--server-namespace", "elsewhere"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(error.message, "no pod of the Pipelines server in elsewhere (app=ml-pipeline)");
}

#[test]
fn follow_shows_pods_as_they_start() {
    let (host, _) = cluster("RUNNING");
    let state = Rc::new(std::cell::Cell::new("RUNNING"));
    let now = Rc::clone(&state);
    host.on_http(move |request| {
        let body = if request.path.ends_with("/healthz") { json!({}) } else { run(now.get()) };
        Ok(HttpResponse { status: 200, body: body.to_string().into_bytes(), ..HttpResponse::default() })
    });
    host.at(Duration::from_secs(5), move |cluster| {
        cluster.put(pod("iris-train", "iris-x.root.train.executor"));
        cluster.log("iris-train", "main", "epoch 1\n");
        cluster.end_log("iris-train", "main");
        state.set("SUCCEEDED");
    });
    kf(&host, &["logs", ID, "-f"]).unwrap();
    assert_eq!(host.terminal().stdout, "[train] epoch 1\n");
}

#[test]
fn completion_offers_runs_with_pods_without_request() {
    let (host, requests) = cluster("SUCCEEDED");
    host.put(pod("iris-load", "iris-x.root.load.executor"));
    host.put(pod("iris-train", "iris-x.root.train.executor"));
    host.put(json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "other" } }));
    for (word, offered) in [("", vec![ID]), (&ID[..4], vec![ID]), ("ffff", vec![])] {
        let request = CompletionRequest { words: vec!["logs".into(), word.into()], argument: "run".into() };
        let found = <Plugin as kf_plugin_sdk::Command>::complete(&request, &host.kf()).unwrap();
        assert_eq!(found.into_iter().map(|candidate| candidate.value).collect::<Vec<_>>(), offered);
    }
    assert_eq!(requests.borrow().len(), 0);
}

#[test]
fn watch_supports_json() {
    let (host, _) = cluster("SUCCEEDED");
    host.format(Format::Json);
    kf(&host, &["status", "iris-2", "--watch"]).unwrap();
    assert_eq!(host.terminal().notes.last().map(String::as_str), Some("iris-2 succeeded"));
}
