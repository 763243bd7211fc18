//! Rights on a real cluster, and kf's refusals.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use kf_tests::cluster::User;
use serde_json::Value;

use crate::common::registry::{self, build, set_up};
use crate::common::team::Team;
use crate::common::{Home, attacks};
use crate::kf_snapshot;

const TRAIN: [&str; 4] = ["train", "mnist", "--runtime", "kf-test"];

#[test]
fn viewer_cannot_train_and_sees_owner() {
    let team = Team::new("viewer");
    let home = team.home(User::Viewer, &["train"]);
    let before = team.versions();
    kf_snapshot!(home.run_unchanged(TRAIN), @"
    exit: 4
    ----- stdout -----
    ----- stderr -----
    error: train is not allowed to patch trainjobs.trainer.kubeflow.org named mnist in [NAMESPACE]
      requested by train                   ✓
      allowed by registry                  ✓
      accepted by you                      ✓
      environment [NAMESPACE] ✓
      your own rights                      ✗ vic has no `patch trainjobs` in [NAMESPACE]
      also missing: create trainjobs.trainer.kubeflow.org
    hint: ask an owner of [NAMESPACE] (role admin or kubeflow-admin)
    ");

    // A user who can read the role bindings sees the owner.
    team.apply(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: owner}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: olga}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: bindings-view}
rules: [{apiGroups: [rbac.authorization.k8s.io], resources: [rolebindings], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: bindings-view}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: bindings-view}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: vic}]
",
    );
    team.wait_until_allowed("vic", "list", "rolebindings.rbac.authorization.k8s.io");
    let ran = home.run_unchanged(TRAIN).code(4);
    let hint = ran.stderr.lines().find(|line| line.starts_with("hint:")).unwrap();
    assert_eq!(
        hint,
        format!("hint: ask an owner of {} (olga, role admin) for the role edit", team.name()),
        "{}",
        ran.transcript()
    );
    let trained = team.versions().contains("TrainJob");
    assert_eq!((trained, before.contains("TrainJob")), (false, false));
}

#[test]
fn refusal_is_available_as_json() {
    let team = Team::new("viewer-json");
    let home = team.home(User::Viewer, &["train"]);
    let ran = home.run_unchanged(TRAIN.iter().chain(&["-o", "json"])).code(4);
    assert_eq!(ran.stdout, "");
    let error: Value = serde_json::from_str(&ran.stderr).unwrap();
    let error = &error["error"];
    assert_eq!(error["code"], "forbidden");
    assert_eq!(error["layer"], "rbac");
    assert_eq!(error["namespace"], team.name());
    assert_eq!(error["user"], "vic");
    assert_eq!(error["rule"]["group"], "trainer.kubeflow.org");
    assert_eq!(error["rule"]["resource"], "trainjobs");
    assert!(error["hint"].as_str().unwrap().starts_with("ask an owner of"), "{error}");
}

#[test]
fn user_without_rights_can_only_run_whoami() {
    let team = Team::new("nobody");
    let home = team.home(User::NoRights, &["status", "train", "whoami"]);
    kf_snapshot!(home.run_unchanged(["status"]), @"
    exit: 4
    ----- stdout -----
    ----- stderr -----
    error: status is not allowed to list pods in [NAMESPACE]
      requested by status                  ✓
      allowed by registry                  ✓
      accepted by you                      ✓
      environment [NAMESPACE] ✓
      your own rights                      ✗ nils has no `list pods` in [NAMESPACE]
      also missing: watch pods
    hint: ask an owner of [NAMESPACE] (role admin or kubeflow-admin)
    ");
    home.run_unchanged(TRAIN).code(4);
    kf_snapshot!(home.run_unchanged(["whoami"]), @"
    exit: 0
    ----- stdout -----
    USER         nils
    GROUPS       system:authenticated
    CLUSTER      kf-test-nils
    NAMESPACE    [NAMESPACE]
    ROLE         none: cannot list pods
    CREDENTIALS  valid for [TIME], until [DATE]
    ----- stderr -----
    ");
}

#[test]
fn data_scientist_can_train() {
    let team = Team::new("allowed");
    let home = team.home(User::DataScientist, &["train"]);
    kf_snapshot!(home.run(TRAIN), @"
    exit: 0
    ----- stdout -----
    trainjob/mnist created (runtime kf-test)
    ----- stderr -----
    train: follow it with `kf logs mnist -f`
    ");
    let manager = "jsonpath={.metadata.managedFields[*].manager}";
    assert!(team.admin(&["get", "trainjob", "mnist", "-o", manager]).contains("kf-train"));
}

#[test]
fn describe_shows_which_rules_the_user_has() {
    let team = Team::new("described");
    let home = team.home(User::Viewer, &["train"]);
    let described = home.run_unchanged(["command", "describe", "train"]).success();
    // A missing rule, an optional one, and one that the user has.
    let shown = ["trainjobs in trainer.kubeflow.org", "configmaps (optional)", "pods/log"];
    let shown = shown.map(|rule| described.rule(rule)).concat();
    kf_snapshot!(described.with_stdout(&shown), @"
    exit: 0
    ----- stdout -----
      ✗ get, list, watch, create, patch trainjobs in trainer.kubeflow.org
          you lack create trainjobs.trainer.kubeflow.org in [NAMESPACE]
          you lack patch trainjobs.trainer.kubeflow.org in [NAMESPACE]
      – create, patch, delete configmaps (optional)
          you lack create configmaps in [NAMESPACE]
          you lack patch configmaps in [NAMESPACE]
          you lack delete configmaps in [NAMESPACE]
      ✓ get pods/log
    ----- stderr -----
    ");
    let listed = home.run(["command", "list", "--available"]).success();
    assert_eq!(
        listed.row("train"),
        format!(
            "train 0.1.0 kubeflow not permitted you lack create trainjobs.trainer.kubeflow.org in {}",
            team.name()
        )
    );
    let hint = "whoami 0.1.0 kubeflow not installed Show your user, groups and role: kf command add whoami";
    assert_eq!(listed.row("whoami"), hint);
}

/// `kf command describe` shows each rule; `kf command add` only a summary.
#[test]
fn add_reports_whether_user_has_the_rights() {
    let team = Team::new("rights-line");
    let add = |user, command| team.home(user, &[]).run(["command", "add", command]).code(8);
    let ran = add(User::DataScientist, "status");
    let line = format!("You have all rights it needs in {}.   ✓ ", team.name());
    let summary: Vec<_> = ran.stderr.lines().skip_while(|shown| !shown.starts_with(&line)).collect();
    let rest = summary.first().is_some_and(|line| line.ends_with("rules, the rest is optional"));
    assert!(rest, "{}", ran.transcript());
    // The rights follow, next to the prompt.
    assert!(summary.get(1).is_some_and(|line| line.starts_with("In the namespace ")), "{}", ran.transcript());
    let ran = add(User::Viewer, "train");
    let line = format!("You lack rights it needs in {}.   ", team.name());
    assert!(ran.stderr.contains(&line), "{}", ran.transcript());
    assert!(ran.stderr.contains("\n  ✗ create trainjobs"), "{}", ran.transcript());
}

/// A team with a pod and a secret.
fn team_with_a_secret(hint: &str) -> Team {
    let team = Team::new(hint);
    team.apply(
        "apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {schedulerName: nobody, containers: [{name: main, image: 'kf.test/none'}]}
---
apiVersion: v1
kind: Secret
metadata: {name: token}
stringData: {password: correct-horse}
",
    );
    team
}

#[test]
fn rights_missing_from_manifest_are_refused_to_admin() {
    let team = team_with_a_secret("lying");
    let home = attacks::home(&["lying-manifest"]).kubeconfig(&team.kubeconfig(User::Admin));
    let before = team.versions();
    let ran = home.run_unchanged(["lying-manifest"]);
    assert!(!ran.stdout.contains("correct-horse") && !ran.stdout.contains("Secret"), "{}", ran.stdout);
    kf_snapshot!(ran.without_stdout(), @"
    exit: 4
    ----- stdout -----
    ----- stderr -----
    lying-manifest: lying-manifest is not allowed to list secrets in the whole cluster
    lying-manifest: lying-manifest is not allowed to create pods in [NAMESPACE]
    lying-manifest: lying-manifest is not allowed to delete pods named web in [NAMESPACE]
    lying-manifest: lying-manifest is not allowed to get secrets named token in [NAMESPACE]
    error: lying-manifest is not allowed to get secrets named token in [NAMESPACE]
      requested by lying-manifest ✗ no rule for `get secrets` in [NAMESPACE]
    hint: ask the author of lying-manifest to add the rule; `kf command describe lying-manifest` names the author
    ");
    assert_eq!(team.versions(), before);
}

#[test]
fn secret_data_needs_its_own_permission() {
    // `correct-horse` in base64.
    let (name, data) = ("token", "Y29ycmVjdC1ob3JzZQ==");
    let team = team_with_a_secret("secrets");
    let kubeconfig = team.kubeconfig(User::Admin);
    // The guest prints what it could read.
    let read = |command: &str| {
        let home = attacks::home(&[command]).kubeconfig(&kubeconfig);
        home.run([command]).success().stdout
    };
    let redacted = read("secret-reader");
    assert!(redacted.contains(name) && redacted.contains("password"), "{redacted}");
    assert!(!redacted.contains(data) && !redacted.contains("correct-horse"), "{redacted}");
    assert!(read("secret-data-reader").contains(data));
}

/// The guest prints every response and every error.
#[test]
fn server_errors_do_not_leak_hidden_data() {
    let team = team_with_a_secret("server-errors");
    team.apply(
        "
apiVersion: v1
kind: ConfigMap
metadata: {name: token}
data: {password: correct-horse}
",
    );
    let home = attacks::home(&["hidden-words"]).kubeconfig(&team.kubeconfig(User::Admin));
    let before = team.versions();
    let ran = home.run_unchanged(["hidden-words"]);
    for secret in ["correct-horse", "Y29ycmVjdC1ob3JzZQ", "admin"] {
        let leaks: Vec<&str> = ran.stdout.lines().filter(|line| line.contains(secret)).collect();
        assert!(leaks.is_empty(), "{leaks:?}");
    }
    assert!(ran.stdout.contains("the API server refused secret token in"), "{}", ran.transcript());
    // The user can read the config map, so kf shows the server's message about it; for a secret it never does.
    let about = |kind: &str| ran.stderr.contains(&format!("the API server about {kind} token in "));
    assert!(about("configmap") && !about("secret"), "{}", ran.transcript());
    assert!(!ran.stderr.contains("Y29ycmVjdC1ob3JzZQ"), "{}", ran.transcript());
    assert_eq!(team.versions(), before);
}

#[test]
fn command_cannot_leave_its_namespace() {
    let team = team_with_a_secret("escape");
    let home = attacks::home(&["namespace-escape"]).kubeconfig(&team.kubeconfig(User::Admin));
    let before = team.versions();
    let ran = home.run(["namespace-escape"]);
    // The guest fails if a request got through.
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.transcript());
    assert_eq!(team.versions(), before);
}

/// Publishes the registry again with a lower ceiling for `status`.
fn lower_ceiling(out: &std::path::Path) {
    let index = out.join("index");
    registry::copy(&registry::index(), &index);
    let entry = index.join("plugins/status.toml");
    let text = fs_err::read_to_string(&entry).unwrap();
    // Both for its namespace and for all namespaces.
    let lowered = text.replace("\"pods\"", "\"podtemplates\"");
    assert_ne!(lowered, text);
    fs_err::write(&entry, lowered).unwrap();
    let others = out.join("others");
    fs_err::create_dir(&others).unwrap();
    build(&index, &others, out);
}

#[test]
fn lowered_ceiling_applies_to_added_command() {
    let team = Team::new("ceiling");
    let out = tempfile::tempdir().unwrap();
    build(&registry::index(), &registry::only("status", out.path()), out.path());
    let home = Home::empty().kubeconfig(&team.kubeconfig(User::DataScientist));
    set_up(&home, out.path());
    registry::add(&home, "status");
    home.run(["status"]).success();
    lower_ceiling(out.path());
    home.run(["command", "list", "--available"]).success();
    let described = home.run_unchanged(["command", "describe", "status"]).success().stdout;
    assert!(described.contains("Its registry no longer allows it to read pods"), "{described}");
    kf_snapshot!(home.run_unchanged(["status"]), @"
    exit: 4
    ----- stdout -----
    ----- stderr -----
    error: status is not allowed to list pods in [NAMESPACE]
      requested by status ✓
      allowed by registry ✗ above the ceiling set by its admins
    hint: ask an admin of the registry; `kf command describe status` shows the ceiling
    ");
}

fn receipt(home: &Home, name: &str) -> (PathBuf, Value) {
    let path = home.path().join(format!(".local/share/kf/receipts/{name}.json"));
    let value = serde_json::from_str(&fs_err::read_to_string(&path).unwrap()).unwrap();
    (path, value)
}

#[test]
fn edited_receipt_grants_nothing() {
    let team = team_with_a_secret("edited");
    let secrets: Value = serde_json::json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]});
    let home = attacks::home(&["lying-manifest"]).kubeconfig(&team.kubeconfig(User::Admin));
    let (path, mut edited) = receipt(&home, "lying-manifest");
    for rules in ["/permissions/kubernetes", "/ceiling/kubernetes", "/consent/permissions/kubernetes"] {
        edited.pointer_mut(rules).unwrap().as_array_mut().unwrap().push(secrets.clone());
    }
    fs_err::write(&path, edited.to_string()).unwrap();
    kf_snapshot!(home.run_unchanged(["lying-manifest"]), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: invalid receipt of lying-manifest: its rights differ from those that were accepted
    hint: kf command remove lying-manifest && kf command add lying-manifest
    ");

    // The consent still applies if only the other layers are raised.
    let home = attacks::home(&["lying-manifest"]).kubeconfig(&team.kubeconfig(User::Admin));
    let (path, mut edited) = receipt(&home, "lying-manifest");
    for rules in ["/permissions/kubernetes", "/ceiling/kubernetes"] {
        edited.pointer_mut(rules).unwrap().as_array_mut().unwrap().push(secrets.clone());
    }
    fs_err::write(&path, edited.to_string()).unwrap();
    let ran = home.run_unchanged(["lying-manifest"]);
    kf_snapshot!(ran.without_stdout(), @"
    exit: 4
    ----- stdout -----
    ----- stderr -----
    lying-manifest: lying-manifest is not allowed to list secrets in the whole cluster
    lying-manifest: lying-manifest is not allowed to create pods in [NAMESPACE]
    lying-manifest: lying-manifest is not allowed to delete pods named web in [NAMESPACE]
    lying-manifest: lying-manifest is not allowed to get secrets named token in [NAMESPACE]
    error: lying-manifest is not allowed to get secrets named token in [NAMESPACE]
      requested by lying-manifest ✓
      allowed by registry         ✓
      accepted by you             ✗ you have not accepted this right for this version
    hint: kf command remove lying-manifest && kf command add kubeflow/lying-manifest@0.1.0
    ");
}

#[test]
fn dry_run_reports_changes_and_stores_none() {
    let team = Team::new("dry-run");
    let home = team.home(User::DataScientist, &["train"]);
    let before = team.versions();
    kf_snapshot!(home.run_unchanged(TRAIN.iter().chain(&["--nodes", "2", "--dry-run"])), @"
    exit: 0
    ----- stdout -----
    + apiVersion: trainer.kubeflow.org/v1alpha1
    + kind: TrainJob
    + metadata: {name: mnist, namespace: [NAMESPACE]}
    + spec:
    +   runtimeRef:
    +     apiGroup: trainer.kubeflow.org
    +     kind: ClusterTrainingRuntime
    +     name: kf-test
    +   trainer: {numNodes: 2}
    ~ spec.managedBy: trainer.kubeflow.org/trainjob-controller   set by the server
    ~ spec.suspend: false                                        set by the server
    ----- stderr -----
    would create trainjob/mnist in [NAMESPACE]   (server dry run: accepted)
    Nothing was changed.
    ");
    assert_eq!(team.versions(), before);
}

#[test]
fn read_only_run_refuses_changes() {
    let team = Team::new("read-only");
    let home = team.home(User::DataScientist, &["train"]);
    let before = team.versions();
    kf_snapshot!(home.run_unchanged(TRAIN.iter().chain(&["--read-only"])), @"
    exit: 4
    ----- stdout -----
    ----- stderr -----
    error: train is not allowed to patch trainjobs.trainer.kubeflow.org named mnist in [NAMESPACE]
      requested by train  ✓
      allowed by registry ✓
      accepted by you     ✓
      flags of this run   ✗ --read-only
    hint: run without --read-only
    ");
    assert_eq!(team.versions(), before);
}

#[test]
fn explain_shows_rule_of_every_call() {
    let team = Team::new("explained");
    let home = team.home(User::DataScientist, &["train", "whoami"]);
    kf_snapshot!(home.run(["whoami", "--explain"]), @"
    exit: 0
    ----- stdout -----
    USER         dana
    GROUPS       system:authenticated
    CLUSTER      kf-test-dana
    NAMESPACE    [NAMESPACE]
    ROLE         edit: can run and change workloads
    CREDENTIALS  valid for [TIME], until [DATE]
    ----- stderr -----
    4 calls, [TIME]
      POST  selfsubjectreviews.authentication.k8s.io         201 [TIME]  no rule needed  1 object
      POST  selfsubjectaccessreviews.authorization.k8s.io    201 [TIME]  no rule needed  1 object
      POST  selfsubjectaccessreviews.authorization.k8s.io    201 [TIME]  no rule needed  1 object
      POST  selfsubjectaccessreviews.authorization.k8s.io    201 [TIME]  no rule needed  1 object
    ");
    kf_snapshot!(home.run(TRAIN.iter().chain(&["--explain"])), @"
    exit: 0
    ----- stdout -----
    trainjob/mnist created (runtime kf-test)
    ----- stderr -----
    train: follow it with `kf logs mnist -f`
    8 calls, [TIME], allowed by rule 1 (get,list,watch,create,patch trainjobs) or rule 9 (get,list clustertrainingruntimes)
      GET    discover trainer.kubeflow.org                                                      200 [TIME]  no rule needed  1 object
      GET    discover trainer.kubeflow.org                                                      200 [TIME]  no rule needed  1 object
      POST   selfsubjectaccessreviews.authorization.k8s.io                                      201 [TIME]  no rule needed  1 object
      POST   selfsubjectaccessreviews.authorization.k8s.io                                      201 [TIME]  no rule needed  1 object
      GET    clustertrainingruntimes.trainer.kubeflow.org/kf-test                               200 [TIME]  rule 9          1 object
      GET    trainjobs.trainer.kubeflow.org/mnist                  [NAMESPACE]  404 [TIME]  rule 1
      PATCH  trainjobs.trainer.kubeflow.org/mnist                  [NAMESPACE]  201 [TIME]  rule 1          1 object
      PATCH  trainjobs.trainer.kubeflow.org/mnist                  [NAMESPACE]  201 [TIME]  rule 1          1 object
    ");
}

#[test]
fn calls_and_refusals_are_audited() {
    let team = team_with_a_secret("audited");
    let home = attacks::home(&["lying-manifest"]).kubeconfig(&team.kubeconfig(User::Admin));
    home.run(["lying-manifest"]).code(4);
    let log = home.path().join(".local/state/kf/audit.jsonl");
    assert_eq!(fs_err::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs_err::read_to_string(&log).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let entries: Vec<String> = lines
        .iter()
        .filter(|line| line["verb"] != "discover")
        .map(|line| {
            let word = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            [word("stage"), word("verb"), word("resource"), word("name"), word("layer")].join(" ")
        })
        .collect();
    insta::assert_snapshot!(entries.join("\n"), @"
    request get pods web 
    response get pods web 
    refused list secrets  manifest
    refused create pods  manifest
    refused delete pods web manifest
    refused get secrets token manifest
    ");
    assert!(lines.iter().all(|line| line["command"] == "lying-manifest"));
    assert!(lines.iter().all(|line| line["digest"].as_str().is_some_and(|digest| digest.len() == 64)));
    assert!(!text.contains("correct-horse"));
}

#[test]
fn refused_calls_do_not_flood_the_audit_log() {
    let team = team_with_a_secret("flooded");
    let home = attacks::home(&["refusal-flood"]).kubeconfig(&team.kubeconfig(User::Admin));
    let ran = home.run(["refusal-flood"]).success();
    assert_eq!(ran.stdout, "1000 refused, 2000 over budget\n");
    let text = fs_err::read_to_string(home.path().join(".local/state/kf/audit.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().filter(|line| line["stage"] == "refused").count(), 1000);
    assert_eq!(lines.last().unwrap()["note"], "further refusals of this run are not logged");
}
