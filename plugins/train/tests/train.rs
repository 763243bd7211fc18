//! Tests of `kf train`.

use std::time::Duration;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;
use kf_plugin_train::Plugin;
use serde_json::{Value, json};

const KIND: &str = "trainer.kubeflow.org/TrainJob";
const GROUP: &str = "trainer.kubeflow.org";

fn runtime(name: &str, labels: Value) -> Value {
    json!({
        "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "ClusterTrainingRuntime",
        "metadata": { "name": name, "labels": labels },
    })
}

/// A cluster with the runtimes `torch` and `mpi`.
fn cluster() -> FakeHost {
    let host = FakeHost::new("team-a");
    host.serve(GROUP, "v1alpha1", "TrainJob", "trainjobs");
    host.serve(GROUP, "v1alpha1", "TrainingRuntime", "trainingruntimes");
    host.serve_cluster(GROUP, "v1alpha1", "ClusterTrainingRuntime", "clustertrainingruntimes");
    host.put(runtime("mpi", json!({})));
    host.put(runtime("torch", json!({})));
    host
}

#[expect(clippy::unwrap_used, reason = "a job that is not there fails the test")]
fn job(host: &FakeHost) -> Object {
    host.cluster(|cluster| cluster.object(KIND, "mnist")).unwrap()
}

fn writes(host: &FakeHost) -> Vec<(&'static str, bool)> {
    host.cluster(|cluster| cluster.writes().iter().map(|write| (write.verb, write.dry_run)).collect())
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Ends the job after a minute, as its controller would.
fn ends(host: &FakeHost, kind: &'static str, message: &'static str) {
    host.at(seconds(60), move |cluster| {
        cluster.change(KIND, "mnist", |job| {
            job.set("/metadata/creationTimestamp", "2026-01-01T12:00:00Z");
            job.set(
                "/status/conditions",
                json!([{ "type": kind, "status": "True", "message": message,
                         "lastTransitionTime": "2026-01-01T12:01:00Z" }]),
            );
        });
    });
}

fn pod(rank: u32, status: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": format!("mnist-node-0-{rank}"), "labels": {
            "jobset.sigs.k8s.io/jobset-name": "mnist",
            "jobset.sigs.k8s.io/replicatedjob-name": "node",
            "batch.kubernetes.io/job-completion-index": rank.to_string(),
        } },
        "spec": { "containers": [{ "name": "node" }] }, "status": status,
    })
}

#[test]
fn flags_create_job_after_server_check() {
    let host = cluster();
    let words = [
        "mnist",
        "--runtime",
        "torch",
        "--nodes",
        "2",
        "--image",
        "train:1",
        "-e",
        "LR=0.1",
        "--",
        "python",
        "t.py",
    ];
    assert_eq!(host.run::<Plugin>(&words), Ok(Exit::OK));
    assert_eq!(writes(&host), [("apply", true), ("apply", false)]);
    let expected = json!({
        "runtimeRef": { "apiGroup": GROUP, "kind": "ClusterTrainingRuntime", "name": "torch" },
        "trainer": {
            "numNodes": 2, "image": "train:1", "command": ["python", "t.py"],
            "env": [{ "name": "LR", "value": "0.1" }],
        },
    });
    assert_eq!(job(&host).at("/spec"), Some(&expected));
    assert_eq!(host.terminal().stdout, "trainjob/mnist created (runtime torch, 2 nodes)\n");
}

#[test]
fn flags_override_file() {
    let host = cluster();
    host.file(
        "mnist.yaml",
        "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\nspec:\n  runtimeRef: {name: torch}\n  trainer: {numNodes: 4}\n",
    );
    host.format(Format::Json);
    assert_eq!(
        host.run::<Plugin>(&["mnist", "mnist.yaml", "--set", "spec.trainer.numProcPerNode=8"]),
        Ok(Exit::OK)
    );
    let job = job(&host);
    assert_eq!(job.int("/spec/trainer/numNodes"), Some(4));
    assert_eq!(job.int("/spec/trainer/numProcPerNode"), Some(8));
    let report: Value = serde_json::from_str(&host.terminal().stdout).unwrap();
    assert_eq!(report, json!({ "name": "mnist", "change": "created", "runtime": "torch", "nodes": 4 }));
}

#[test]
fn missing_runtime_error_lists_runtimes() {
    let host = cluster();
    host.put(runtime("old", json!({ "trainer.kubeflow.org/support": "deprecated" })));
    let error = host.run::<Plugin>(&["mnist", "--runtime", "tarch"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(error.message, "no training runtime `tarch`; available: mpi, torch");
    assert_eq!(error.hint.as_deref(), Some("kf train mnist --runtime mpi"));
    assert!(writes(&host).is_empty());
}

#[test]
fn only_runtime_is_default() {
    let host = cluster();
    let error = host.run::<Plugin>(&["mnist"]).unwrap_err();
    assert_eq!(error.message, "no runtime given; available: mpi, torch");
    host.cluster(|cluster| cluster.remove("trainer.kubeflow.org/ClusterTrainingRuntime", "mpi"));
    assert_eq!(host.run::<Plugin>(&["mnist"]), Ok(Exit::OK));
    assert_eq!(job(&host).str("/spec/runtimeRef/name"), Some("torch"));
}

#[test]
fn runtime_of_namespace_is_found() {
    let host = cluster();
    host.put(json!({
        "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainingRuntime", "metadata": { "name": "ours" },
    }));
    assert_eq!(host.run::<Plugin>(&["mnist", "--runtime", "ours"]), Ok(Exit::OK));
    assert_eq!(job(&host).str("/spec/runtimeRef/kind"), Some("TrainingRuntime"));
}

#[test]
fn runtime_without_read_permission_is_accepted() {
    let host = cluster();
    host.cluster(|cluster| {
        cluster.deny("*", GROUP, "clustertrainingruntimes");
        cluster.deny("*", GROUP, "trainingruntimes");
    });
    assert_eq!(host.run::<Plugin>(&["mnist", "--runtime", "torch"]), Ok(Exit::OK));
}

#[test]
fn missing_create_permission_is_reported_before_any_write() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("create", GROUP, "trainjobs"));
    let error = host.run::<Plugin>(&["mnist", "--runtime", "torch"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Forbidden);
    assert_eq!(error.message, "you may not create trainjobs.trainer.kubeflow.org in team-a");
    assert_eq!(
        writes(&host),
        [("apply", true)],
        "the server is asked, so that kf can report which layer refuses"
    );
}

#[test]
fn cluster_without_trainer_is_reported() {
    let error = FakeHost::new("team-a").run::<Plugin>(&["mnist", "--runtime", "torch"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(error.hint.as_deref(), Some("ask your admin to install Kubeflow Trainer"));
}

#[test]
fn refused_job_is_one_line_and_not_created() {
    let host = cluster();
    let refusal = "admission webhook \"v\" denied the request: spec.trainer.numProcPerNode: must be positive";
    host.cluster(|cluster| cluster.fail("patch", "TrainJob", Error::invalid(refusal)));
    let error = host.run::<Plugin>(&["mnist", "--runtime", "torch"]).unwrap_err();
    assert_eq!(
        error.message,
        "the cluster rejected the training job: spec.trainer.numProcPerNode: must be positive"
    );
    assert!(host.cluster(|cluster| cluster.object(KIND, "mnist")).is_none());
}

#[test]
fn dry_run_neither_writes_nor_waits() {
    let host = cluster();
    host.change_context(|context| context.dry_run = true);
    assert_eq!(host.run::<Plugin>(&["mnist", "--runtime", "torch", "--wait"]), Ok(Exit::OK));
    assert_eq!(writes(&host), [("apply", true)]);
    assert_eq!(host.terminal().stdout, "", "kf itself prints what would be created");
}

#[test]
fn submit_prints_next_step_once() {
    let host = cluster();
    host.kf_flags(&["-n", "team-b"]);
    host.run::<Plugin>(&["mnist", "--runtime", "torch"]).unwrap();
    assert_eq!(host.terminal().notes, ["follow it with `kf -n team-b logs mnist -f`"]);
    let host = cluster();
    host.format(Format::Json);
    host.run::<Plugin>(&["mnist", "--runtime", "torch"]).unwrap();
    assert_eq!(host.terminal().notes, [""; 0], "a script gets no next step");
    let host = cluster();
    ends(&host, "Complete", "");
    host.run::<Plugin>(&["mnist", "--runtime", "torch", "--wait"]).unwrap();
    let notes = host.terminal().notes.join("\n");
    assert!(!notes.contains("logs"), "a wait has no next step: {notes}");
}

#[test]
fn runtime_of_existing_job_cannot_change() {
    let host = cluster();
    host.run::<Plugin>(&["mnist", "--runtime", "torch"]).unwrap();
    assert_eq!(host.run::<Plugin>(&["mnist", "--runtime", "torch"]), Ok(Exit::OK));
    assert!(host.terminal().stdout.ends_with("trainjob/mnist unchanged (runtime torch)\n"));
    let error = host.run::<Plugin>(&["mnist", "--runtime", "mpi"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert_eq!(error.message, "cannot change the runtime of training job mnist from torch to mpi");
}

#[test]
fn change_of_started_job_is_refused() {
    let host = cluster();
    host.run::<Plugin>(&["mnist", "--runtime", "torch"]).unwrap();
    let more = ["mnist", "--runtime", "torch", "--nodes", "2"];
    let error = host.run::<Plugin>(&more).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert_eq!(error.hint.as_deref(), Some("kf train mnist-2 --runtime torch --nodes 2"));
    assert_eq!(job(&host).int("/spec/trainer/numNodes"), None);

    host.cluster(|cluster| cluster.change(KIND, "mnist", |job| job.set("/spec/suspend", true)));
    assert_eq!(host.run::<Plugin>(&more), Ok(Exit::OK), "a suspended job has no pods yet");
}

#[test]
fn ended_job_is_not_run_again() {
    let host = cluster();
    host.run::<Plugin>(&["mnist", "--runtime", "torch"]).unwrap();
    host.cluster(|cluster| {
        cluster.change(KIND, "mnist", |job| {
            job.set("/status/conditions", json!([{ "type": "Complete", "status": "True" }]));
        });
    });
    let error = host.run::<Plugin>(&["mnist", "--runtime", "torch"]).unwrap_err();
    assert_eq!(error.message, "training job mnist exists and is complete; it cannot run again");
}

#[test]
fn wait_ends_with_job() {
    let host = cluster();
    ends(&host, "Complete", "");
    assert_eq!(host.run::<Plugin>(&["mnist", "--runtime", "torch", "--wait"]), Ok(Exit::OK));
    let notes = host.terminal().notes.clone();
    let waits = "waiting for pods of mnist";
    assert_eq!(notes, ["trainjob/mnist created (runtime torch)", waits, "mnist complete after 60s"]);
    assert_eq!(host.terminal().stdout, "", "stdout is for data");
}

fn failed() -> Error {
    Error::failed("mnist failed after 60s: jobset failed").hint("kf status trainjob/mnist")
}

#[test]
fn failed_job_prints_last_log_lines() {
    let host = cluster();
    host.at(seconds(30), |cluster| {
        cluster.put(pod(0, json!({ "phase": "Running" })));
        let dead = json!({ "phase": "Failed", "containerStatuses": [{ "name": "node",
            "state": { "terminated": { "exitCode": 1, "finishedAt": "2026-01-01T12:00:50Z" } } }] });
        cluster.put(pod(1, dead));
        cluster.log("mnist-node-0-1", "node", "epoch=1\nKeyError: 'label'\n");
    });
    ends(&host, "Failed", "jobset failed");
    assert_eq!(host.run::<Plugin>(&["mnist", "--runtime", "torch", "--wait"]), Err(failed()));
    let notes = host.terminal().notes.clone();
    assert_eq!(notes[2..], ["[node-1] epoch=1", "[node-1] KeyError: 'label'", "node-1 failed: exit 1"]);
}

#[test]
fn logs_of_all_ranks_are_prefixed() {
    let host = cluster();
    host.at(seconds(30), |cluster| {
        for rank in [0, 1] {
            let name = format!("mnist-node-0-{rank}");
            cluster.log(&name, "node", "epoch=1\n");
            cluster.end_log(&name, "node");
            cluster.put(pod(
                rank,
                json!({ "phase": "Running",
                "containerStatuses": [{ "name": "node", "state": { "running": {} } }] }),
            ));
        }
    });
    ends(&host, "Complete", "");
    assert_eq!(host.run::<Plugin>(&["mnist", "--runtime", "torch", "--nodes", "2", "--logs"]), Ok(Exit::OK));
    let stdout = host.terminal().stdout.clone();
    let mut lines: Vec<_> = stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["[node-0] epoch=1", "[node-1] epoch=1"]);
}

#[test]
fn deprecated_runtime_warns() {
    let host = cluster();
    host.put(runtime("old", json!({ "trainer.kubeflow.org/support": "deprecated" })));
    assert_eq!(host.run::<Plugin>(&["mnist", "--runtime", "old"]), Ok(Exit::OK));
    assert_eq!(host.terminal().notes.first().unwrap(), "warning: runtime old is deprecated");
}

#[test]
fn only_named_file_is_read() {
    let error = cluster().run::<Plugin>(&["mnist", "secret.yaml"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Forbidden);
}

#[test]
fn runtimes_are_listed_with_framework_and_support() {
    let host = cluster();
    let mut old = runtime(
        "old",
        json!({ "trainer.kubeflow.org/support": "deprecated", "trainer.kubeflow.org/framework": "torch" }),
    );
    old["spec"] = json!({ "mlPolicy": { "numNodes": 2 } });
    host.put(old);
    host.put(json!({
        "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainingRuntime", "metadata": { "name": "ours" },
    }));
    assert_eq!(host.run::<Plugin>(&["--list-runtimes"]), Ok(Exit::OK));
    let terminal = host.terminal();
    assert_eq!(terminal.column(0), ["mpi", "old", "torch", "ours"]);
    assert_eq!(terminal.column(1), ["", "torch", "", ""]);
    assert_eq!(terminal.column(2), ["1", "2", "1", "1"]);
    assert_eq!(terminal.column(3), ["", "deprecated", "", ""]);
    assert_eq!(terminal.rows[3].name, "trainingruntime/ours");
    assert_eq!(terminal.rows[1].object["deprecated"], true);
}

#[test]
fn job_needs_name_and_list_refuses_one() {
    assert_eq!(cluster().run::<Plugin>(&[]).unwrap_err().code, ErrorCode::Invalid);
    assert_eq!(cluster().run::<Plugin>(&["mnist", "--list-runtimes"]).unwrap_err().code, ErrorCode::Invalid);
}

#[test]
fn resources_and_queue_are_set_on_job() {
    let host = cluster();
    let words =
        ["mnist", "--runtime", "torch", "--cpu", "2", "--memory", "4Gi", "--gpu", "1", "--queue", "team"];
    assert_eq!(host.run::<Plugin>(&words), Ok(Exit::OK));
    let job = job(&host);
    let limits = json!({ "cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1" });
    assert_eq!(job.at("/spec/trainer/resourcesPerNode/limits"), Some(&limits));
    assert_eq!(job.label("kueue.x-k8s.io/queue-name"), Some("team"));
    let error = host.run::<Plugin>(&["other", "--runtime", "torch", "--memory", "4GB"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
    assert!(error.message.contains("invalid quantity `4GB`"), "{}", error.message);
}

#[test]
fn generated_names_differ() {
    let host = cluster();
    let words = ["mnist", "--runtime", "torch", "--generate-name"];
    host.run::<Plugin>(&words).unwrap();
    host.kf().sleep(Duration::from_millis(1));
    host.run::<Plugin>(&words).unwrap();
    let jobs = host.kf().api(KIND).list().unwrap();
    assert_eq!(jobs.len(), 2);
    assert!(jobs.iter().all(|job| job.name().starts_with("mnist-") && job.name().len() == 11));
}

/// A cluster that accepts code from the directory `src`.
fn with_code() -> FakeHost {
    let host = cluster();
    host.serve("", "v1", "ConfigMap", "configmaps");
    host.file("src/train.py", "print(1)\n");
    host.file("src/pkg/model.py", "x = 1\n");
    host.file("src/.git/config", "secret\n");
    host
}

const FROM_DIR: [&str; 8] = ["mnist", "--runtime", "torch", "--from-dir", "src", "--", "python", "train.py"];

fn config_maps(host: &FakeHost) -> Vec<Object> {
    host.cluster(|cluster| cluster.objects("ConfigMap"))
}

#[test]
fn uploaded_code_is_owned_by_job() {
    let host = with_code();
    assert_eq!(host.run::<Plugin>(&FROM_DIR), Ok(Exit::OK));
    let job = job(&host);
    let maps = config_maps(&host);
    let [map] = maps.as_slice() else { panic!("{maps:?}") };
    assert!(map.name().starts_with("mnist-code-"), "{}", map.name());
    assert_eq!(map.str("/metadata/ownerReferences/0/uid"), job.uid());
    assert_eq!(map.str("/metadata/ownerReferences/0/kind"), Some("TrainJob"));
    assert_eq!(map.at("/binaryData").unwrap().as_object().unwrap().len(), 2, "hidden files are skipped");
    let pods = "/spec/runtimePatches/0/trainingRuntimeSpec/template/spec/replicatedJobs/0/template/spec/template/spec";
    assert_eq!(job.str(&format!("{pods}/volumes/0/configMap/name")), Some(map.name()));
    let command = json!(["sh", "-c", "cd /workspace && exec \"$@\"", "sh", "python", "train.py"]);
    assert_eq!(job.at("/spec/trainer/command"), Some(&command));
    // The same code is the same job; changed code is not.
    assert_eq!(host.run::<Plugin>(&FROM_DIR), Ok(Exit::OK));
    assert_eq!(config_maps(&host).len(), 1);
    host.file("src/train.py", "print(2)\n");
    let error = host.run::<Plugin>(&FROM_DIR).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert_eq!(
        error.hint.as_deref(),
        Some("kf train mnist-2 --runtime torch --from-dir src -- python train.py")
    );
    assert_eq!(config_maps(&host).len(), 1, "a refusal leaves nothing behind");
}

#[test]
fn dry_run_stores_no_code() {
    let host = with_code();
    host.change_context(|context| context.dry_run = true);
    assert_eq!(host.run::<Plugin>(&FROM_DIR), Ok(Exit::OK));
    assert!(writes(&host).iter().all(|(_, dry_run)| *dry_run));
    assert!(config_maps(&host).is_empty());
}

#[test]
fn code_needs_command_and_permission_to_store() {
    let error = with_code().run::<Plugin>(&FROM_DIR[..5]).unwrap_err();
    assert_eq!(error.message, "--from-dir needs a command to run");
    let host = with_code();
    host.cluster(|cluster| cluster.deny("*", "", "configmaps"));
    assert_eq!(host.run::<Plugin>(&FROM_DIR).unwrap_err().code, ErrorCode::Forbidden);
    assert!(host.kf().api(KIND).list().unwrap().is_empty());
}

#[test]
fn terminal_shows_uploaded_and_skipped_files() {
    let host = with_code();
    host.change_context(|context| context.interactive = true);
    host.run::<Plugin>(&FROM_DIR).unwrap();
    let notes = host.terminal().notes.clone();
    assert_eq!(notes[..2], ["skipped in src: .git", "code: 2 files from src (15 bytes)"]);
}

const PYTORCH: &str = "apiVersion: kubeflow.org/v1\nkind: PyTorchJob\nmetadata: {name: mnist}\nspec:\n  pytorchReplicaSpecs:\n    Master: {replicas: 1}\n    Worker: {replicas: 2}\n";

/// A cluster with the Training Operator.
fn legacy() -> FakeHost {
    let host = FakeHost::new("team-a");
    host.serve("kubeflow.org", "v1", "PyTorchJob", "pytorchjobs");
    host.file("job.yaml", PYTORCH);
    host
}

const LEGACY_KIND: &str = "kubeflow.org/PyTorchJob";

#[test]
fn legacy_job_is_checked_applied_and_awaited() {
    let host = legacy();
    host.at(seconds(60), |cluster| {
        cluster.change(LEGACY_KIND, "mnist", |job| {
            job.set("/metadata/creationTimestamp", "2026-01-01T12:00:00Z");
            job.set(
                "/status/conditions",
                json!([
                    { "type": "Created", "status": "True" }, { "type": "Running", "status": "False" },
                    { "type": "Succeeded", "status": "True", "lastTransitionTime": "2026-01-01T12:01:00Z" },
                ]),
            );
        });
    });
    let words = [
        "mnist",
        "job.yaml",
        "--set",
        "spec.pytorchReplicaSpecs.Worker.replicas=3",
        "--queue",
        "q",
        "--wait",
    ];
    assert_eq!(host.run::<Plugin>(&words), Ok(Exit::OK));
    assert_eq!(writes(&host), [("apply", true), ("apply", false)]);
    let job = host.cluster(|cluster| cluster.object(LEGACY_KIND, "mnist")).unwrap();
    assert_eq!(job.int("/spec/pytorchReplicaSpecs/Worker/replicas"), Some(3));
    assert_eq!(job.label("kueue.x-k8s.io/queue-name"), Some("q"));
    let notes = ["pytorchjob/mnist created", "waiting for pods of mnist", "mnist complete after 60s"];
    assert_eq!(host.terminal().notes, notes);
    let error = host.run::<Plugin>(&["mnist", "job.yaml"]).unwrap_err();
    assert_eq!(error.message, "PyTorchJob mnist exists and is complete; it cannot run again");
}

#[test]
fn train_job_flags_are_refused_for_legacy_job() {
    let error = legacy().run::<Plugin>(&["mnist", "job.yaml", "--nodes", "2"]).unwrap_err();
    assert_eq!(error.message, "--nodes does not apply to a PyTorchJob, which has roles");
    let hint = "set its fields with --set, such as --set spec.pytorchReplicaSpecs.Master.replicas=2";
    assert_eq!(error.hint.as_deref(), Some(hint));
}

#[test]
fn cluster_without_training_operator_is_reported() {
    let host = cluster();
    host.file("job.yaml", PYTORCH);
    let error = host.run::<Plugin>(&["mnist", "job.yaml"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(error.message, "this cluster has no PyTorch jobs (pytorchjobs.kubeflow.org)");
}

#[test]
fn final_metrics_come_from_status_or_log() {
    let host = cluster();
    host.at(seconds(30), |cluster| {
        cluster.put(pod(0, json!({ "phase": "Succeeded" })));
        cluster.log("mnist-node-0-0", "node", "epoch=1 loss=0.5\nepoch=2 loss=0.25\nbye\n");
        cluster.end_log("mnist-node-0-0", "node");
    });
    ends(&host, "Complete", "");
    assert_eq!(host.run::<Plugin>(&["mnist", "--runtime", "torch", "--wait"]), Ok(Exit::OK));
    assert_eq!(host.terminal().notes.last().unwrap(), "mnist complete after 60s: epoch=2 loss=0.25");

    let host = cluster();
    host.at(seconds(30), |cluster| {
        cluster.change(KIND, "mnist", |job| {
            job.set("/status/trainerStatus", json!({ "metrics": [{ "name": "loss", "value": "0.31" }] }));
        });
    });
    ends(&host, "Complete", "");
    assert_eq!(host.run::<Plugin>(&["mnist", "--runtime", "torch", "--wait"]), Ok(Exit::OK));
    assert_eq!(host.terminal().notes.last().unwrap(), "mnist complete after 60s: loss=0.31");
}

#[test]
fn wait_shows_progress() {
    let host = cluster();
    host.at(seconds(20), |cluster| {
        cluster.put(pod(
            0,
            json!({ "phase": "Running", "containerStatuses": [{ "name": "node", "state": { "running": {} } }] }),
        ));
        cluster.change(KIND, "mnist", |job| {
            let status = json!({ "progressPercentage": 45, "estimatedRemainingSeconds": 180 });
            job.set("/status/trainerStatus", status);
        });
    });
    ends(&host, "Complete", "");
    assert_eq!(host.run::<Plugin>(&["mnist", "--runtime", "torch", "--wait"]), Ok(Exit::OK));
    let progress = host.terminal().progress.clone();
    assert!(
        progress.iter().any(|label| label == "mnist is running: 45% done, about 3m left"),
        "{progress:?}"
    );
}

#[test]
fn completion_offers_runtimes_of_both_kinds() {
    let host = cluster();
    host.put(json!({
        "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainingRuntime", "metadata": { "name": "ours" },
    }));
    let offered = |word: &str| -> Vec<String> {
        let request =
            CompletionRequest { words: vec!["--runtime".into(), word.into()], argument: "runtime".into() };
        let found = <Plugin as kf_plugin_sdk::Command>::complete(&request, &host.kf()).unwrap();
        found.into_iter().map(|candidate| candidate.value).collect()
    };
    assert_eq!(offered(""), ["mpi", "ours", "torch"]);
    assert_eq!(offered("o"), ["ours"]);
    host.cluster(|cluster| cluster.deny("list", GROUP, "clustertrainingruntimes"));
    assert_eq!(offered(""), ["ours"], "kinds that cannot be listed are skipped");
}

#[test]
fn webhook_without_dry_run_fails_dry_run_only() {
    let unsupported = || Error::invalid("admission webhook \"policy.example.org\" does not support dry run");
    let host = cluster();
    host.cluster(|cluster| cluster.fail("dry-run", "TrainJob", unsupported()));
    assert_eq!(host.run::<Plugin>(&["mnist", "--runtime", "torch"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "trainjob/mnist created (runtime torch)\n");
    // Changes are detected without a dry run, and a running job is not changed.
    host.cluster(|cluster| cluster.change(KIND, "mnist", |job| job.set("/spec/suspend", false)));
    assert_eq!(host.run::<Plugin>(&["mnist", "--runtime", "torch"]), Ok(Exit::OK));
    assert!(host.terminal().stdout.ends_with("trainjob/mnist unchanged (runtime torch)\n"));
    let error = host.run::<Plugin>(&["mnist", "--runtime", "torch", "--nodes", "2"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert_eq!(job(&host).int("/spec/trainer/numNodes"), None);
    // A refusal of the actual request is reported.
    host.cluster(|cluster| {
        cluster.fail("patch", "TrainJob", Error::invalid("TrainJob \"a\" is invalid: spec.x: no"))
    });
    let error = host.run::<Plugin>(&["a", "--runtime", "torch"]).unwrap_err();
    assert_eq!(error.message, "the cluster rejected the training job: spec.x: no");

    let host = cluster();
    host.cluster(|cluster| cluster.fail("dry-run", "TrainJob", unsupported()));
    host.change_context(|context| context.dry_run = true);
    let error = host.run::<Plugin>(&["mnist", "--runtime", "torch"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Unsupported);
    assert!(error.message.contains("policy.example.org"), "{error}");
}

#[test]
fn webhook_without_dry_run_accepts_code() {
    let host = with_code();
    host.cluster(|cluster| {
        for kind in ["TrainJob", "ConfigMap"] {
            cluster.fail("dry-run", kind, Error::invalid("admission webhook \"w\" does not support dry run"));
        }
    });
    assert_eq!(host.run::<Plugin>(&FROM_DIR), Ok(Exit::OK));
    assert_eq!(config_maps(&host)[0].str("/metadata/ownerReferences/0/uid"), job(&host).uid());
}

/// A cluster with code, where the check succeeds and the job is then refused with this error.
fn refusing(error: Error) -> FakeHost {
    let host = with_code();
    host.cluster(|cluster| {
        let unsupported = Error::invalid("admission webhook \"w\" does not support dry run");
        cluster.fail("dry-run", "TrainJob", unsupported);
        cluster.fail("store", "TrainJob", error);
    });
    host
}

#[test]
fn refused_job_deletes_its_code() {
    let denied = || Error::invalid("admission webhook \"w\" denied the request: no jobs today");
    let host = refusing(denied());
    let error = host.run::<Plugin>(&FROM_DIR).unwrap_err();
    assert!(error.message.contains("no jobs today"), "{error}");
    assert_eq!(config_maps(&host), []);
    let uids = host.cluster(|cluster| cluster.deletions().iter().filter_map(|it| it.uid.clone()).count());
    assert_eq!(uids, 1, "only the very object that was created is deleted");
    assert_eq!(host.terminal().notes, [""; 0]);
    // A webhook that does not answer creates no job either.
    let host = refusing(Error::new(ErrorCode::Internal, "failed calling webhook \"w\""));
    host.run::<Plugin>(&FROM_DIR).unwrap_err();
    assert_eq!(config_maps(&host), []);
    // A ConfigMap from an earlier run is kept.
    let host = with_code();
    assert_eq!(host.run::<Plugin>(&FROM_DIR), Ok(Exit::OK));
    host.cluster(|cluster| {
        cluster.remove(KIND, "mnist");
        cluster.fail("dry-run", "TrainJob", Error::invalid("webhook \"w\" does not support dry run"));
        cluster.fail("store", "TrainJob", denied());
    });
    host.run::<Plugin>(&FROM_DIR).unwrap_err();
    assert_eq!(config_maps(&host).len(), 1);
}

#[test]
fn code_of_possibly_existing_job_is_kept() {
    for code in [ErrorCode::Unreachable, ErrorCode::TimedOut] {
        let host = refusing(Error::new(code, "the API server did not answer"));
        assert_eq!(host.run::<Plugin>(&FROM_DIR).unwrap_err().code, code);
        assert_eq!(config_maps(&host).len(), 1);
        // The next run takes it over.
        host.cluster(|cluster| cluster.recover("store", "TrainJob"));
        assert_eq!(host.run::<Plugin>(&FROM_DIR), Ok(Exit::OK));
        assert_eq!(config_maps(&host)[0].str("/metadata/ownerReferences/0/uid"), job(&host).uid());
    }
}

#[test]
fn undeletable_code_warns() {
    let host = refusing(Error::invalid("denied"));
    host.cluster(|cluster| cluster.deny("delete", "", "configmaps"));
    let error = host.run::<Plugin>(&FROM_DIR).unwrap_err();
    assert!(error.message.contains("denied"), "{error}");
    let name = config_maps(&host)[0].name().to_owned();
    let note = format!(
        "warning: cannot delete the code in ConfigMap {name}: you may not delete configmaps in team-a"
    );
    assert_eq!(host.terminal().notes, [note]);
}

#[test]
fn name_too_long_for_pods_is_refused_before_any_write() {
    let host = cluster();
    let name = "a".repeat(60);
    let error = host.run::<Plugin>(&[&name, "--runtime", "torch"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
    let expected = format!(
        "name `{name}` is too long: 60 characters, at most 48 for valid pod names (`NAME-node-0-0-…`)"
    );
    assert_eq!(error.message, expected);
    assert!(writes(&host).is_empty());
    // The runtime's longest step counts, and so do the nodes.
    let mut fetching = runtime("fetching", json!({}));
    fetching["spec"] = json!({ "template": { "spec": { "replicatedJobs": [
        { "name": "dataset-initializer" }, { "name": "node" } ] } } });
    host.put(fetching);
    assert!(host.run::<Plugin>(&[&name[..34], "--runtime", "fetching"]).is_err());
    assert_eq!(host.run::<Plugin>(&[&name[..33], "--runtime", "fetching"]), Ok(Exit::OK));
    assert!(host.run::<Plugin>(&[&name[..48], "--runtime", "torch", "--nodes", "11"]).is_err());
    assert_eq!(host.run::<Plugin>(&[&name[..48], "--runtime", "torch", "--nodes", "10"]), Ok(Exit::OK));
    let host = legacy();
    let error = host.run::<Plugin>(&[&name, "job.yaml"]).unwrap_err();
    assert!(error.message.contains("at most 54 for valid pod names (`NAME-worker-1`)"), "{error}");
}

#[test]
fn wait_ends_if_pods_can_never_be_created() {
    let host = cluster();
    host.at(seconds(30), |cluster| {
        let uid = cluster.object(KIND, "mnist").and_then(|job| job.uid().map(str::to_owned));
        cluster.put(json!({
            "apiVersion": "v1", "kind": "Event", "metadata": { "name": "e1" }, "type": "Warning",
            "involvedObject": { "kind": "TrainJob", "name": "mnist", "uid": uid },
            "reason": "TrainJobResourcesCreationFailed",
            "message": "TrainJob resources reconciliation failed: admission webhook \"vjobset.kb.io\" denied the request: \
                        spec.replicatedJobs[0].name: Invalid value: \"x-node-0\": JobSet name is too long, pod names \
                        generated for this JobSet will exceed 63 characters",
        }));
    });
    let error = host.run::<Plugin>(&["mnist", "--runtime", "torch", "--wait"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Failed);
    let last = error.message;
    assert!(last.starts_with("mnist failed: TrainJobResourcesCreationFailed: "), "{last}");
    assert!(last.ends_with("generated for this JobSet will exceed 63 characters"), "{last}");
}

#[test]
fn wait_continues_if_controller_may_succeed_later() {
    let host = cluster();
    host.at(seconds(5), |cluster| {
        cluster.put(json!({
            "apiVersion": "v1", "kind": "Event", "metadata": { "name": "e1" }, "type": "Warning",
            "involvedObject": { "kind": "Job", "name": "mnist-node-0" }, "reason": "FailedCreate",
            "message": "Error creating: pods \"mnist-node-0-0-\" is forbidden: exceeded quota: compute, requested: cpu=4",
        }));
    });
    ends(&host, "Complete", "");
    assert_eq!(host.run::<Plugin>(&["mnist", "--runtime", "torch", "--wait"]), Ok(Exit::OK));
}

/// A warning about a job of `mnist`, with its first and last times.
fn refusal([first, last]: [&str; 2], message: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": { "name": "e1", "creationTimestamp": first },
        "type": "Warning", "involvedObject": { "kind": "Job", "name": "mnist-node-0" }, "reason": "FailedCreate",
        "lastTimestamp": last,
        "message": format!("Error creating: pods \"mnist-node-0-0-\" is forbidden: {message}"),
    })
}

#[test]
fn wait_ends_if_quota_is_too_small() {
    let quota = "exceeded quota: compute, requested: cpu=4, used: cpu=0, limited: cpu=2";
    for times in
        [["2026-01-01T12:09:00Z", "2026-01-01T12:10:00Z"], ["2026-01-01T12:00:00Z", "2026-01-01T12:00:10Z"]]
    {
        let host = cluster();
        host.at(seconds(30), move |cluster| {
            cluster.mutate("TrainJob", |job| job.set("/metadata/creationTimestamp", "2026-01-01T12:00:00Z"));
            cluster.put(refusal(times, quota));
        });
        let error = host.run::<Plugin>(&["mnist", "--runtime", "torch", "--wait"]).unwrap_err();
        assert_eq!(error.message, format!("mnist failed: FailedCreate: {quota}"));
        assert_eq!(error.hint.as_deref(), Some("kf status trainjob/mnist"));
    }
}

/// Events are kept for an hour.
#[test]
fn event_of_earlier_job_does_not_end_wait() {
    let quota = "exceeded quota: compute, requested: cpu=4, used: cpu=0, limited: cpu=2";
    // Including a job deleted in the same second as the next one was created.
    for times in [["2026-01-01T11:00:00Z", "2026-01-01T12:10:00Z"], ["2026-01-01T12:00:00Z"; 2]] {
        let host = cluster();
        host.put(refusal(times, quota));
        host.cluster(|cluster| {
            cluster.mutate("TrainJob", |job| job.set("/metadata/creationTimestamp", "2026-01-01T12:00:00Z"));
        });
        ends(&host, "Complete", "");
        assert_eq!(host.run::<Plugin>(&["mnist", "--runtime", "torch", "--wait"]), Ok(Exit::OK), "{times:?}");
    }
}

#[test]
fn exported_job_can_be_submitted_again() {
    let host = cluster();
    host.file(
        "export.yaml",
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: trainer.kubeflow.org/v1alpha1\n  kind: TrainJob\n  metadata:\n    \
         name: mnist\n    uid: x\n    resourceVersion: '7'\n    finalizers: [a.b/c]\n    ownerReferences:\n    - {apiVersion: \
         kubeflow.org/v1beta1, kind: Trial, name: t, uid: y, controller: true}\n  spec:\n    runtimeRef: {name: torch}\n    \
         trainer: {env: [{name: MODE, value: '0400'}]}\n    runtimePatches: [{manager: a.b/c, mode: 0400}]\n  status: {}\n",
    );
    assert_eq!(host.run::<Plugin>(&["mnist", "export.yaml"]), Ok(Exit::OK));
    let job = job(&host);
    assert_eq!((job.list("/metadata/finalizers"), job.list("/metadata/ownerReferences")), (&[][..], &[][..]));
    assert_eq!(job.int("/spec/runtimePatches/0/mode"), Some(256));
    assert_eq!(job.str("/spec/trainer/env/0/value"), Some("0400"));
}

#[test]
fn conflict_with_another_manager_has_hint() {
    let host = cluster();
    let message = "Apply failed with 1 conflict: conflict with \"kubectl\" using trainer.kubeflow.org/v1alpha1: .spec.trainer.numNodes";
    host.cluster(|cluster| cluster.fail("patch", "TrainJob", Error::new(ErrorCode::Conflict, message)));
    let error = host.run::<Plugin>(&["mnist", "--runtime", "torch"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert_eq!(error.hint.as_deref(), Some("kf train mnist-2 --runtime torch"));
}

const NAMED: &str = "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\nmetadata: {name: mnist}\nspec: {runtimeRef: {name: torch}}\n";

#[test]
fn name_is_read_from_file() {
    for words in [
        &["my.yaml"][..],
        &["-f", "my.yaml"],
        &["--file", "my.yaml"],
        &["--file=my.yaml"],
        &["mnist", "-f", "my.yaml"],
    ] {
        let host = cluster();
        host.file("my.yaml", NAMED);
        assert_eq!(host.run::<Plugin>(words), Ok(Exit::OK), "{words:?}");
        assert_eq!(job(&host).name(), "mnist");
        assert_eq!(host.terminal().stdout, "trainjob/mnist created (runtime torch)\n");
        assert_eq!(host.terminal().notes, ["follow it with `kf logs mnist -f`"]);
    }
    let host = cluster();
    host.file("my.json", "{\"apiVersion\":\"trainer.kubeflow.org/v1alpha1\",\"kind\":\"TrainJob\",\"metadata\":{\"name\":\"mnist\"},\"spec\":{\"runtimeRef\":{\"name\":\"torch\"}}}");
    assert_eq!(host.run::<Plugin>(&["my.json", "--generate-name"]), Ok(Exit::OK));
    let jobs = host.kf().api(KIND).list().unwrap();
    assert!(jobs[0].name().starts_with("mnist-") && jobs[0].name().len() == 11);
}

#[test]
fn hints_for_named_file_are_command_lines() {
    let run = |text: &str, words: &[&str]| {
        let host = cluster();
        host.file("my.yaml", text);
        host.run::<Plugin>(words).unwrap_err()
    };
    let two = format!("{NAMED}---\n{}", NAMED.replace("mnist", "bert"));
    let error = run(&two, &["my.yaml", "--wait"]);
    assert_eq!(error.message, "my.yaml contains mnist and bert; specify one");
    assert_eq!(error.hint.as_deref(), Some("kf train mnist --wait my.yaml"));
    assert_eq!(run(&two, &["-f", "my.yaml"]).hint.as_deref(), Some("kf train -f my.yaml mnist"));
    let nameless = NAMED.replace("metadata: {name: mnist}\n", "");
    let error = run(&nameless, &["my.yaml"]);
    assert_eq!(error.message, "my.yaml has no metadata.name");
    assert_eq!(error.hint.as_deref(), Some("kf train NAME my.yaml"));
    let error = run(NAMED, &["my.yaml", "my.yaml"]);
    assert_eq!(error.message, "more than one file: my.yaml and my.yaml");
    assert_eq!(run(NAMED, &["mnist", "my.yaml", "-f", "my.yaml"]).code, ErrorCode::Invalid);
    assert_eq!(
        run(NAMED, &["jobs/my.txt", "--wait"]).hint.as_deref(),
        Some("kf train --wait -f jobs/my.txt")
    );
    assert_eq!(run(NAMED, &["My_Job"]).hint, None);

    let host = cluster();
    host.file("my.yaml", NAMED);
    host.run::<Plugin>(&["my.yaml"]).unwrap();
    let error = host.run::<Plugin>(&["my.yaml", "--nodes", "2"]).unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("kf train mnist-2 --nodes 2 my.yaml"));
    let error = host.run::<Plugin>(&["-f", "my.yaml", "--nodes", "2"]).unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("kf train -f my.yaml --nodes 2 mnist-2"));
}
