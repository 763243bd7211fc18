//! `kf pipeline` with a fake of the Kubeflow Pipelines API server: it serves the recorded API, checks tokens by
//! TokenReview and rights by SubjectAccessReview, and creates real pods. See
//! `tests/cluster/images/pipelines/main.go`.

use kf_tests::cluster::{PIPELINES, Part, User, skip_without_node};

use crate::common::team::Team;
use crate::common::{Home, Ran};

const HELLO: &str = "
pipelineInfo: {name: hello}
schemaVersion: 2.1.0
sdkVersion: kfp-2.13.0
deploymentSpec: {executors: {}}
root:
  inputDefinitions:
    parameters:
      who: {parameterType: STRING}
  dag:
    tasks:
      greet: {}
      wave: {}
";

/// A namespace with the server, and one with its users.
struct Pipelines {
    server: Team,
    team: Team,
}

impl Pipelines {
    fn new(hint: &str) -> Self {
        let server = Team::with_node(&format!("{hint}-server"));
        server.require(Part::Pipelines);
        let pipelines = Self { team: Team::with_node(hint), server };
        pipelines.start();
        pipelines
    }

    fn start(&self) {
        let (server, team) = (self.server.name(), self.team.name());
        self.server.apply(&format!(
            "apiVersion: v1
kind: ServiceAccount
metadata: {{name: ml-pipeline}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: reviews-{server}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: 'system:auth-delegator'}}
subjects: [{{kind: ServiceAccount, name: ml-pipeline, namespace: {server}}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: reach}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}}
subjects:
  - {{apiGroup: rbac.authorization.k8s.io, kind: User, name: dana}}
  - {{apiGroup: rbac.authorization.k8s.io, kind: User, name: vic}}
---
apiVersion: v1
kind: Pod
metadata: {{name: ml-pipeline, labels: {{app: ml-pipeline}}}}
spec:
  serviceAccountName: ml-pipeline
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: {PIPELINES}
      env: [{{name: TASK_IMAGE, value: 'kf.test/busybox:1'}}]
      readinessProbe: {{tcpSocket: {{port: 8888}}, periodSeconds: 1}}
"
        ));
        self.team.apply(&format!(
            "apiVersion: v1
kind: ServiceAccount
metadata: {{name: default-editor}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: pipelines}}
rules: [{{apiGroups: [pipelines.kubeflow.org], resources: [runs, experiments, pipelines], verbs: [get, list, create]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: pipelines}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: pipelines}}
subjects:
  - {{kind: ServiceAccount, name: default-editor, namespace: {team}}}
  - {{apiGroup: rbac.authorization.k8s.io, kind: User, name: dana}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: runs-pods}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}}
subjects: [{{kind: ServiceAccount, name: ml-pipeline, namespace: {server}}}]
"
        ));
        self.server.wait("condition=Ready", &["pod/ml-pipeline"]);
    }

    fn home(&self, user: User) -> Home {
        let home = self.team.home(user, &["pipeline"]);
        fs_err::write(home.path().join("hello.yaml"), HELLO).unwrap();
        fs_err::write(home.path().join("bad.yaml"), HELLO.replace("wave", "fail-at-once")).unwrap();
        home
    }

    fn run(&self, home: &Home, words: &[&str]) -> Ran {
        home.run([&["pipeline"][..], words, &["--server-namespace", self.server.name()]].concat())
    }
}

impl Drop for Pipelines {
    fn drop(&mut self) {
        let binding = format!("clusterrolebinding/reviews-{}", self.server.name());
        let _ = self.server.kubectl(User::Admin, &["delete", &binding, "--ignore-not-found"]);
    }
}

#[test]
fn pipeline_is_run_waited_for_and_read() {
    if skip_without_node("pipeline_is_run_waited_for_and_read") {
        return;
    }
    let pipelines = Pipelines::new("pipeline");
    let home = pipelines.home(User::DataScientist);
    let kf = |words: &[&str]| pipelines.run(&home, words);

    let ran = kf(&["run", "hello.yaml", "-p", "who=Ada", "--name", "hello-1", "--wait"]).success();
    assert!(ran.stderr.contains("experiment Default created"), "{}", ran.transcript());
    assert!(ran.stderr.contains("hello-1 succeeded"), "{}", ran.transcript());

    let ran = kf(&["run", "bad.yaml", "-p", "who=Ada", "--name", "bad-1", "--wait"]).code(1);
    assert!(
        ran.stderr.contains("task fail-at-once failed: the task ended with an error"),
        "{}",
        ran.transcript()
    );

    assert_eq!(kf(&["ls", "-o", "name"]).success().stdout, "run/bad-1\nrun/hello-1\n");
    assert_eq!(kf(&["ls", "pipelines", "-o", "name"]).success().stdout, "pipeline/stored\n");
    let status = kf(&["status", "hello-1"]).success();
    for expected in ["who=Ada", "greet", "wave", "Succeeded"] {
        assert!(status.stdout.contains(expected), "{}", status.transcript());
    }
    let logs = kf(&["logs", "hello-1"]).success().stdout;
    assert!(logs.contains("[greet] task greet\n") && logs.contains("[wave] task wave\n"), "{logs}");
    let logs = kf(&["logs", "hello-1", "--task", "greet"]).success().stdout;
    assert!(
        logs.starts_with("task greet\n") && logs.contains("\"who\":\"Ada\"") && !logs.contains("wave"),
        "{logs}"
    );
    kf(&["run", "--pipeline", "stored@v1", "--name", "stored-1", "--wait"]).success();
    kf(&["run", "hello.yaml", "-p", "whom=Ada"]).code(2);
    kf(&["status", "nothing"]).code(5);
}

#[test]
fn viewer_cannot_run_pipeline() {
    if skip_without_node("viewer_cannot_run_pipeline") {
        return;
    }
    let pipelines = Pipelines::new("no-pipeline");
    let home = pipelines.home(User::Viewer);
    let ran = pipelines.run(&home, &["run", "hello.yaml", "-p", "who=Vic"]).code(4);
    let team = pipelines.team.name();
    let says = format!("you are not allowed to list experiments.pipelines.kubeflow.org in {team}");
    assert!(ran.stderr.contains(&says), "{}", ran.transcript());
    assert!(ran.stderr.contains("hint: pipeline: ask an owner of"), "{}", ran.transcript());
    assert_eq!(pipelines.team.admin(&["get", "pods", "-o", "name"]), "");

    // A user with the rights but without a token: the broker names the layer.
    pipelines.team.apply(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: vic-pipelines}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: pipelines}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: vic}]
",
    );
    pipelines.team.wait_until_allowed("vic", "list", "runs.pipelines.kubeflow.org");
    let ran = pipelines.run(&home, &["ls"]).code(4);
    assert!(ran.stderr.contains("✗ vic has no `create serviceaccounts/token`"), "{}", ran.transcript());
}
