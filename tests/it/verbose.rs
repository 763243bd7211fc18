//! `-v`, `-vv` and `KF_LOG`: what kf logs, and what it must not log.

use kf_tests::cluster::User;

use crate::common::team::Team;
use crate::common::{Home, output_of};
use crate::kf_snapshot;

#[test]
fn verbose_run_logs_each_call() {
    let team = Team::new("verbose");
    let home = team.home(User::DataScientist, &["whoami"]);
    let quiet = home.run(["whoami"]).success();
    assert_eq!(quiet.stderr, "");
    let verbose = home.run(["whoami", "-v"]).success();
    assert_eq!(verbose.stdout, quiet.stdout);
    kf_snapshot!(verbose.without_stdout(), @r#"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    [UPTIME]  INFO kf_command::run: starting command=whoami version=0.1.0 digest=[DIGEST] origin=kubeflow
    [UPTIME]  INFO kf_command::run: using cluster server="https://[ADDRESS]" context="kf-test-dana" namespace=[NAMESPACE] dry_run=false
    [UPTIME]  INFO call{verb="whoami" group="authentication.k8s.io" resource="selfsubjectreviews" decision="allowed" status=201}: kf_cluster::audit: close [TIMES]
    [UPTIME]  INFO call{verb="can-i" group="authorization.k8s.io" resource="selfsubjectaccessreviews" decision="allowed" status=201}: kf_cluster::audit: close [TIMES]
    [UPTIME]  INFO call{verb="can-i" group="authorization.k8s.io" resource="selfsubjectaccessreviews" decision="allowed" status=201}: kf_cluster::audit: close [TIMES]
    [UPTIME]  INFO call{verb="can-i" group="authorization.k8s.io" resource="selfsubjectaccessreviews" decision="allowed" status=201}: kf_cluster::audit: close [TIMES]
    "#);
    let before_the_command = home.run(["-v", "whoami"]).success();
    assert_eq!(before_the_command.stderr.lines().count(), 6, "{}", before_the_command.transcript());

    let detailed = home.run(["whoami", "-vv"]).success();
    assert!(detailed.stderr.contains("DEBUG kf_command::cluster: read the kubeconfig"));
    let only_the_cluster = output_of(home.kf(["whoami"]).env("KF_LOG", "kf_cluster=info"));
    let text = String::from_utf8(only_the_cluster.stderr).unwrap();
    assert!(text.contains("call{") && !text.contains("kf_command"), "{text}");
}

#[test]
fn verbose_failure_logs_transport_error() {
    let home = Home::with_commands(&["whoami"]);
    let kubeconfig = home.path().join("kubeconfig");
    let text = r#"{apiVersion: v1, kind: Config, current-context: c,
        clusters: [{name: c, cluster: {server: "https://127.0.0.1:1", proxy-url: "http://me:proxy-word@127.0.0.1:1"}}],
        users: [{name: u, user: {token: token-word}}],
        contexts: [{name: c, context: {cluster: c, user: u}}]}"#;
    fs_err::write(&kubeconfig, text).unwrap();
    let home = home.kubeconfig(&kubeconfig);
    let ran = home.run_unchanged(["whoami", "-vvv"]).code(7);
    assert!(ran.stderr.contains("DEBUG call{"), "{}", ran.transcript());
    assert!(ran.stderr.contains("request failed error="), "{}", ran.transcript());
    for word in ["proxy-word", "token-word"] {
        assert!(!ran.stderr.contains(word), "{}", ran.transcript());
    }
}

#[test]
fn verbose_failure_prints_causes() {
    let home = Home::empty();
    fs_err::write(home.path().join("x.wasm"), "").unwrap();
    fs_err::write(home.path().join("plugin.toml"), "format = 1\nname = \"x\"\n").unwrap();
    let wasm = home.path().join("x.wasm").display().to_string();
    let add = ["command", "add", &wasm];
    let quiet = home.run_unchanged(add).code(2);
    assert!(!quiet.stderr.contains("caused by"), "{}", quiet.transcript());
    kf_snapshot!(home.run_unchanged(add.iter().chain(&["-v"])), @r#"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: [HOME]/plugin.toml: cannot read plugin.toml: TOML parse error at line 2, column 1: unknown field `name`, expected one of `format`, `plugin`, `permissions`
      caused by: TOML parse error at line 2, column 1
          |
        2 | name = "x"
          | ^^^^
        unknown field `name`, expected one of `format`, `plugin`, `permissions`
    "#);
    let json = home.run_unchanged(add.iter().chain(&["-v", "-o", "json"]));
    let error: serde_json::Value = serde_json::from_str(&json.stderr).unwrap();
    assert!(error["error"]["causes"][0].as_str().unwrap().contains("line 2"), "{error}");
}

#[test]
fn invalid_or_foreign_log_filter_is_refused() {
    let home = Home::empty().env("KF_LOG", "kf_cluster=loud");
    kf_snapshot!(home.run_unchanged(["command", "list"]), @r#"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid KF_LOG: `kf_cluster=loud`: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5
    hint: KF_LOG=debug kf …, or KF_LOG=info,kf_cluster=debug kf …
    "#);
    // Events of libraries are never shown, as they may contain headers.
    let home = Home::empty().env("KF_LOG", "info,hyper=trace");
    kf_snapshot!(home.run_unchanged(["command", "list"]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid KF_LOG: `hyper` is not part of kf
    hint: KF_LOG=debug kf …, or KF_LOG=info,kf_cluster=debug kf …
    ");
    let home = Home::empty().env("KF_LOG", "");
    home.run(["command", "list"]).success();
}
