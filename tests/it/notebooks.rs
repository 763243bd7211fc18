//! Notebook servers of both kinds on a real node, with a real JupyterLab.
//!
//! The controllers are fakes; pods, stateful sets, events and JupyterLab are real.

use kf_tests::cluster::{BUSYBOX, Cluster, JUPYTERLAB, Part, Profile, User, skip_without_node};
use serde_json::Value;

use crate::common::page::{self, Opened};
use crate::common::team::Team;
use crate::common::{Home, Ran};

fn team(hint: &str) -> Team {
    let cluster = Cluster::attach_or_start(Profile::Node).unwrap();
    cluster.require(Part::Notebooks).unwrap();
    cluster.require(Part::JupyterLab).unwrap();
    Team::with_node(hint)
}

/// State and reason of a server in the list.
fn listed(home: &Home, name: &str) -> (String, String) {
    let ran = home.run(["notebook", "ls", "-o", "json"]).success();
    let rows: Vec<Value> = serde_json::from_str(&ran.stdout).unwrap();
    let row = rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{}", ran.transcript()));
    let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
    (text("state"), text("why"))
}

/// Waits until the server has this state and reason.
#[track_caller]
fn until(home: &Home, name: &str, state: &str, why: &str) {
    crate::common::until(|| {
        let now_is = listed(home, name);
        let is_there = now_is.0 == state && now_is.1.contains(why);
        if is_there { Ok(()) } else { Err(format!("{name} is {now_is:?}, not {state} {why}")) }
    });
}

fn open(home: &Home, name: &str) -> Opened {
    Opened::start(home.kf(["notebook", "open", name, "--no-browser"]))
}

/// Opens, stops, starts and opens a server again; the same for both kinds.
fn check_lifecycle(home: &Home, kind: &str, name: &str) {
    assert_eq!(listed(home, name).0, "Running");
    let opened = open(home, name);
    let (status, body) = opened.get(&opened.path("lab"));
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("<title>JupyterLab</title>"), "{body}");
    assert_eq!(opened.get("/lab").0, 404, "outside its prefix");

    let stopped = home.run(["notebook", "stop", name]).success();
    assert_eq!(stopped.stdout, format!("{kind}/{name} stopped\n"), "{}", stopped.transcript());
    // `notebook open` ends with a message, and its port is released.
    let port = opened.port();
    let (code, stderr) = opened.finish();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.ends_with(&format!("{kind}/{name} was stopped")), "{stderr}");
    assert!(page::get(port, "/").is_err());
    assert_eq!(listed(home, name).0, "Stopped");
    let refused = home.run(["notebook", "open", name]).code(1);
    assert!(
        refused.stderr.contains(&format!("hint: kf notebook start {name} --wait")),
        "{}",
        refused.transcript()
    );

    let started = home.run(["notebook", "start", name, "--wait"]).success();
    assert_eq!(started.stdout, format!("{kind}/{name} running\n"), "{}", started.transcript());
    let opened = open(home, name);
    assert_eq!(opened.get(&opened.path("lab")).0, 200);
    assert_eq!(opened.interrupt(), Some(130));
    assert_eq!(listed(home, name).0, "Running", "interrupting `open` keeps it running");
}

#[test]
fn notebook_is_created_opened_stopped_and_started() {
    if skip_without_node("notebook_is_created_opened_stopped_and_started") {
        return;
    }
    let team = team("notebook");
    let home = team.home(User::DataScientist, &["notebook", "jupyter"]);
    let ran =
        home.run(["notebook", "create", "alice", "--image", JUPYTERLAB, "--cpu", "500m", "--wait"]).success();
    assert_eq!(ran.stdout, "notebook/alice running\n", "{}", ran.transcript());
    check_lifecycle(&home, "notebook", "alice");

    // `kf jupyter` starts and opens it; its pod is replaced while the page is open.
    home.run(["notebook", "stop", "alice"]).success();
    let mut opened = Opened::start(home.kf(["jupyter", "--no-browser"]));
    assert_eq!(opened.get(&opened.path("lab")).0, 200);
    team.admin(&["delete", "pod", "alice-0", "-n", team.name(), "--wait=false"]);
    opened.expect("reconnected to notebook/alice");
    assert_eq!(opened.get(&opened.path("lab")).0, 200);
}

#[test]
fn workspace_is_created_opened_stopped_and_started() {
    if skip_without_node("workspace_is_created_opened_stopped_and_started") {
        return;
    }
    let team = team("workspace");
    let kind = team.name().to_owned();
    team.apply(&format!(
        "apiVersion: kubeflow.org/v1beta1
kind: WorkspaceKind
metadata: {{name: {kind}}}
spec:
  spawner: {{displayName: JupyterLab}}
  podTemplate:
    probes: {{readinessProbe: {{tcpSocket: {{port: 8888}}, periodSeconds: 1}}}}
    volumeMounts: {{home: /home/jovyan}}
    ports: [{{id: lab, defaultDisplayName: JupyterLab, protocol: HTTP}}]
    extraEnv: [{{name: NB_PREFIX, value: '{{{{ httpPathPrefix \"lab\" }}}}'}}]
    options:
      imageConfig:
        spawner: {{default: jl}}
        values: [{{id: jl, spawner: {{displayName: JupyterLab}}, spec: {{image: '{JUPYTERLAB}', ports: [{{id: lab, port: 8888}}]}}}}]
      podConfig:
        spawner: {{default: tiny}}
        values:
          - {{id: tiny, spawner: {{displayName: Tiny}}, spec: {{resources: {{requests: {{cpu: 100m, memory: 64Mi}}}}}}}}
          - {{id: old, spawner: {{displayName: Old}}, redirect: {{to: tiny}}, spec: {{resources: {{requests: {{cpu: 50m, memory: 64Mi}}}}}}}}
"
    ));
    let home = team.home(User::DataScientist, &["notebook", "status"]);
    // dana cannot read workspace kinds, so the ids have to be given.
    let ran = home.run(["notebook", "create", "w", "--kind", &kind]).code(2);
    assert!(ran.stderr.contains("no permission to read workspace kinds"), "{}", ran.transcript());
    let options = ["--image-option", "jl", "--pod-option", "old"];
    let ran = home.run(["notebook", "create", "w", "--kind", &kind].iter().chain(&options)).success();
    assert_eq!(ran.stdout, "workspace/w created\n");
    // Like kubectl, kf accepts the short name of the kind.
    assert_eq!(team.admin(&["get", "ws/w", "-o", "name"]).trim(), "workspace.kubeflow.org/w");
    assert_eq!(home.run(["status", "ws/w"]).success().row("workspace").split(' ').nth(1), Some("w"));
    home.run(["notebook", "start", "w", "--wait"]).success();

    // The old option redirects to a new one, which applies only after an update.
    until(&home, "w", "Running", "options jl and tiny replace the current ones");
    let ran = home.run(["notebook", "start", "w", "--update", "--yes", "--wait"]).success();
    assert_eq!(ran.stdout, "workspace/w running\n", "{}", ran.transcript());
    assert_eq!(listed(&home, "w"), ("Running".to_owned(), String::new()));
    check_lifecycle(&home, "workspace", "w");
    team.admin(&["delete", "workspacekind", &kind]);
}

#[test]
fn failing_notebook_recovers_with_new_image_or_quota() {
    if skip_without_node("failing_notebook_recovers_with_new_image_or_quota") {
        return;
    }
    let team = team("recovered");
    let home = team.home(User::DataScientist, &["notebook", "status"]);
    // With a missing image, the pod would never pick up a changed spec.
    home.run(["notebook", "create", "stuck", "--image", "kf.test/nosuch:1"]).success();
    until(&home, "stuck", "Failed", "cannot pull image kf.test/nosuch:1");
    let ran = home.run(["notebook", "start", "stuck", "--image", JUPYTERLAB, "--wait"]).success();
    assert!(
        ran.stderr.contains("is not ready and would not be updated: stopping it first"),
        "{}",
        ran.transcript()
    );
    assert_eq!(listed(&home, "stuck").0, "Running");
    home.run(["notebook", "stop", "stuck"]).success();

    // A pod that cannot be created leaves the status empty.
    team.apply(&format!(
        "apiVersion: v1\nkind: ResourceQuota\nmetadata: {{name: none, namespace: {}}}\nspec: {{hard: {{pods: '0'}}}}\n",
        team.name()
    ));
    home.run(["notebook", "start", "stuck"]).success();
    until(&home, "stuck", "Pending", "exceeded quota: none");
    // All commands report the same state.
    let status: Value =
        serde_json::from_str(&home.run(["status", "stuck", "-o", "json"]).success().stdout).unwrap();
    let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
    assert_eq!((text("state"), text("why")), listed(&home, "stuck"));
    let ran = home.run(["notebook", "start", "stuck", "--wait"]).code(1);
    assert!(ran.stderr.contains("exceeded quota: none"), "{}", ran.transcript());
    let ran = home.run(["notebook", "start", "stuck"]).success();
    let refused = "notebook/stuck was started already: exceeded quota: none, requested: pods=1";
    assert!(ran.stdout.starts_with(refused), "{}", ran.transcript());
    team.admin(&["delete", "quota", "none", "-n", team.name()]);

    // A server that is being deleted cannot be started, so no hint suggests it.
    let finalizers = |list: &str| {
        let patch = format!(r#"{{"metadata": {{"finalizers": {list}}}}}"#);
        team.admin(&["patch", "notebook", "stuck", "-n", team.name(), "--type=merge", "-p", &patch]);
    };
    finalizers(r#"["team.example/backup"]"#);
    team.admin(&["delete", "notebook", "stuck", "-n", team.name(), "--wait=false"]);
    let again = home.run(["notebook", "create", "stuck", "--image", JUPYTERLAB]);
    let start = home.run(["notebook", "start", "stuck"]);
    finalizers("null");
    for ran in [again, start] {
        assert_eq!(ran.code, Some(1), "{}", ran.transcript());
        assert!(ran.stderr.contains("is being deleted"), "{}", ran.transcript());
        assert!(ran.stderr.ends_with("hint: kf status notebook/stuck\n"), "{}", ran.transcript());
    }
}

#[test]
fn hint_for_ambiguous_name_keeps_subcommand() {
    if skip_without_node("hint_for_ambiguous_name_keeps_subcommand") {
        return;
    }
    let team = team("twins");
    let of = |version: &str, kind: &str, spec: &str| {
        let stopped = "annotations: {kubeflow-resource-stopped: '2026-01-01T12:00:00Z'}";
        format!(
            "apiVersion: kubeflow.org/{version}\nkind: {kind}\nmetadata: {{name: ok, {stopped}}}\nspec: {spec}\n---\n"
        )
    };
    let notebook = of("v1", "Notebook", "{template: {spec: {containers: [{name: ok, image: i}]}}}");
    let options = "options: {imageConfig: a, podConfig: b}";
    let spec = format!("{{paused: true, kind: none, podTemplate: {{volumes: {{home: files}}, {options}}}}}");
    team.apply(&(notebook + &of("v1beta1", "Workspace", &spec)));
    let home = team.home(User::DataScientist, &["notebook"]);
    for words in [&["stop", "ok"][..], &["start", "ok"], &["open", "ok", "--no-browser"]] {
        let ran = home.run_unchanged(["-n", team.name(), "notebook"].iter().chain(words)).code(2);
        let rest = words.join(" ").replacen("ok", "notebook/ok", 1);
        let hint = format!("hint: kf -n {} notebook {rest}\n", team.name());
        assert!(ran.stderr.ends_with(&hint), "{}", ran.transcript());
    }
    let ran = home.run(["notebook", "stop", "workspace/ok"]).success();
    assert!(
        ran.stderr.contains("workspace/ok refers to volume claims that do not exist: files"),
        "{}",
        ran.transcript()
    );
    assert_eq!(ran.stdout, "workspace/ok was stopped already\n");
}

#[test]
fn name_invalid_for_pods_is_reported() {
    if skip_without_node("name_invalid_for_pods_is_reported") {
        return;
    }
    let team = team("names");
    let home = team.home(User::DataScientist, &["notebook"]);
    // Refused by kf, and reported for one created otherwise.
    let ran = home.run(["notebook", "create", "a.b", "--image", JUPYTERLAB]).code(2);
    assert!(ran.stderr.contains("is not allowed, only a-z, 0-9 and -"), "{}", ran.transcript());
    team.apply(&ignoring_sigterm("a.b", team.name()));
    until(&home, "a.b", "Failed", "is not allowed, only a-z, 0-9 and -");
}

#[test]
fn slow_pod_termination_is_reported_as_stopping() {
    if skip_without_node("slow_pod_termination_is_reported_as_stopping") {
        return;
    }
    let team = team("slow");
    let home = team.home(User::DataScientist, &["notebook"]);
    team.apply(&ignoring_sigterm("again", team.name()));
    until(&home, "again", "Running", "");

    // Recreated at once with the same name.
    team.admin(&["delete", "notebook", "again", "-n", team.name()]);
    team.apply(&ignoring_sigterm("again", team.name()));
    let (state, why) = listed(&home, "again");
    assert_eq!(
        (state.as_str(), why.as_str()),
        ("Pending", "waiting for pod again-0 of a deleted again to terminate")
    );
    until(&home, "again", "Running", "");
    // The status of its pod is "running" until it has ended.
    let ran: Ran = home.run(["notebook", "stop", "again", "--no-wait"]).success();
    assert_eq!(ran.stdout, "notebook/again stopping\n");
    assert_eq!(listed(&home, "again").0, "Stopping");
    until(&home, "again", "Stopped", "by kf notebook stop");
}

#[test]
fn culled_notebook_reports_idle() {
    if skip_without_node("culled_notebook_reports_idle") {
        return;
    }
    let team = Team::with_node("culled");
    team.require(Part::Notebooks);
    let home = team.home(User::DataScientist, &["notebook"]);
    let server = |name: &str, more: &str| {
        team.apply(&format!(
            "apiVersion: kubeflow.org/v1
kind: Notebook
metadata: {{name: {name}}}
spec: {{template: {{spec: {{{more} containers: [{{name: {name}, image: '{BUSYBOX}', command: [httpd, -f, -p, '8888']}}]}}}}}}
"
        ));
    };
    let begin_culling = |name: &str| {
        team.admin(&["annotate", "notebook", name, "kf.test/idle-seconds=2"]);
    };
    server("idle", "");
    home.run(["notebook", "start", "idle", "--wait"]).success();
    // With the page open, but idle.
    let opened = open(&home, "idle");
    begin_culling("idle");
    let (code, stderr) = opened.finish();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.ends_with("notebook/idle was stopped"), "{stderr}");
    until(&home, "idle", "Stopped", "not by kf: it was idle, or another user stopped it");

    // While `notebook start --wait` waits.
    server("nowhere", "nodeSelector: {no: where},");
    begin_culling("nowhere");
    let ran = home.run(["notebook", "start", "nowhere", "--wait"]).code(1);
    let expected =
        "notebook/nowhere was stopped while it was starting: it was idle, or another user stopped it";
    assert!(ran.stderr.contains(expected), "{}", ran.transcript());
}

/// A server that ignores SIGTERM.
fn ignoring_sigterm(name: &str, namespace: &str) -> String {
    let container = name.replace('.', "-");
    format!(
        "apiVersion: kubeflow.org/v1
kind: Notebook
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  template:
    spec:
      terminationGracePeriodSeconds: 8
      containers:
        - name: {container}
          image: kf.test/busybox:1
          command: [sh, -c, \"trap '' TERM; while true; do sleep 1; done\"]
"
    )
}

#[test]
fn viewer_lists_notebooks_but_cannot_use_them() {
    if skip_without_node("viewer_lists_notebooks_but_cannot_use_them") {
        return;
    }
    let team = team("notebook-viewer");
    team.home(User::DataScientist, &["notebook"])
        .run(["notebook", "create", "alice", "--image", JUPYTERLAB, "--wait"])
        .success();
    let home = team.home(User::Viewer, &["notebook", "jupyter"]);
    assert_eq!(listed(&home, "alice").0, "Running");
    for (words, missing) in [
        (vec!["notebook", "stop", "alice"], "✗ vic has no `patch notebooks`"),
        (vec!["notebook", "open", "alice"], "pods/portforward`"),
        (vec!["jupyter"], "pods/portforward`"),
        (vec!["notebook", "create", "bob", "--image", JUPYTERLAB], "✗ vic has no `create notebooks`"),
    ] {
        let ran = home.run_unchanged(&words).code(4);
        assert!(ran.stderr.contains("your own rights"), "{}", ran.transcript());
        assert!(ran.stderr.contains(missing), "{}", ran.transcript());
        assert!(ran.stderr.contains("hint: ask an owner of"), "{}", ran.transcript());
    }
    assert_eq!(listed(&home, "alice").0, "Running");
}
