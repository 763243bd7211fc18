//! Each optional part of a cluster works from a user's point of view.

use std::path::Path;

use crate::common::team::node_claim;
use crate::common::until;
use crate::reasons::queued;

use super::{apply, cluster, kubectl, kubectl_ok, wait_for};
use kf_tests::cluster::{Part, QUEUE, TestNamespace, User, skip_without_node};
use serde_json::Value;

#[test]
fn pods_resolve_service_names() {
    if skip_without_node("pods_resolve_service_names") {
        return;
    }
    cluster().require(Part::Dns).unwrap();
    let namespace = TestNamespace::new(cluster(), "names").unwrap();
    apply(
        &namespace,
        User::DataScientist,
        "apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: kf.test/busybox:1
      command: [sh, -c, 'echo found > /tmp/index.html && exec httpd -f -p 8080 -h /tmp']
      readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: page}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
",
    );
    wait_for(&namespace, "--for=condition=Ready", "pod/web");
    let full = format!("http://page.{}.svc.cluster.local/", namespace.name());
    for url in ["http://page/", &full] {
        let fetch = format!("until wget -q -O - {url}; do sleep 0.2; done");
        let answer = in_pod(&namespace, "web", &["timeout", "300", "sh", "-c", &fetch]);
        assert!(answer.ends_with("found\n"), "{answer}");
    }
}

/// The output of `command` in the pod's container `main`, as the data scientist.
fn in_pod(namespace: &TestNamespace, pod: &str, command: &[&str]) -> String {
    let dana = namespace.kubeconfig(User::DataScientist);
    kubectl_ok(&dana, &[&["exec", pod, "--container=main", "--"], command].concat())
}

fn json_in_pod(namespace: &TestNamespace, pod: &str, command: &[&str]) -> Value {
    let answer = in_pod(namespace, pod, command);
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

#[test]
fn tensorboard_reads_trainer_events() {
    if skip_without_node("tensorboard_reads_trainer_events") {
        return;
    }
    cluster().require(Part::TensorBoard).unwrap();
    let namespace = TestNamespace::new(cluster(), "tensorboard").unwrap();
    apply(
        &namespace,
        User::DataScientist,
        "apiVersion: v1
kind: Pod
metadata: {name: board}
spec:
  terminationGracePeriodSeconds: 0
  securityContext: {runAsNonRoot: true, runAsUser: 1000}
  volumes: [{name: logs, emptyDir: {}}]
  initContainers:
    - name: train
      image: 'kf.test/trainer:1'
      args: [--epochs=3, --steps=4, --epoch-seconds=0, --log-dir=/logs/first]
      volumeMounts: [{name: logs, mountPath: /logs}]
  containers:
    - name: main
      image: 'kf.test/tensorboard:1'
      readinessProbe: {httpGet: {path: /data/environment, port: 6006}, periodSeconds: 1, timeoutSeconds: 3}
      volumeMounts: [{name: logs, mountPath: /logs}]
",
    );
    wait_for(&namespace, "--for=condition=Ready", "pod/board");
    let url = "http://127.0.0.1:6006/data/plugin/scalars/scalars?run=first&tag=loss";
    let fetch = format!("until wget -q -O - '{url}'; do sleep 0.2; done");
    let read = json_in_pod(&namespace, "board", &["timeout", "300", "sh", "-c", &fetch]);
    let read: Vec<(u64, f64)> = read
        .as_array()
        .unwrap()
        .iter()
        .map(|point| (point[1].as_u64().unwrap(), point[2].as_f64().unwrap()))
        .collect();
    let written = in_pod(&namespace, "board", &["cat", "/logs/first/metrics.jsonl"]);
    let written: Vec<(u64, f64)> = written
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| (line["step"].as_u64().unwrap(), line["loss"].as_f64().unwrap()))
        .collect();
    assert_eq!(written.len(), 12, "{written:?}");
    assert_eq!(read.len(), written.len(), "{read:?}");
    for ((read_step, read_loss), (step, loss)) in read.into_iter().zip(written) {
        assert_eq!(read_step, step);
        assert!((read_loss - loss).abs() < 1e-6, "{read_loss} {loss}");
    }
}

#[test]
fn jupyterlab_runs_code_below_its_prefix() {
    if skip_without_node("jupyterlab_runs_code_below_its_prefix") {
        return;
    }
    cluster().require(Part::JupyterLab).unwrap();
    let namespace = TestNamespace::new(cluster(), "jupyter").unwrap();
    apply(
        &namespace,
        User::DataScientist,
        "apiVersion: v1
kind: Pod
metadata: {name: lab}
spec:
  terminationGracePeriodSeconds: 0
  securityContext: {runAsNonRoot: true}
  containers:
    - name: main
      image: 'kf.test/jupyterlab:1'
      env: [{name: NB_PREFIX, value: /notebook/team/lab}, {name: JUPYTER_TOKEN, value: secret}]
      readinessProbe: {httpGet: {path: /notebook/team/lab/api, port: 8888}, periodSeconds: 1, timeoutSeconds: 3}
",
    );
    wait_for(&namespace, "--for=condition=Ready", "pod/lab");
    let code = "
import glob, json, time, urllib.error, urllib.request
from jupyter_client import BlockingKernelClient
base = 'http://127.0.0.1:8888/notebook/team/lab/'
page = urllib.request.urlopen(base + 'lab?token=secret').read().decode()
assert 'JupyterLab' in page, page
try:
    urllib.request.urlopen(base + 'api/contents')
    raise SystemExit('no token was asked for')
except urllib.error.HTTPError as error:
    assert error.code == 403, error
start = urllib.request.Request(
    base + 'api/kernels', data=b'{}', headers={'Authorization': 'token secret'}
)
kernel = json.load(urllib.request.urlopen(start))['id']
client = BlockingKernelClient()
client.load_connection_file(glob.glob(f'/home/jovyan/.local/share/jupyter/runtime/*{kernel}*.json')[0])
client.start_channels()
while True:
    try:
        client.wait_for_ready(timeout=300)
        break
    except RuntimeError as starting:
        time.sleep(0.2)
client.execute_interactive(
    'print(6 * 7)', output_hook=lambda message: print(message['content'].get('text', ''), end='')
)
";
    let answer = in_pod(&namespace, "lab", &["timeout", "300", "python", "-c", code]);
    assert_eq!(answer.trim(), "42");
}

#[test]
fn kserve_serves_model_from_image_url_and_volume() {
    if skip_without_node("kserve_serves_model_from_image_url_and_volume") {
        return;
    }
    cluster().require(Part::ModelServer).unwrap();
    cluster().require(Part::KServe).unwrap();
    let namespace = TestNamespace::new(cluster(), "serving").unwrap();
    let name = namespace.name();
    apply(&namespace, User::Admin, &node_claim(name, "models"));
    apply(
        &namespace,
        User::DataScientist,
        "apiVersion: v1
kind: Pod
metadata: {name: files, labels: {app: files}}
spec:
  terminationGracePeriodSeconds: 0
  volumes: [{name: models, persistentVolumeClaim: {claimName: models}}]
  containers:
    - name: main
      image: kf.test/busybox:1
      command:
        - sh
        - -c
        - |
          echo weights > /models/model.bin
          echo .bin:application/octet-stream > /tmp/httpd.conf
          exec httpd -f -p 8080 -h /models -c /tmp/httpd.conf
      readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
      volumeMounts: [{name: models, mountPath: /models}]
---
apiVersion: v1
kind: Service
metadata: {name: files}
spec: {selector: {app: files}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata: {name: sums}
spec:
  supportedModelFormats: [{name: sum, version: '1', autoSelect: true}]
  protocolVersions: [v1]
  containers:
    - name: kserve-container
      image: kf.test/model-server:2
      args: ['--model_name={{.Name}}']
      env: [{name: MODEL_FILE, value: /mnt/models/model.bin}]
      ports: [{containerPort: 8080, protocol: TCP}]
      readinessProbe: {httpGet: {path: /v2/health/ready, port: 8080}, periodSeconds: 1}
      resources: {requests: {cpu: 20m, memory: 16Mi}}
",
    );
    wait_for(&namespace, "--for=condition=Ready", "pod/files");
    let served = |name: &str, predictor: &str| {
        format!(
            "---
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {{name: {name}}}
spec: {{predictor: {{{predictor}}}}}
"
        )
    };
    let from_image = "containers: [{name: kserve-container, image: 'kf.test/model-server:1', \
        args: [--model_name=image], ports: [{containerPort: 8080}], \
        readinessProbe: {httpGet: {path: /v1/models/image, port: 8080}, periodSeconds: 1}, \
        resources: {requests: {cpu: 20m, memory: 16Mi}}}]";
    let from = |uri: &str| format!("model: {{modelFormat: {{name: sum}}, storageUri: '{uri}'}}");
    let services = [
        served("image", from_image),
        served("url", &from(&format!("http://files.{name}.svc.cluster.local/model.bin"))),
        served("volume", &from("pvc://models/")),
    ];
    apply(&namespace, User::DataScientist, &services.concat());
    for (service, version) in [("image", "1"), ("url", "2"), ("volume", "2")] {
        wait_for(&namespace, "--for=condition=Ready", &format!("inferenceservice/{service}"));
        let url = format!("http://{service}-predictor/v1/models/{service}:predict");
        let body = "--post-data={\"instances\": [[1, 2, 3], 4]}";
        let answer = json_in_pod(&namespace, "files", &["wget", "-q", "-O", "-", body, &url]);
        assert_eq!(answer["predictions"], serde_json::json!([6, 4]), "{answer}");
        assert_eq!(answer["version"], version, "{answer}");
    }
    let vic = namespace.kubeconfig(User::Viewer);
    kubectl_ok(&vic, &["get", "inferenceservice", "image"]);
    let (code, answer) = kubectl(&vic, &["delete", "inferenceservice", "image"]);
    assert_eq!(code, Some(1), "{answer}");
    assert!(answer.contains("forbidden"), "{answer}");
    kubectl_ok(&cluster().kubeconfig(User::Admin), &["delete", "--wait=false", "persistentvolume", name]);
}

#[test]
fn model_server_without_model_reports_missing_file() {
    if skip_without_node("model_server_without_model_reports_missing_file") {
        return;
    }
    cluster().require(Part::ModelServer).unwrap();
    let namespace = TestNamespace::new(cluster(), "broken").unwrap();
    apply(
        &namespace,
        User::DataScientist,
        "apiVersion: v1
kind: Pod
metadata: {name: broken}
spec:
  restartPolicy: Never
  containers: [{name: main, image: 'kf.test/model-server:broken'}]
",
    );
    wait_for(&namespace, "--for=jsonpath={.status.phase}=Failed", "pod/broken");
    let dana = namespace.kubeconfig(User::DataScientist);
    assert_eq!(kubectl_ok(&dana, &["logs", "broken"]), "model.pkl: no such file\n");
    let code = "--output=jsonpath={.status.containerStatuses[0].state.terminated.exitCode}";
    assert_eq!(kubectl_ok(&dana, &["get", "pod", "broken", code]), "1");
}

#[test]
fn queue_holds_job_until_quota_is_free() {
    if skip_without_node("queue_holds_job_until_quota_is_free") {
        return;
    }
    cluster().require(Part::Kueue).unwrap();
    let namespace = TestNamespace::new(cluster(), "queue").unwrap();
    cluster().make_queue(namespace.name()).unwrap();
    let dana = namespace.kubeconfig(User::DataScientist);
    apply(&namespace, User::DataScientist, &queued("first", 10_000));
    wait_for(&namespace, "--for=condition=Suspended=False", "trainjob/first");
    apply(&namespace, User::DataScientist, &queued("second", 1));
    wait_for(&namespace, "--for=condition=Suspended=True", "trainjob/second");

    let queue = format!(
        "/apis/visibility.kueue.x-k8s.io/v1beta1/namespaces/{}/localqueues/{QUEUE}/pendingworkloads",
        namespace.name()
    );
    for user in [User::DataScientist, User::Viewer] {
        let waiting = waiting_in(&queue, &namespace.kubeconfig(user));
        assert_eq!(waiting["positionInLocalQueue"], 0, "{waiting}");
        assert!(waiting["metadata"]["name"].as_str().unwrap().contains("second"), "{waiting}");
    }
    let workloads = kubectl_ok(&dana, &["get", "workloads", "--output=json"]);
    assert!(workloads.contains("insufficient unused quota for cpu"), "{workloads}");

    kubectl_ok(&dana, &["delete", "trainjob", "first"]);
    wait_for(&namespace, "--for=condition=Complete", "trainjob/second");
}

/// The first pending workload of a queue. A job is suspended a moment before Kueue queues it.
#[track_caller]
fn waiting_in(queue: &str, kubeconfig: &Path) -> Value {
    until(|| {
        let answer = kubectl_ok(kubeconfig, &["get", "--raw", queue]);
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        let first = answer.pointer_mut("/items/0").map(Value::take);
        first.ok_or_else(|| format!("nothing waits in {queue}"))
    })
}

#[test]
fn pushed_image_is_pulled_by_digest() {
    if skip_without_node("pushed_image_is_pulled_by_digest") {
        return;
    }
    cluster().require(Part::Registry).unwrap();
    let namespace = TestNamespace::new(cluster(), "pull").unwrap();
    let repository = format!("{}/shell", namespace.name());
    let pushed = cluster().push("kf.test/busybox:1", &repository).unwrap();
    let prefix = format!("localhost:5000/{repository}@sha256:");
    assert!(pushed.starts_with(&prefix), "{pushed}");
    let pod = |name: &str, image: &str| {
        format!(
            "---
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  restartPolicy: Never
  containers: [{{name: main, image: '{image}', command: [echo, pulled]}}]
"
        )
    };
    let absent = format!("{prefix}{}", "0".repeat(64));
    apply(&namespace, User::DataScientist, &[pod("there", &pushed), pod("absent", &absent)].concat());
    wait_for(&namespace, "--for=jsonpath={.status.phase}=Succeeded", "pod/there");
    let dana = namespace.kubeconfig(User::DataScientist);
    assert_eq!(kubectl_ok(&dana, &["logs", "there"]), "pulled\n");
    let reason = "{.status.containerStatuses[0].state.waiting.reason}";
    let waiting = format!("--for=jsonpath={reason}=ErrImagePull");
    wait_for(&namespace, &waiting, "pod/absent");
}

#[test]
fn legacy_jobs_run_and_workers_reach_master() {
    if skip_without_node("legacy_jobs_run_and_workers_reach_master") {
        return;
    }
    cluster().require(Part::TrainingOperator).unwrap();
    let namespace = TestNamespace::new(cluster(), "legacy").unwrap();
    let replica = |epochs: u32| {
        format!(
            "{{replicas: 1, restartPolicy: Never, template: {{spec: {{containers: [{{name: pytorch, \
             image: 'kf.test/trainer:1', args: [--epochs={epochs}, --epoch-seconds=0.1]}}]}}}}}}"
        )
    };
    // A worker waits for its master's DNS name, so the master has to run until the worker is done.
    let (short, long) = (replica(2), replica(100_000));
    apply(
        &namespace,
        User::DataScientist,
        &format!(
            "apiVersion: kubeflow.org/v1
kind: PyTorchJob
metadata: {{name: alone}}
spec: {{pytorchReplicaSpecs: {{Master: {short}}}}}
---
apiVersion: kubeflow.org/v1
kind: PyTorchJob
metadata: {{name: pair}}
spec: {{pytorchReplicaSpecs: {{Master: {long}, Worker: {short}}}}}
"
        ),
    );
    wait_for(&namespace, "--for=condition=Succeeded", "pytorchjob/alone");
    wait_for(&namespace, "--for=create", "pod/pair-worker-0");
    wait_for(&namespace, "--for=jsonpath={.status.phase}=Succeeded", "pod/pair-worker-0");
    let vic = namespace.kubeconfig(User::Viewer);
    for pod in ["alone-master-0", "pair-worker-0"] {
        let log = kubectl_ok(&vic, &["logs", pod, "--container=pytorch"]);
        assert!(log.contains("epoch=2 loss="), "{log}");
    }
    let (code, answer) = kubectl(&vic, &["delete", "pytorchjob", "pair"]);
    assert_eq!(code, Some(1), "{answer}");
    assert!(answer.contains("forbidden"), "{answer}");
}
