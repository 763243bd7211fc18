//! Connections to the API server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kf_tests::cluster::User;
use serde_json::json;

use super::{Differences, kubectl, ran};
use crate::common::Home;
use crate::common::faulty::{FaultyServer, Response, healthy};
use crate::common::servers::kubeconfig_for;
use crate::common::team::Team;

/// Answers reviews with the credentials of the request.
fn whoami(request: &crate::common::requests::Request) -> Response {
    let path = request.path.strip_prefix("http://cluster.invalid").unwrap_or(&request.path);
    match path {
        path if path.ends_with("/selfsubjectreviews") => {
            let user = request.header("authorization").unwrap_or("nobody");
            let kind = json!({ "kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1" });
            let mut review = json!({ "status": { "userInfo": { "username": user } } });
            review.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
            Response::Json(201, review)
        }
        _ if request.method == "CONNECT" => Response::Text(200, ""),
        _ => healthy(request),
    }
}

#[test]
fn server_without_scheme_gets_http_and_no_credentials() {
    let team = Team::new("no-scheme");
    let home = Home::with_commands(&["whoami"]);
    let faulty = FaultyServer::serve(whoami);
    let file = faulty.kubeconfig(&home);
    let text = fs_err::read_to_string(&file).unwrap().replace("http://", "");
    fs_err::write(&file, text.replace("user: {}", "user: {token: secret}")).unwrap();
    let theirs =
        ran(kubectl(&team, &home, file.as_ref()).args(["auth", "whoami", "-o", "jsonpath={.status}"]), &home);
    assert!(theirs.success().stdout.contains("nobody"));
    let ours = home.run(["whoami", "-o", "name", "--kubeconfig", &file]).success();
    assert_eq!(ours.stdout, "user/nobody\n", "{}", ours.transcript());
}

/// The proxy is the fake server itself and the server's host does not exist, so every response came through the proxy.
#[test]
fn proxy_variables_apply_as_in_kubectl() {
    let team = Team::new("proxies");
    let home = Home::with_commands(&["whoami"]);
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let faulty = FaultyServer::serve(move |request| {
        count.fetch_add(1, Ordering::SeqCst);
        whoami(request)
    });
    let proxy = faulty.address();
    let kubeconfig = |proxy_url: &str| {
        let server = format!("http://cluster.invalid'{proxy_url}, note: '");
        kubeconfig_for(&home, &server, None)
    };
    let mut differences = Differences::default();
    let mut check = |variables: &[(&str, &str)], proxy_url: &str, through: bool| {
        let file = kubeconfig(proxy_url);
        let variables: Vec<(&str, &str)> = variables
            .iter()
            .map(|(name, value)| (*name, if *value == "PROXY" { proxy.as_str() } else { *value }))
            .collect();
        let mut theirs = kubectl(&team, &home, file.as_ref());
        let ours = home.kf(["whoami", "-o", "name", "--kubeconfig", &file]);
        theirs.args(["auth", "whoami"]);
        for (who, mut program) in [("kubectl", theirs), ("kf", ours)] {
            let before = requests.load(Ordering::SeqCst);
            let ran = ran(program.envs(variables.iter().copied()), &home);
            let found = (requests.load(Ordering::SeqCst) > before, ran.code == Some(0));
            differences.check(
                &format!("{who} with {variables:?} {proxy_url}"),
                &found,
                &(through, through),
                &ran,
            );
        }
    };
    check(&[("HTTP_PROXY", "PROXY")], "", true);
    check(&[("http_proxy", "PROXY")], "", true);
    check(&[("HTTPS_PROXY", "PROXY")], "", false);
    check(&[("HTTP_PROXY", "")], "", false);
    for (no_proxy, through) in [
        ("", true),
        ("cluster.invalid", false),
        ("CLUSTER.invalid", false),
        ("cluster.invalid:80", false),
        ("cluster.invalid:8080", true),
        (".invalid", false),
        ("invalid", false),
        ("*.invalid", false),
        ("luster.invalid", true),
        ("*", false),
        ("other.example,", true),
        (",,", true),
        (" other.example , cluster.invalid ", false),
        ("cluster.invalid/path", true),
        ("http://cluster.invalid", true),
        // NO_PROXY matches the server, not the proxy.
        ("127.0.0.1", true),
        ("127.0.0.0/8", true),
        ("[::1", true),
    ] {
        check(&[("HTTP_PROXY", "PROXY"), ("NO_PROXY", no_proxy)], "", through);
    }
    check(&[("HTTP_PROXY", "PROXY"), ("NO_PROXY", ""), ("no_proxy", "cluster.invalid")], "", false);
    let named = format!(", proxy-url: 'http://{proxy}'");
    check(&[], &named, true);
    check(&[("NO_PROXY", "*")], &named, true);
    check(&[("HTTP_PROXY", "127.0.0.1:1")], &named, true);
}

/// Once by each program. kubectl runs it again if its credentials have expired; kf leaves that to the server.
#[test]
fn credential_plugin_runs_once() {
    let team = Team::new("plugin-runs");
    let home = Home::with_commands(&["whoami"]);
    let token = team.admin(&["create", "token", "default", "--namespace", team.name()]);
    let text = fs_err::read_to_string(team.kubeconfig(User::Viewer)).unwrap();
    let mut kubeconfig: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let file = home.path().join("config");
    let log = home.path().join("log");
    let script = "echo x >> \"$LOG\"; cat \"$ANSWER\"";
    let variable = |name: &str, file: &str| json!({ "name": name, "value": home.path().join(file) });
    kubeconfig["users"][0]["user"] = json!({ "exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script],
        "env": [variable("LOG", "log"), variable("ANSWER", "answer")], "interactiveMode": "Never",
    }});
    fs_err::write(&file, kubeconfig.to_string()).unwrap();
    for (end, more_than_once) in [("2100-01-01T00:00:00Z", false), ("2020-01-01T00:00:00Z", true)] {
        let answer = json!({
            "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
            "status": { "token": token.trim(), "expirationTimestamp": end },
        });
        fs_err::write(home.path().join("answer"), answer.to_string()).unwrap();
        let mut theirs = kubectl(&team, &home, &file);
        theirs.args(["auth", "whoami"]);
        let mut ours = home.kf(["whoami"]);
        ours.env("KUBECONFIG", &file);
        for (who, mut program, more) in [("kubectl", theirs, more_than_once), ("kf", ours, false)] {
            let _ = fs_err::remove_file(&log);
            let ran = ran(&mut program, &home).success();
            assert!(ran.stdout.contains("system:serviceaccount:"), "{}", ran.transcript());
            let runs = fs_err::read_to_string(&log).unwrap().lines().count();
            assert_eq!(runs > 1, more, "{who}, {end}: {runs}");
        }
    }
}
