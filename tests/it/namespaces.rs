//! Creating, selecting and deleting namespaces on a real API server.

use kf_tests::cluster::User;
use serde_json::Value;

use crate::common::team::Team;
use crate::common::terminal::{Terminal, shown};
use crate::common::{Home, Ran, registry};

/// The file with the selected namespace.
const SELECTION_FILE: &str = ".local/state/kf/selection/namespaces.json";

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.transcript()))
}

/// The namespace that a command would use now.
#[track_caller]
fn in_use(home: &Home) -> String {
    let ran = home.run(["whoami", "-o", "json"]).success();
    json(&ran)["namespace"].as_str().unwrap().to_owned()
}

/// A user who may create namespaces and delete hers. It is the test's own user, as cluster-wide rights of dana would
/// affect every test.
struct Maker<'a> {
    team: &'a Team,
    name: String,
    made: String,
}

impl<'a> Maker<'a> {
    fn new(team: &'a Team) -> Self {
        let name = format!("mia-{}", team.name());
        let made = format!("{}-x", team.name());
        team.apply(&format!(
            "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: {name}}}
rules:
- {{apiGroups: [''], resources: [namespaces], verbs: [create, list, watch]}}
- {{apiGroups: [''], resources: [namespaces], verbs: [get, delete], resourceNames: [{made}]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {name}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {name}}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {name}}}]
"
        ));
        team.wait_until_allowed(&name, "create", "namespaces");
        Self { team, name, made }
    }

    /// A home whose kubeconfig impersonates her as the admin.
    fn home(&self, commands: &[&str]) -> Home {
        let text = fs_err::read_to_string(self.team.kubeconfig(User::Admin)).unwrap();
        let mut kubeconfig: Value = serde_saphyr::from_str(&text).unwrap();
        kubeconfig["users"][0]["user"]["as"] = self.name.as_str().into();
        let home = Home::with_commands(commands);
        let path = home.path().join("mia.kubeconfig");
        fs_err::write(&path, kubeconfig.to_string()).unwrap();
        home.kubeconfig(&path)
    }

    /// Gives her the role `edit` in her namespace.
    fn grant_edit(&self) {
        let user = format!("--user={}", self.name);
        self.team.admin(&["-n", &self.made, "create", "rolebinding", "mia", "--clusterrole=edit", &user]);
        self.team.wait_until_allowed_in(&self.made, &self.name, "list", "pods");
    }

    fn is_there(&self) -> bool {
        let name = format!("namespace/{}", self.made);
        self.team.kubectl(User::Admin, &["get", &name]).status.success()
    }
}

impl Drop for Maker<'_> {
    fn drop(&mut self) {
        for kind in ["clusterrolebinding", "clusterrole"] {
            self.team.kubectl(User::Admin, &["delete", kind, &self.name]);
        }
        self.team.kubectl(User::Admin, &["delete", "namespace", &self.made, "--wait=false"]);
    }
}

#[test]
fn namespace_is_created_used_and_deleted() {
    let team = Team::new("spaces");
    let maker = Maker::new(&team);
    let made = maker.made.as_str();
    let home = maker.home(&["create", "delete", "use", "whoami"]);

    // Creating a namespace gives no rights in it; kf prints whom to ask for which role.
    let ran = home.run(["create", made, "--use"]).success();
    assert_eq!(ran.stdout, format!("namespace/{made} created and in use\n"));
    assert!(ran.stderr.contains(&format!("you have no rights in {made} yet")), "{}", ran.transcript());
    let label = "jsonpath={.metadata.labels.app\\.kubernetes\\.io/managed-by}";
    assert_eq!(team.admin(&["get", "namespace", made, "-o", label]), "kf");
    assert_eq!(in_use(&home), made);
    maker.grant_edit();

    let ran = home.run_unchanged(["create", made]).code(1);
    assert!(
        ran.stderr.contains("already exists: created") && ran.stderr.contains("managed by kf"),
        "{}",
        ran.transcript()
    );
    assert!(ran.stderr.ends_with(&format!("hint: kf use {made}\n")), "{}", ran.transcript());

    // `-n` and KF_NAMESPACE take precedence, and the kubeconfig is never written.
    let named = json(&home.run(["-n", team.name(), "whoami", "-o", "json"]).success());
    assert_eq!(named["namespace"], team.name());
    home.run(["use", "-"]).success();
    assert_eq!(in_use(&home), team.name(), "before the first selection it was the kubeconfig's");
    home.run(["use", made]).success();

    team.admin(&["-n", made, "create", "deployment", "api", "--image=kf.test/none", "--replicas=0"]);
    let ran = home.run_unchanged(["delete", made]).code(2);
    assert!(ran.stderr.contains("deployment: api"), "{}", ran.transcript());
    assert!(
        ran.stderr.ends_with(&format!("hint: kf delete {made} --confirm {made}\n")),
        "{}",
        ran.transcript()
    );
    assert!(maker.is_there());
    home.run(["delete", made, "--confirm", made, "--dry-run"]).success();
    assert!(maker.is_there());

    let mut terminal = Terminal::start(home.kf(["delete", made]));
    terminal.expect(&format!("Type {made} to delete it:"));
    terminal.type_text(&format!("{made}\n"));
    let (status, screen) = terminal.finish();
    let screen = shown(&screen);
    assert!(status.success() && screen.contains(&format!("namespace/{made} deleted")), "{screen}");
    assert!(!maker.is_there());

    // It is still selected, but cannot be selected again.
    home.run_unchanged(["use", made]).code(5);
}

#[test]
fn stuck_namespace_deletion_reports_finalizer() {
    let team = Team::new("held");
    let maker = Maker::new(&team);
    let made = maker.made.as_str();
    let home = maker.home(&["create", "delete"]);
    home.run(["create", made]).success();
    maker.grant_edit();
    team.apply(&format!(
        "apiVersion: v1
kind: ConfigMap
metadata: {{name: held, namespace: {made}, finalizers: [kf.test/hold]}}
"
    ));
    let mut following = Terminal::start(home.kf(["delete", made, "--confirm", made]));
    following.expect("kf.test/hold");
    following.interrupt();
    let ran = home.run(["delete", made, "--timeout", "1s"]).code(6);
    assert!(ran.stderr.contains("kf.test/hold"), "{}", ran.transcript());
    assert!(maker.is_there());
    let ran = home.run_unchanged(["create", made]).code(1);
    assert!(ran.stderr.contains("is still being deleted"), "{}", ran.transcript());

    // Once its controller removes the finalizer, the deletion completes.
    let patch = r#"{"metadata":{"finalizers":null}}"#;
    team.admin(&["-n", made, "patch", "configmap", "held", "--type=merge", "-p", patch]);
    home.run(["delete", made]).success();
    assert!(!maker.is_there());
}

#[test]
fn user_without_namespace_rights_sees_missing_right() {
    let team = Team::new("no-spaces");
    for user in [User::DataScientist, User::Viewer] {
        let home = team.home(user, &["create", "delete", "use"]);
        let ran = home.run_unchanged(["create", "kf-test-never-made"]).code(4);
        let who = user.name();
        assert!(ran.stderr.contains(&format!("✗ {who} has no `create namespaces`")), "{}", ran.transcript());
        assert!(ran.stderr.contains("hint: ask an administrator of the cluster"), "{}", ran.transcript());
        let ran = home.run_unchanged(["delete", team.name(), "--confirm", team.name()]).code(4);
        assert!(ran.stderr.contains(&format!("✗ {who} has no `delete namespaces`")), "{}", ran.transcript());
        assert!(ran.stderr.contains("hint: ask an administrator of the cluster"), "{}", ran.transcript());
        // Any role in a namespace is enough to select it.
        home.run(["use", team.name()]).success();
        home.run_unchanged(["use", "kf-test-never-made"]).code(4);
    }
    let home = team.home(User::NoRights, &["use"]);
    home.run_unchanged(["use", team.name()]).code(4);
}

#[test]
fn selection_for_another_cluster_is_refused() {
    let team = Team::new("stale");
    let home = team.home(User::DataScientist, &["use", "whoami"]);
    home.run(["use", team.name()]).success();
    let kept = fs_err::read_to_string(home.path().join(SELECTION_FILE)).unwrap();
    assert!(kept.contains("\"format\": 1"), "{kept}");

    // The context keeps its name but has another server.
    let text = fs_err::read_to_string(team.kubeconfig(User::DataScientist)).unwrap();
    let lines = text.lines().map(|line| match line.split_once("server:") {
        Some((before, _)) => format!("{before}server: https://127.0.0.1:1\n"),
        None => format!("{line}\n"),
    });
    let elsewhere = home.path().join("elsewhere.yaml");
    fs_err::write(&elsewhere, lines.collect::<String>()).unwrap();
    let elsewhere = elsewhere.to_str().unwrap();
    let ran = home.run_unchanged(["--kubeconfig", elsewhere, "whoami"]).code(2);
    assert!(
        ran.stderr.contains(&format!("namespace {} was chosen for another cluster", team.name())),
        "{}",
        ran.transcript()
    );
    assert!(ran.stderr.contains("hint: kf use NAMESPACE"), "{}", ran.transcript());
    // A namespace named explicitly is used.
    let ran = home.run_unchanged(["--kubeconfig", elsewhere, "-n", team.name(), "whoami"]);
    assert_eq!(ran.code, Some(7), "{}", ran.transcript());
    let home = home.env("KF_NAMESPACE", team.name());
    assert_eq!(home.run_unchanged(["--kubeconfig", elsewhere, "whoami"]).code, Some(7));
    assert_eq!(fs_err::read_to_string(home.path().join(SELECTION_FILE)).unwrap(), kept);
}

#[test]
fn newer_or_broken_selection_file_is_kept() {
    let team = Team::new("newer");
    let home = team.home(User::DataScientist, &["use", "whoami"]);
    home.run(["use", team.name()]).success();
    let path = home.path().join(SELECTION_FILE);
    for text in ["{\"format\": 2}", "not JSON"] {
        fs_err::write(&path, text).unwrap();
        let ran = home.run_unchanged(["whoami"]).code(1);
        assert!(ran.stderr.contains("hint: pass -n NAMESPACE, or "), "{}", ran.transcript());
        home.run_unchanged(["use", team.name()]).code(1);
        home.run_unchanged(["-n", team.name(), "whoami"]).success();
    }
}

#[test]
fn selecting_namespace_needs_its_own_permission() {
    let home = Home::empty();
    registry::set_up(&home, registry::published());
    let ran = home.run(["command", "add", "use"]).code(8);
    assert!(ran.stderr.contains("It may change which namespace later commands use"), "{}", ran.transcript());
    home.run(registry::hinted(&ran)).success();
    let help = home.run(["use", "--help"]).success().stdout;
    assert!(help.contains("change which namespace later commands use"), "{help}");
    let described = json(&home.run(["command", "describe", "use", "-o", "json"]));
    assert_eq!(described["selection"], true);

    // Editing the receipt does not grant it.
    registry::add(&home, "whoami");
    let receipt = home.path().join(".local/share/kf/receipts/whoami.json");
    let mut edited: Value = serde_json::from_slice(&fs_err::read(&receipt).unwrap()).unwrap();
    for part in ["permissions", "ceiling"] {
        edited[part]["selection"] = true.into();
    }
    edited["consent"]["permissions"]["selection"] = true.into();
    fs_err::write(&receipt, edited.to_string()).unwrap();
    assert_eq!(home.run_unchanged(["whoami"]).code, Some(8));
}
