//! Credential plugins.

use super::*;

#[tokio::test]
async fn plugin_output_is_not_quoted() {
    for script in [
        "echo hunter2",
        "echo '{\"status\": \"hunter2\"}'",
        "echo '{\"status\": {\"token\": [\"hunter2\"]}}'",
    ] {
        let error =
            connection("https://127.0.0.1:1", None, &plugin(script)).get("/version").await.unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn connection_is_usable_in_several_runtimes() {
    let authority = Authority::new();
    let address = serve(&authority, 2100, OK);
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("runs");
    let script = format!("echo x >> {}; echo '{{\"status\": {{\"token\": \"t\"}}}}'", log.display());
    let connection = connection(&format!("https://{address}"), Some(&authority), &plugin(&script));
    for _ in 0..3 {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(connection.get("/version")).unwrap();
    }
    assert_eq!(fs_err::read_to_string(&log).unwrap().lines().count(), 1);
}

#[tokio::test]
async fn certificate_of_plugin_is_sent() {
    let authority = Authority::new();
    let address = serve(&authority, 2100, OK);
    let (_, key, pem) = authority.sign(2100);
    let answer =
        serde_json::json!({"status": {"clientCertificateData": pem, "clientKeyData": key.serialize_pem()}});
    let user = plugin(&format!("cat <<'EOF'\n{answer}\nEOF"));
    let connection = connection(&format!("https://{address}"), Some(&authority), &user);
    connection.get("/version").await.unwrap();
}

#[tokio::test]
async fn plugin_without_credentials_is_named() {
    for (script, words) in [
        ("echo no such realm >&2; exit 3", "no such realm"),
        ("echo hello", "invalid credential"),
        ("echo '{}'", "no status"),
        ("echo '{\"status\": {}}'", "neither a token"),
        ("echo '{\"status\": {\"clientCertificateData\": \"x\"}}'", "neither a token"),
        ("yes", "printed more than 1 MiB and was stopped"),
        ("while :; do echo hunter2; echo hunter2 >&2; done", "printed more than 1 MiB and was stopped"),
    ] {
        let connection = connection("https://127.0.0.1:1", None, &plugin(script));
        let error = connection.get("/version").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Unauthenticated);
        assert!(error.message.contains("plugin sh") && error.message.contains(words), "{error}");
    }
    // Its stderr is for the user: errors of the host's own requests include it, those of a command do not.
    let connection =
        connection("https://127.0.0.1:1", None, &plugin("echo alice has no session >&2; exit 3"));
    let error = connection.send(Request::get("/version").body(Body::empty()).unwrap()).await.err().unwrap();
    assert_eq!(error.message, "the credential plugin sh failed (exit status: 3)");
    assert_eq!(connection.plugin_output().unwrap().1, "alice has no session");
    let absent = plugin("").replace("command: sh", "command: /nonexistent/login");
    let error = self::connection("https://127.0.0.1:1", None, &absent).get("/version").await.unwrap_err();
    assert!(
        error.message.starts_with("the credential plugin /nonexistent/login cannot be started"),
        "{error}"
    );
}

/// A script that logs each run and then runs `rest`.
fn logging(log: &std::path::Path, rest: &str) -> String {
    plugin(&format!("echo x >> {}; {rest}", log.display()))
}

fn runs(log: &std::path::Path) -> usize {
    fs_err::read_to_string(log).unwrap_or_default().lines().count()
}

fn token(expiration: &str) -> String {
    format!("echo '{{\"status\": {{\"token\": \"t\", \"expirationTimestamp\": \"{expiration}\"}}}}'")
}

#[tokio::test]
async fn plugin_runs_once_for_any_expiration() {
    let authority = Authority::new();
    let server = format!("https://{}", serve(&authority, 2100, OK));
    let dir = tempfile::tempdir().unwrap();
    let soon = (Timestamp::now() + jiff::SignedDuration::from_secs(5)).to_string();
    for (name, expiration) in [
        ("later", "2100-01-01T00:00:00Z"),
        ("soon", soon.as_str()),
        ("past", "2020-01-01T00:00:00Z"),
        ("never", "tomorrow"),
    ] {
        let log = dir.path().join(name);
        let connection = connection(&server, Some(&authority), &logging(&log, &token(expiration)));
        for _ in 0..3 {
            connection.get("/version").await.unwrap();
        }
        assert_eq!(runs(&log), 1, "{name}");
    }
}

/// The request is retried, so that a long run outlives its credentials.
#[tokio::test]
async fn plugin_runs_again_after_credentials_are_refused() {
    let authority = Authority::new();
    let (certificate, key, _) = authority.sign(2100);
    let mut answers = [OK, UNAUTHORIZED, OK, OK, UNAUTHORIZED, OK].into_iter();
    let server = format!("https://{}", serve_as(certificate, &key, move |_| answers.next().unwrap()));
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let connection = connection(&server, Some(&authority), &logging(&log, &token("2100-01-01T00:00:00Z")));
    for expected in [1, 2, 2, 3] {
        connection.get("/version").await.unwrap();
        assert_eq!(runs(&log), expected);
    }
}

#[tokio::test]
async fn plugin_is_not_rerun_if_new_credentials_are_refused() {
    let authority = Authority::new();
    let server = format!("https://{}", serve(&authority, 2100, UNAUTHORIZED));
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let connection = connection(&server, Some(&authority), &logging(&log, &token("2100-01-01T00:00:00Z")));
    for _ in 0..4 {
        let error = connection.get("/version").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Unauthenticated, "{error}");
        let upgrade = Request::get("/api/v1/namespaces/a/pods/b/exec").body(Vec::new()).unwrap();
        assert!(!matches!(connection.upgrade(upgrade, Channels::Any).await, Ok(Ok(_))));
    }
    assert_eq!(runs(&log), 2);
}

#[tokio::test]
async fn failing_plugin_runs_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let connection = connection(
        "https://127.0.0.1:1",
        None,
        &logging(&log, "echo first >&2; echo run: login >&2; exit 1"),
    );
    for _ in 0..3 {
        let error = connection.get("/version").await.unwrap_err();
        assert_eq!(error.message, "the credential plugin sh failed (exit status: 1): first run: login");
    }
    assert_eq!(runs(&log), 1);
}

#[tokio::test]
async fn plugin_does_not_run_with_other_credentials() {
    let authority = Authority::new();
    let server = format!("https://{}", serve(&authority, 2100, OK));
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    for other in ["token: t", "username: alice, password: p"] {
        let user = format!("{other}, {}", logging(&log, &token("2100-01-01T00:00:00Z")));
        let connection = connection(&server, Some(&authority), &user);
        assert_eq!(connection.settings().unwrap().credential_plugin, None);
        connection.get("/version").await.unwrap();
    }
    assert_eq!(runs(&log), 0);
}

#[tokio::test]
async fn install_hint_of_missing_plugin_is_for_user_only() {
    let absent = "exec: {apiVersion: client.authentication.k8s.io/v1, command: /nonexistent/login, \
                  installHint: \"Get it from\\n  https://login.example\\e[2J\"}";
    let connection = connection("https://127.0.0.1:1", None, absent);
    let words = "Get it from https://login.example [2J";
    let error = connection.get("/version").await.unwrap_err();
    assert!(error.message.ends_with(words), "{error}");
    let error = connection.send(Request::get("/version").body(Body::empty()).unwrap()).await.err().unwrap();
    assert!(!error.message.contains("login.example"), "{error}");
    assert_eq!(connection.plugin_output(), Some(("the kubeconfig".to_owned(), words.to_owned())));
}

#[tokio::test]
async fn token_of_plugin_is_trimmed() {
    let authority = Authority::new();
    let (certificate, key, _) = authority.sign(2100);
    let server = format!(
        "https://{}",
        serve_as(certificate, &key, |head| {
            if head.contains("authorization: Bearer t\r\n") { OK } else { UNAUTHORIZED }
        })
    );
    let given =
        connection(&server, Some(&authority), &plugin(r#"printf '%s' '{"status": {"token": "t\n"}}'"#));
    given.get("/version").await.unwrap();
    let broken =
        connection(&server, Some(&authority), &plugin(r#"printf '%s' '{"status": {"token": "a\nt"}}'"#));
    let error = broken.get("/version").await.unwrap_err();
    assert!(error.message.ends_with("the token is not valid in a header"), "{error}");
}
