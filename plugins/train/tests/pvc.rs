//! Uploads of code to a volume claim.

use std::time::Duration;

use kf_plugin_sdk::ProcessOutput;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;
use kf_plugin_train::Plugin;
use serde_json::{Value, json};

const KIND: &str = "trainer.kubeflow.org/TrainJob";
const GROUP: &str = "trainer.kubeflow.org";
const WORDS: [&str; 10] =
    ["mnist", "--runtime", "torch", "--from-dir", "src", "--pvc", "data", "--", "python", "train.py"];
const PODS: &str =
    "/spec/runtimePatches/0/trainingRuntimeSpec/template/spec/replicatedJobs/0/template/spec/template/spec";

/// A cluster with a runtime, a claim, and a directory `src`.
fn cluster() -> FakeHost {
    let host = FakeHost::new("team-a");
    host.serve(GROUP, "v1alpha1", "TrainJob", "trainjobs");
    host.serve(GROUP, "v1alpha1", "TrainingRuntime", "trainingruntimes");
    host.serve_cluster(GROUP, "v1alpha1", "ClusterTrainingRuntime", "clustertrainingruntimes");
    host.serve("batch", "v1", "Job", "jobs");
    host.serve("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims");
    let pod = json!({
        "nodeSelector": { "pool": "gpu" }, "securityContext": { "fsGroup": 100 },
        "containers": [{ "name": "node", "image": "torch:1", "resources": { "limits": { "nvidia.com/gpu": 1 } } }],
    });
    host.put(json!({
        "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "ClusterTrainingRuntime",
        "metadata": { "name": "torch" },
        "spec": { "template": { "spec": { "replicatedJobs": [
            { "name": "node", "template": { "spec": { "template": { "spec": pod } } } },
        ] } } },
    }));
    host.put(claim("data", "ReadWriteOnce"));
    host.file("src/train.py", "print(1)\n");
    host
}

fn claim(name: &str, mode: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": name },
        "spec": { "accessModes": [mode] }, "status": { "phase": "Bound" },
    })
}

/// Creates the pod of the only Job after three seconds, as the Job controller would.
fn has_pod(host: &FakeHost, status: Value) {
    host.at(Duration::from_secs(3), move |cluster| {
        let name = cluster.writes().iter().rev().find(|write| write.verb == "create" && !write.dry_run);
        let job = name.map(|write| write.object.name.clone()).unwrap_or_default();
        cluster.put(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": format!("{job}-x"), "labels": { "batch.kubernetes.io/job-name": job } },
            "spec": { "containers": [{ "name": "loader" }] }, "status": status,
        }));
    });
}

fn runs(host: &FakeHost) {
    has_pod(host, json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] }));
}

/// The sessions end with these exit codes: of `test -d`, and of unpacking.
fn sessions_end(host: &FakeHost, check: i32, unpack: i32, stderr: &'static str) {
    host.on_session(move |session| match session.command.first().map(String::as_str) {
        Some("test") => Ok(ProcessOutput { exit_code: check, ..ProcessOutput::default() }),
        _ => Ok(ProcessOutput { exit_code: unpack, stderr: stderr.into(), ..ProcessOutput::default() }),
    });
}

fn jobs(host: &FakeHost) -> Vec<Object> {
    host.kf().api("batch/Job").list().unwrap_or_default()
}

#[test]
fn code_is_uploaded_through_temporary_pod() {
    let host = cluster();
    runs(&host);
    sessions_end(&host, 1, 0, "");
    assert_eq!(host.run::<Plugin>(&WORDS), Ok(Exit::OK));

    let opened = host.opened_sessions();
    let [there, unpack] = opened.as_slice() else { panic!("{opened:?}") };
    let target = there.command.last().unwrap();
    let name = target.strip_prefix("/kf-claim/kf-code/").unwrap();
    assert!(name.starts_with("mnist-code-"), "{name}");
    assert_eq!(unpack.command[4], name);
    let sent = &host.written_to_sessions()[1];
    assert_eq!(unpack.command[5], sent.len().to_string());
    let mut archive = tar::Archive::new(sent.as_slice());
    let paths: Vec<_> =
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
    assert_eq!(paths, [std::path::Path::new("train.py")]);

    let job = host.cluster(|cluster| cluster.object(KIND, "mnist")).unwrap();
    assert_eq!(job.str(&format!("{PODS}/volumes/0/persistentVolumeClaim/claimName")), Some("data"));
    let mount = format!("{PODS}/containers/0/volumeMounts/0");
    assert_eq!(job.str(&format!("{mount}/subPath")), Some(format!("kf-code/{name}").as_str()));
    assert_eq!(job.bool(&format!("{mount}/readOnly")), Some(true));
    assert!(jobs(&host).is_empty(), "the loader is deleted");
    let expected =
        format!("code uploaded to kf-code/{name} on volume claim data; it is kept when the job is deleted");
    assert!(host.terminal().notes.contains(&expected), "{:?}", host.terminal().notes);
}

#[test]
fn loader_is_scheduled_like_training_without_gpu() {
    let host = cluster();
    has_pod(&host, json!({ "phase": "Failed" }));
    host.at(Duration::from_secs(2), |cluster| {
        let name =
            cluster.writes().iter().rev().find(|write| write.verb == "create").unwrap().object.name.clone();
        let job = cluster.object("batch/Job", &name).unwrap();
        let pod = "/spec/template/spec";
        assert_eq!(job.str(&format!("{pod}/containers/0/image")), Some("torch:1"));
        assert_eq!(job.str(&format!("{pod}/nodeSelector/pool")), Some("gpu"));
        assert_eq!(job.int(&format!("{pod}/securityContext/fsGroup")), Some(100));
        let limits = json!({ "cpu": "1", "memory": "256Mi" });
        assert_eq!(job.at(&format!("{pod}/containers/0/resources/limits")), Some(&limits));
        assert!(job.int("/spec/ttlSecondsAfterFinished").is_some(), "it is deleted even if kf is stopped");
    });
    let error = host.run::<Plugin>(&WORDS).unwrap_err();
    assert!(error.message.starts_with("the pod that writes to data ended"), "{}", error.message);
    assert!(jobs(&host).is_empty(), "the loader is deleted");
    assert!(host.cluster(|cluster| cluster.object(KIND, "mnist")).is_none(), "no job without its code");
}

#[test]
fn existing_code_is_not_uploaded_again() {
    let host = cluster();
    runs(&host);
    sessions_end(&host, 0, 1, "");
    assert_eq!(host.run::<Plugin>(&WORDS), Ok(Exit::OK));
    assert_eq!(host.opened_sessions().len(), 1);
    // An existing job has its code: no pod is created.
    assert_eq!(host.run::<Plugin>(&WORDS), Ok(Exit::OK));
    assert_eq!(host.opened_sessions().len(), 1);
}

#[test]
fn full_volume_creates_no_job() {
    let host = cluster();
    runs(&host);
    sessions_end(&host, 1, 1, "tar: train.py: Cannot write: No space left on device\n\n");
    let error = host.run::<Plugin>(&WORDS).unwrap_err();
    let expected = "cannot write the code to data: tar: train.py: Cannot write: No space left on device";
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::Failed, expected));
    assert!(jobs(&host).is_empty(), "the loader is deleted");
    assert!(host.cluster(|cluster| cluster.object(KIND, "mnist")).is_none());
}

#[test]
fn pod_over_quota_stops_the_wait() {
    let host = cluster();
    host.at(Duration::from_secs(3), |cluster| {
        let name =
            cluster.writes().iter().rev().find(|write| write.verb == "create").unwrap().object.name.clone();
        cluster.put(json!({
            "apiVersion": "v1", "kind": "Event", "metadata": { "name": "refused" }, "type": "Warning",
            "involvedObject": { "kind": "Job", "name": name }, "reason": "FailedCreate",
            "message": "Error creating: pods \"x\" is forbidden: exceeded quota: team, requested: pods=1",
        }));
    });
    let error = host.run::<Plugin>(&WORDS).unwrap_err();
    let expected = "the pod that writes to data does not start: exceeded quota: team, requested: pods=1";
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::Failed, expected));
    assert_eq!(error.hint.as_deref(), Some("kf events --warnings"));
    assert!(jobs(&host).is_empty(), "the loader is deleted");
}

#[test]
fn missing_claim_error_lists_claims() {
    let host = cluster();
    let mut words = WORDS;
    words[6] = "dta";
    let error = host.run::<Plugin>(&words).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(error.message, "no volume claim `dta` in team-a; available: data");
    let hint = "kf train mnist --runtime torch --from-dir src --pvc data -- python train.py";
    assert_eq!(error.hint.as_deref(), Some(hint));
    assert!(jobs(&host).is_empty());
}

#[test]
fn single_node_claim_with_several_nodes_warns() {
    let host = cluster();
    host.change_context(|context| context.dry_run = true);
    let words = [&["--nodes", "2"], WORDS.as_slice()].concat();
    assert_eq!(host.run::<Plugin>(&words), Ok(Exit::OK));
    let warning =
        "warning: volume claim data can be mounted on one node at a time, but 2 nodes need the code";
    assert_eq!(host.terminal().notes, [warning]);
    assert!(host.cluster(|cluster| cluster.writes().iter().all(|write| write.dry_run)));
    assert!(host.opened_sessions().is_empty());
}

#[test]
fn code_over_config_map_limit_suggests_pvc() {
    let host = cluster();
    host.file("src/model.bin", &"x".repeat(2 << 20));
    let without: Vec<_> = WORDS.into_iter().filter(|word| !["--pvc", "data"].contains(word)).collect();
    let error = host.run::<Plugin>(&without).unwrap_err();
    assert_eq!(
        error.hint.as_deref(),
        Some(
            "kf train mnist --runtime torch --from-dir src --pvc CLAIM -- python train.py, to upload it \
             to a volume claim; or build an image and pass it with --image"
        )
    );
    runs(&host);
    sessions_end(&host, 1, 0, "");
    assert_eq!(host.run::<Plugin>(&WORDS), Ok(Exit::OK));
}

#[test]
fn pvc_without_from_dir_is_refused() {
    let error = cluster().run::<Plugin>(&["mnist", "--runtime", "torch", "--pvc", "data"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
}
