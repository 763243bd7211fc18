//! `kf doctor` reports each problem, and no problem hides another.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use kf_tests::cluster::User;
use serde_json::{Value, json};

use crate::common::faulty::{FaultyServer, Response};
use crate::common::requests::Request;
use crate::common::servers::{self, expired_identity, kubeconfig_for};
use crate::common::team::Team;
use crate::common::terminal::Terminal;
use crate::common::{Home, Ran};
use crate::kf_snapshot;

/// Runs `kf doctor` with machine-specific values masked.
fn doctor(home: &Home, kubeconfig: &str) -> Ran {
    home.run(["doctor", "--kubeconfig", kubeconfig]).masked(std::env::consts::ARCH, "[ARCH]")
}

fn set_mode(path: &Path, mode: u32) {
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A kubeconfig with mode 0600, for a server that refuses connections.
fn private_kubeconfig(home: &Home) -> String {
    let kubeconfig = kubeconfig_for(home, &format!("https://{}", servers::closed()), None);
    set_mode(Path::new(&kubeconfig), 0o600);
    kubeconfig
}

/// The same with other credentials.
fn kubeconfig_of(home: &Home, user: &Value) -> String {
    let kubeconfig = private_kubeconfig(home);
    let text = fs_err::read_to_string(&kubeconfig).unwrap();
    fs_err::write(&kubeconfig, text.replace("{token: secret-token}", &user.to_string())).unwrap();
    kubeconfig
}

/// The line of a check and the lines below it, with single spaces.
fn lines_of(ran: &Ran, check: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_it = |line: &&str| line.split_whitespace().nth(1) == Some(check) && !line.starts_with(' ');
    let mut lines = ran.stdout.lines().skip_while(|line| !is_it(line));
    let head = lines.next().unwrap_or_else(|| panic!("no check {check}: {}", ran.transcript()));
    let below = lines.take_while(|line| line.starts_with("   "));
    std::iter::once(head).chain(below).map(words).collect()
}

/// The checks of the JSON report by their names.
fn checks(ran: &Ran) -> BTreeMap<String, Value> {
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    checks.iter().map(|check| (check["name"].as_str().unwrap().to_owned(), check.clone())).collect()
}

#[test]
fn without_kubeconfig_only_cluster_checks_are_skipped() {
    let home = Home::with_commands(&["train"]);
    let ran = home.run_unchanged(["doctor"]).masked(std::env::consts::ARCH, "[ARCH]");
    kf_snapshot!(ran, @"
    exit: 1
    ----- stdout -----
    ✓ kf           0.1.0 on linux [ARCH]
    ✗ kubeconfig   no kubeconfig: [HOME]/.kube/config does not exist
                   hint: get a kubeconfig from the cluster's admin, then: kf --kubeconfig FILE …
    – server       not checked: no kubeconfig
    – credentials  not checked: no kubeconfig
    – namespace    not checked: no kubeconfig
    – cluster      not checked: no kubeconfig
    – rights       not checked: no kubeconfig
    ✓ train        train 0.1.0 (kubeflow)
    ✓ registry     kubeflow, valid for [TIME], refreshed [TIME] ago
    ✓ home         [HOME]/.local/share/kf
    ✓ terminal     stdout is not a terminal
    – completion   not checked: SHELL is not set
    ----- stderr -----
    error: 1 of 12 checks failed
    ");
}

#[test]
fn unreachable_server_is_reported_once() {
    let home = Home::with_commands(&["train"]);
    let kubeconfig = private_kubeconfig(&home);
    kf_snapshot!(doctor(&home, &kubeconfig), @"
    exit: 1
    ----- stdout -----
    ✓ kf           0.1.0 on linux [ARCH]
    ✓ kubeconfig   [HOME]/kubeconfig, context lab
    ✗ server       cannot connect to the API server https://[ADDRESS]: Connection refused (os error 111)
                   hint: check the server in your kubeconfig, or use another context
    – credentials  token, not checked: the server does not answer
    – namespace    team-a, from the context, not checked
    – cluster      not checked: the server does not answer
    – rights       not checked: the server does not answer
    ✓ train        train 0.1.0 (kubeflow)
    ✓ registry     kubeflow, valid for [TIME], refreshed [TIME] ago
    ✓ home         [HOME]/.local/share/kf
    ✓ terminal     stdout is not a terminal
    – completion   not checked: SHELL is not set
    ----- stderr -----
    error: 1 of 12 checks failed
    ");
}

#[test]
fn invalid_namespace_does_not_hide_other_problems() {
    let home = Home::with_commands(&["train"]);
    let ran = home.run(["doctor", "--kubeconfig", &private_kubeconfig(&home), "-n", "A_B"]).code(1);
    assert!(lines_of(&ran, "kubeconfig")[0].starts_with('✓'), "{}", ran.transcript());
    assert!(lines_of(&ran, "server")[0].contains("cannot connect to the API server"), "{}", ran.transcript());
    let namespace = lines_of(&ran, "namespace");
    assert_eq!(namespace[0], "✗ namespace invalid namespace `A_B`: only lower-case letters, digits and `-`");
}

#[test]
fn silent_server_check_times_out() {
    let home = Home::with_commands(&["train"]);
    let kubeconfig = kubeconfig_for(&home, &format!("https://{}", servers::silent()), None);
    let ran = home.run(["doctor", "--kubeconfig", &kubeconfig, "--request-timeout", "1s"]).code(1);
    let server = lines_of(&ran, "server");
    assert!(server[0].starts_with("✗ server the API server https://"), "{server:?}");
    assert!(server[0].ends_with("did not answer within 1 s"), "{server:?}");
    assert_eq!(lines_of(&ran, "rights"), ["– rights not checked: the server does not answer"]);
}

#[test]
fn expired_server_certificate_is_reported() {
    let home = Home::with_commands(&["train"]);
    let (address, certificate) = servers::with_expired_certificate();
    let kubeconfig = kubeconfig_for(&home, &format!("https://{address}"), Some(&certificate));
    let ran = doctor(&home, &kubeconfig).code(1);
    assert_eq!(
        lines_of(&ran, "server"),
        [
            &format!("✗ server the certificate of https://{address} has expired"),
            "hint: ask the cluster's admin, or get a new kubeconfig",
        ]
    );
}

#[test]
fn expired_credentials_are_reported_without_server() {
    let home = Home::with_commands(&["train"]);
    // {"sub":"ada","exp":1700000000}
    let claims = "eyJzdWIiOiJhZGEiLCJleHAiOjE3MDAwMDAwMDB9";
    let (certificate, key) = expired_identity();
    let (certificate_file, key_file) = (home.path().join("ada.crt"), home.path().join("ada.key"));
    fs_err::write(&certificate_file, certificate.pem()).unwrap();
    fs_err::write(&key_file, key.serialize_pem()).unwrap();
    for (user, line) in [
        (
            json!({ "token": format!("h.{claims}.s") }),
            "✗ credentials the token expired at 2023-11-14T22:13:20Z",
        ),
        (
            json!({ "client-certificate": certificate_file, "client-key": key_file }),
            "✗ credentials the client certificate expired at 2021-01-01T00:00:00Z",
        ),
    ] {
        let ran = doctor(&home, &kubeconfig_of(&home, &user)).code(1);
        let hint = "hint: get a new kubeconfig from the cluster's admin, then: kf --kubeconfig FILE …";
        assert_eq!(lines_of(&ran, "credentials"), [line, hint]);
    }
}

#[test]
fn kubeconfig_readable_by_others_is_a_warning() {
    let home = Home::with_commands(&["train"]);
    let kubeconfig = private_kubeconfig(&home);
    set_mode(Path::new(&kubeconfig), 0o644);
    let ran = doctor(&home, &kubeconfig).masked(&home.path().display().to_string(), "[HOME]");
    assert_eq!(
        lines_of(&ran, "kubeconfig"),
        [
            "! kubeconfig [HOME]/kubeconfig, context lab",
            "[HOME]/kubeconfig is not private: other users can read it (mode 0644)",
            "hint: chmod go= [HOME]/kubeconfig",
        ]
    );
}

#[test]
fn home_writable_by_others_gets_chmod_hint() {
    let home = Home::with_commands(&["train"]);
    let data = home.path().join(".local/share/kf");
    set_mode(&data, 0o777);
    let ran = doctor(&home, &private_kubeconfig(&home)).code(1);
    let ran = ran.masked(&home.path().display().to_string(), "[HOME]");
    set_mode(&data, 0o700);
    assert_eq!(
        lines_of(&ran, "home"),
        [
            "✗ home [HOME]/.local/share/kf",
            "[HOME]/.local/share/kf is not safe to use: other users can write to it (mode 0777)",
            "hint: chmod go-w [HOME]/.local/share/kf, or set KF_HOME to another folder that you own",
        ]
    );
    assert!(lines_of(&ran, "train")[0].starts_with("✗ train"), "{}", ran.transcript());
}

#[test]
fn cache_that_is_a_file_is_reported() {
    let home = Home::with_commands(&["train"]);
    let cache = home.path().join(".cache");
    fs_err::create_dir_all(&cache).unwrap();
    fs_err::write(cache.join("kf"), "").unwrap();
    let ran = doctor(&home, &private_kubeconfig(&home)).code(1);
    let lines = lines_of(&ran, "home");
    assert!(lines[0].starts_with("✗ home"), "{lines:?}");
    assert!(lines[1].ends_with(".cache/kf is not safe to use: it is not a directory"), "{lines:?}");
}

#[test]
fn invalid_home_does_not_hide_other_checks() {
    let home = Home::with_commands(&["train"]);
    let mut command = home.kf(["doctor"]);
    command.env_remove("HOME").env("XDG_CONFIG_HOME", "relative");
    let ran = Ran::of(&crate::common::output_of(&mut command), home.path()).code(1);
    assert_eq!(
        lines_of(&ran, "home"),
        [
            "✗ home invalid XDG_CONFIG_HOME `relative`: not an absolute path",
            "hint: set XDG_CONFIG_HOME to an absolute path",
        ]
    );
    assert_eq!(lines_of(&ran, "train"), ["– train not checked: no home folder"]);
    assert_eq!(lines_of(&ran, "terminal"), ["✓ terminal stdout is not a terminal"]);
}

#[test]
fn missing_command_gets_add_hint() {
    let home = Home::with_commands(&["train"]);
    home.run(["command", "remove", "train"]).success();
    let ran = doctor(&home, &private_kubeconfig(&home)).code(1);
    assert_eq!(lines_of(&ran, "train"), ["✗ train not installed", "hint: kf command add train"]);
}

/// A cluster that authenticates ada and serves no Kubeflow API.
fn empty_cluster(request: &Request) -> Response {
    let ok = |body: Value| Response::Json(201, body);
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/version") => ok(json!({ "gitVersion": "v1.36.1" })),
        ("GET", "/api/v1/namespaces/team-a") => ok(json!({ "status": { "phase": "Active" } })),
        ("POST", path) if path.ends_with("/selfsubjectreviews") => {
            ok(json!({ "status": { "userInfo": { "username": "ada" } } }))
        }
        ("POST", path) if path.ends_with("/selfsubjectaccessreviews") => {
            ok(json!({ "status": { "allowed": true } }))
        }
        _ => Response::missing(),
    }
}

#[test]
fn cluster_without_trainer_fails_check() {
    let home = Home::with_commands(&["train"]);
    let cluster = FaultyServer::serve(empty_cluster);
    let kubeconfig = cluster.kubeconfig(&home);
    set_mode(Path::new(&kubeconfig), 0o600);
    kf_snapshot!(doctor(&home, &kubeconfig), @"
    exit: 1
    ----- stdout -----
    ✓ kf           0.1.0 on linux [ARCH]
    ✓ kubeconfig   [HOME]/kubeconfig, context lab
    ✓ server       http://[ADDRESS], Kubernetes v1.36.1
    ✓ credentials  ada, without credentials
    ✓ namespace    team-a, from the context
    ✗ cluster      not served: Trainer, Katib, KServe, notebooks, pipelines, metrics
                   train needs Kubeflow Trainer to run its jobs
                   hint: ask a cluster admin to install Kubeflow Trainer
    ✓ rights       you have all rights that train needs in team-a
    ✓ train        train 0.1.0 (kubeflow)
    ✓ registry     kubeflow, valid for [TIME], refreshed [TIME] ago
    ✓ home         [HOME]/.local/share/kf
    ✓ terminal     stdout is not a terminal
    – completion   not checked: SHELL is not set
    ----- stderr -----
    error: 1 of 12 checks failed
    ");
}

#[test]
fn server_that_stops_answering_fails_remaining_checks() {
    let home = Home::with_commands(&["train", "status"]);
    let cluster = FaultyServer::serve(|request| match request.path.as_str() {
        "/version" => empty_cluster(request),
        _ => Response::Open("{"),
    });
    let kubeconfig = cluster.kubeconfig(&home);
    let ran = home.run(["doctor", "--kubeconfig", &kubeconfig, "--request-timeout", "1s"]).code(1);
    assert!(lines_of(&ran, "server")[0].starts_with("✓ server http://"), "{}", ran.transcript());
    for check in ["credentials", "namespace", "cluster", "rights"] {
        let lines = lines_of(&ran, check);
        assert!(lines[0].starts_with('✗'), "{lines:?}");
        assert!(lines.concat().contains("did not answer within 1 s"), "{lines:?}");
    }
}

#[test]
fn report_omits_credentials_and_plugin_output() {
    let home = Home::with_commands(&["train"]);
    let script = "echo 'account hunter2 has no session' >&2; exit 1";
    let exec = json!({ "exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script],
        "interactiveMode": "Never",
    } });
    let kubeconfig = kubeconfig_of(&home, &exec);
    let ran = home.run(["doctor", "--kubeconfig", &kubeconfig, "-o", "json"]).code(1);
    assert!(!ran.stdout.contains("hunter2") && !ran.stderr.contains("hunter2"), "{}", ran.transcript());
    let credentials = &checks(&ran)["credentials"];
    assert_eq!(credentials["state"], "failed");
    assert_eq!(credentials["value"], "the credential plugin sh failed (exit status: 1)");
    assert_eq!(credentials["facts"]["kind"], "plugin");
    // Only the user sees the plugin's output.
    let ran = doctor(&home, &kubeconfig).code(1);
    let lines = lines_of(&ran, "credentials");
    assert_eq!(lines[1], "the credential plugin sh: account hunter2 has no session", "{lines:?}");
    // A password in a URL is omitted too.
    let server = "https://ada:hunter2@127.0.0.1:1/?token=hunter2";
    let kubeconfig = kubeconfig_for(&home, server, None);
    let ran = home.run(["doctor", "--kubeconfig", &kubeconfig, "-o", "json"]).code(1);
    assert!(!ran.stdout.contains("hunter2") && !ran.stdout.contains("secret-token"), "{}", ran.transcript());
    assert_eq!(checks(&ran)["server"]["facts"]["url"], "https://127.0.0.1:1");
}

#[test]
fn plugin_credential_expiry_is_reported() {
    let home = Home::with_commands(&["train"]);
    let answer = r#"{"status": {"token": "abcdefghij", "expirationTimestamp": "2099-01-01T00:00:00Z"}}"#;
    let exec = json!({ "exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "echo", "args": [answer],
        "interactiveMode": "Never",
    } });
    let ran = home.run(["doctor", "--kubeconfig", &kubeconfig_of(&home, &exec), "-o", "json"]).code(1);
    assert_eq!(checks(&ran)["credentials"]["facts"]["expires"], "2099-01-01T00:00:00Z");
    assert!(!ran.stdout.contains("abcdefghij"), "{}", ran.transcript());
}

#[test]
fn json_report_has_format_and_every_check() {
    let home = Home::empty();
    let ran = home.run(["doctor", "-o", "json"]).code(1);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&report["format"], &report["ok"]), (&json!(1), &json!(false)));
    let checks = report["checks"].as_array().unwrap();
    let names: Vec<&str> = checks.iter().map(|check| check["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "kf",
            "kubeconfig",
            "server",
            "credentials",
            "namespace",
            "cluster",
            "rights",
            "train",
            "registry",
            "home",
            "terminal",
            "completion"
        ]
    );
    for check in checks {
        let state = check["state"].as_str().unwrap();
        assert!(["ok", "skipped", "warning", "failed"].contains(&state), "{check}");
    }
    let error: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(error["error"]["code"], "failed");
    assert_eq!(home.run(["doctor", "-o", "name"]).stdout.lines().next(), Some("check/kf"));
}

#[test]
fn completion_is_found_in_shell_startup_files() {
    let home = Home::empty().env("SHELL", "/bin/bash");
    let completion = |home: &Home| lines_of(&home.run(["doctor"]).code(1), "completion");
    let hint = "hint: echo 'source <(kf completion bash)' >> ~/.bashrc";
    assert_eq!(completion(&home), ["! completion not installed for bash", hint]);
    let bashrc = home.path().join(".bashrc");
    fs_err::write(&bashrc, "# source <(kf completion bash)\n").unwrap();
    assert_eq!(completion(&home), ["! completion not installed for bash", hint]);
    fs_err::write(&bashrc, "alias k=kubectl\n  source <(kf completion bash)\n").unwrap();
    assert_eq!(completion(&home), [format!("✓ completion bash, in {}", bashrc.display())]);
    let home = Home::empty().env("SHELL", "/usr/bin/fish");
    let script = home.path().join(".config/fish/completions/kf.fish");
    fs_err::create_dir_all(script.parent().unwrap()).unwrap();
    fs_err::write(&script, home.run(["completion", "fish"]).success().stdout).unwrap();
    assert_eq!(completion(&home), [format!("✓ completion fish, in {}", script.display())]);
}

#[test]
fn terminal_without_utf8_gets_ascii_marks() {
    let marks = |locale: &str| {
        let home = Home::empty().env("LANG", locale);
        let (_, screen) = Terminal::start(home.kf(["doctor", "--color", "never"])).finish();
        String::from_utf8(screen).unwrap()
    };
    let plain = marks("C");
    assert!(plain.contains("x kubeconfig") && plain.contains("! terminal"), "{plain}");
    assert!(!plain.contains(['✓', '✗', '–']), "{plain}");
    let with_utf8 = marks("C.UTF-8");
    assert!(with_utf8.contains("✗ kubeconfig") && with_utf8.contains("✓ terminal"), "{with_utf8}");
}

#[test]
fn user_with_rights_passes_all_checks() {
    let team = Team::new("doctor");
    let home = team.home(User::DataScientist, &["train", "status", "create"]);
    let ran = home.run(["doctor"]).success();
    let ns = team.name();
    assert!(lines_of(&ran, "server")[0].contains(", Kubernetes v1."), "{}", ran.transcript());
    assert!(
        lines_of(&ran, "credentials")[0].starts_with("✓ credentials dana, by client certificate, valid for "),
        "{}",
        ran.transcript()
    );
    assert_eq!(lines_of(&ran, "namespace"), [format!("✓ namespace {ns}, from the context")]);
    assert!(lines_of(&ran, "cluster")[0].starts_with("✓ cluster serves Trainer"), "{}", ran.transcript());
    assert_eq!(
        lines_of(&ran, "rights"),
        [
            format!("✓ rights you have all rights that train needs in {ns}"),
            format!("not permitted in {ns}: create")
        ]
    );
    assert!(ran.stderr.starts_with("no checks failed"), "{}", ran.transcript());

    // As the admin, for a namespace that does not exist.
    let home = team.home(User::Admin, &["train"]);
    let ran = home.run(["doctor", "-n", "nowhere"]).code(1);
    assert_eq!(
        lines_of(&ran, "namespace"),
        ["✗ namespace nowhere, set by -n", "it does not exist", "hint: kf use NAMESPACE",]
    );
}

#[test]
fn user_without_rights_sees_missing_rights_and_owner() {
    let team = Team::new("doctor-viewer");
    let home = team.home(User::Viewer, &["train"]);
    let ran = home.run(["doctor"]).code(1);
    let ns = team.name();
    assert_eq!(
        lines_of(&ran, "rights"),
        [
            format!("✗ rights you lack rights that train needs in {ns}"),
            format!("you lack create trainjobs.trainer.kubeflow.org in {ns}"),
            format!("you lack patch trainjobs.trainer.kubeflow.org in {ns}"),
            format!("hint: ask an owner of {ns} (role admin or kubeflow-admin)"),
        ]
    );
}

#[test]
fn invalid_token_fails_credentials_check_only() {
    let team = Team::new("doctor-token");
    let home = Home::with_commands(&["train"]);
    let text = fs_err::read_to_string(team.kubeconfig(User::DataScientist)).unwrap();
    let mut kubeconfig: Value = serde_saphyr::from_str(&text).unwrap();
    kubeconfig["users"][0]["user"] = json!({ "token": "nobody-issued-this" });
    let file = home.path().join("kubeconfig");
    fs_err::write(&file, kubeconfig.to_string()).unwrap();
    let ran = doctor(&home, &file.display().to_string()).code(1);
    assert!(lines_of(&ran, "server")[0].starts_with("✓ server https://"), "{}", ran.transcript());
    assert_eq!(
        lines_of(&ran, "credentials")[0],
        "✗ credentials the API server does not accept your credentials"
    );
    assert_eq!(lines_of(&ran, "rights"), ["– rights not checked: you are not authenticated"]);
}
