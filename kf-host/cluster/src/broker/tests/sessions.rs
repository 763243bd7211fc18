use kf_core::api::{
    Bearer, HttpMethod, KubeApi as _, PodRef, PodRequest, PortPair, Session, SessionOptions, WriteOptions,
};
use kf_core::grants::Layer;

use super::*;

const BOTH: &[&str] = &["get", "create"];

fn sessions(verbs: &[&str]) -> Value {
    rule("", &["pods/exec", "pods/attach", "pods/portforward"], verbs)
}

fn web() -> PodRef {
    PodRef { namespace: None, name: "web-0".into() }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn request() -> PodRequest {
    PodRequest {
        pod: web(),
        port: 8888,
        method: HttpMethod::Get,
        path: "/".into(),
        headers: Vec::new(),
        body: Bytes::new(),
        bearer: None,
    }
}

/// The errors of every kind of call into a pod, with the same pod and container.
async fn all_pod_calls(broker: &Broker, pod: PodRef, container: Option<&str>) -> Vec<ApiError> {
    let options = SessionOptions { container: container.map(str::to_owned), ..SessionOptions::default() };
    let mut errors = vec![
        broker.exec(pod.clone(), words(&["id"]), options.clone()).await.err().unwrap(),
        broker.attach(pod.clone(), options).await.err().unwrap(),
    ];
    if container.is_none() {
        let ports = vec![PortPair { local: 0, remote: 80 }];
        errors.push(broker.port_forward(pod.clone(), ports).await.err().unwrap());
        errors.push(broker.pod_http(PodRequest { pod, ..request() }).await.err().unwrap());
    }
    errors
}

#[tokio::test]
async fn session_sends_one_upgrade_with_headers_of_broker() {
    let server = Server::default();
    server.answer(404, &status(404, "NotFound", "pods \"web-0\" not found"));
    let broker = server.broker(&[sessions(BOTH)]);
    let options = SessionOptions { container: Some("main".into()), stdin: true, tty: false };
    let command = words(&["sh", "-c", "echo \"a&stdin=true#?\"; id\n", "ü"]);
    let error = broker.exec(web(), command, options).await.err().unwrap();
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::NotFound, "pod web-0 in team-a not found"));
    let sent = server.last();
    assert_eq!(sent.method, "GET");
    assert_eq!(
        sent.uri,
        "/api/v1/namespaces/team-a/pods/web-0/exec?container=main&stdin=true&stdout=true&stderr=true&tty=false\
         &command=sh&command=-c&command=echo%20%22a%26stdin%3Dtrue%23%3F%22%3B%20id%0A&command=%C3%BC"
    );
    let names: Vec<&str> = sent.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "user-agent",
            "connection",
            "upgrade",
            "sec-websocket-version",
            "sec-websocket-key",
            "sec-websocket-protocol"
        ]
    );
    let call = &broker.calls()[0];
    assert_eq!((call.resource.as_str(), call.status, call.rule), ("pods/exec", Some(404), Some(1)));
}

#[tokio::test]
async fn session_with_stdin_offers_only_protocols_that_close_it() {
    for (stdin, tty, offered) in [
        (true, false, "v5.channel.k8s.io"),
        (true, true, "v5.channel.k8s.io, v4.channel.k8s.io"),
        (false, false, "v5.channel.k8s.io, v4.channel.k8s.io"),
    ] {
        let server = Server::default();
        // An API server before 1.30 refuses an unsupported protocol like this.
        server.raw(403, Vec::new());
        let broker = server.broker(&[sessions(BOTH)]);
        let options = SessionOptions { container: None, stdin, tty };
        let error = broker.exec(web(), words(&["cat"]), options).await.err().unwrap();
        let sent = server.last();
        let header = sent.headers.iter().find(|(name, _)| name == "sec-websocket-protocol");
        assert_eq!(header.unwrap().1, offered);
        match offered.contains("v4") {
            false => {
                assert_eq!(error.code, ErrorCode::Unsupported);
                assert!(error.message.contains("requires Kubernetes 1.30"), "{error}");
            }
            true => assert_ne!(error.code, ErrorCode::Unsupported, "{error}"),
        }
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn refused_session_with_stdin_keeps_error_code() {
    let server = Server::default();
    let denied = "pods \"web-0\" is forbidden: User \"vic\" cannot create resource \"pods/exec\"";
    server.answer(403, &status(403, "Forbidden", denied));
    server.raw(403, b"<html>proxy</html>".to_vec());
    let broker = server.broker(&[sessions(BOTH)]);
    for code in [ErrorCode::Forbidden, ErrorCode::Invalid] {
        let options = SessionOptions { container: None, stdin: true, tty: false };
        let error = broker.exec(web(), words(&["cat"]), options).await.err().unwrap();
        assert_eq!(error.code, code);
    }
}

#[tokio::test]
async fn session_is_retried_after_delay_of_busy_server() {
    let server = Server::default();
    let mut busy = status(429, "TooManyRequests", "later");
    busy["details"] = json!({"retryAfterSeconds": 1});
    server.answer(429, &busy);
    server.answer(404, &status(404, "NotFound", "pods \"web-0\" not found"));
    let broker = server.broker(&[sessions(BOTH)]);
    let error = broker.exec(web(), words(&["id"]), SessionOptions::default()).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn hostile_names_never_become_sessions() {
    let server = Server::default();
    let broker = server.broker(&[sessions(BOTH)]);
    for hostile in ["../../kube-system/pods/x", "web-0/exec?command=sh", "%2e%2e", "..", "", "a b", "a\r\nb"]
    {
        let named = PodRef { namespace: None, name: hostile.into() };
        let elsewhere = PodRef { namespace: Some(hostile.into()), ..web() };
        let errors = [
            all_pod_calls(&broker, named, None).await,
            all_pod_calls(&broker, elsewhere, None).await,
            all_pod_calls(&broker, web(), Some(hostile)).await,
        ];
        for error in errors.iter().flatten() {
            assert_eq!(error.code, ErrorCode::Invalid, "{hostile:?}: {error}");
        }
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn every_pod_call_needs_both_verbs_in_environment() {
    let server = Server::default();
    let refused = async |broker: Broker, pod: PodRef| -> Vec<Layer> {
        let errors = all_pod_calls(&broker, pod, None).await;
        errors.into_iter().map(|error| error.refusal.unwrap().layer).collect()
    };
    for verbs in [&[][..], &["get"], &["create"], &["patch", "delete", "get"]] {
        let rules = if verbs.is_empty() { vec![rule("", &["pods"], BOTH)] } else { vec![sessions(verbs)] };
        assert_eq!(refused(server.broker(&rules), web()).await, [Layer::Manifest; 4], "{verbs:?}");
    }
    let elsewhere = PodRef { namespace: Some("kube-system".into()), ..web() };
    assert_eq!(refused(server.broker(&[sessions(BOTH)]), elsewhere).await, [Layer::Environment; 4]);
    let mut config = server.config(&[sessions(BOTH)]);
    config.grants.run.read_only = true;
    assert_eq!(refused(Broker::new(config).unwrap(), web()).await, [Layer::Run; 4]);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn dry_run_refuses_pod_calls_that_can_write() {
    let server = Server::default();
    let mut config = server.config(&[sessions(BOTH)]);
    config.dry_run = true;
    let broker = Broker::new(config).unwrap();
    let exec = broker.exec(web(), words(&["id"]), SessionOptions::default()).await;
    let attach = broker.attach(web(), SessionOptions::default()).await;
    let ports = broker.port_forward(web(), vec![PortPair { local: 0, remote: 80 }]).await;
    let post = broker.pod_http(PodRequest { method: HttpMethod::Post, ..request() }).await;
    for error in [exec.err(), attach.err(), ports.err(), post.err()] {
        let error = error.unwrap();
        assert_eq!(error.code, ErrorCode::Invalid);
        assert_eq!(error.hint.as_deref(), Some("run without --dry-run"));
    }
    assert!(server.requests().is_empty());
    // A requested token would be valid.
    let mut config = server.config(&[sessions(BOTH), rule("", &["serviceaccounts/token"], &["create"])]);
    config.dry_run = true;
    let with_tokens = Broker::new(config).unwrap();
    let error = with_tokens.pod_http(bearer("pipelines")).await.unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("run without --dry-run"), "{error}");
    let body = PodRequest { body: Bytes::from_static(b"delete=all"), ..request() };
    for method in [HttpMethod::Get, HttpMethod::Head] {
        let error = broker.pod_http(PodRequest { method, ..body.clone() }).await.unwrap_err();
        assert!(error.message.ends_with("cannot have a body"), "{error}");
    }
    assert!(server.requests().is_empty());
    // A read is not a change.
    server.answer(404, &status(404, "NotFound", "pods \"web-0\" not found"));
    assert_eq!(broker.pod_http(request()).await.unwrap_err().code, ErrorCode::NotFound);
}

#[tokio::test]
async fn verb_missing_in_rbac_is_named() {
    for verb in ["get", "create"] {
        let server = Server::default();
        let message = format!(
            "pods \"web-0\" is forbidden: User \"vic\" cannot {verb} resource \"pods/exec\" in API group \"\" in \
             the namespace \"team-a\""
        );
        server.answer(403, &status(403, "Forbidden", &message));
        let broker = server.broker(&[sessions(BOTH)]);
        let error = broker.exec(web(), words(&["id"]), SessionOptions::default()).await.err().unwrap();
        let refusal = error.refusal.unwrap();
        assert_eq!((refusal.layer, refusal.rule.verb.as_str()), (Layer::Rbac, verb));
        assert_eq!(refusal.user.as_deref(), Some("vic"));
    }
}

#[tokio::test]
async fn response_without_upgrade_is_an_error() {
    for (code, body) in [(200, "{}"), (101, ""), (502, "<html>proxy</html>"), (302, "")] {
        let server = Server::default();
        server.raw(code, body.into());
        let broker = server.broker(&[sessions(BOTH)]);
        let error = broker.exec(web(), words(&["id"]), SessionOptions::default()).await.err().unwrap();
        assert!(!error.message.contains("html"), "{error}");
        assert_ne!(error.code, ErrorCode::Internal, "{code}: {error}");
    }
}

/// A port is not opened without the rights to use it, nor for a pod that does not exist or is not running.
#[tokio::test]
async fn port_forward_checks_rights_and_pod_first() {
    let yes = json!({"status": {"allowed": true}});
    let pod =
        |phase: &str| json!({"metadata": {"uid": "u", "resourceVersion": "1"}, "status": {"phase": phase}});
    let opened = async |answers: &[(u16, Value)]| {
        let server = Server::default();
        for (code, answer) in answers {
            server.answer(*code, answer);
        }
        server.broker(&[sessions(BOTH)]).port_forward(web(), vec![PortPair { local: 0, remote: 80 }]).await
    };
    let no = json!({"status": {"allowed": false}});
    let vic = json!({"status": {"userInfo": {"username": "vic"}}});
    let refusal = opened(&[(201, yes.clone()), (201, no), (201, vic)]).await.err().unwrap().refusal.unwrap();
    assert_eq!((refusal.layer, refusal.rule.verb.as_str()), (Layer::Rbac, "create"));
    assert_eq!(refusal.user.as_deref(), Some("vic"));
    let missing = status(404, "NotFound", "pods \"web-0\" not found");
    let error = opened(&[(201, yes.clone()), (201, yes.clone()), (404, missing)]).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::NotFound);
    for phase in ["Pending", "Succeeded", "Failed"] {
        let error = opened(&[(201, yes.clone()), (201, yes.clone()), (200, pod(phase))]).await.err().unwrap();
        assert_eq!(error.code, ErrorCode::Failed, "{phase}");
    }
    let forward = opened(&[(201, yes.clone()), (201, yes.clone()), (200, pod("Running"))]).await.unwrap();
    assert_ne!(forward.ports[0].local, 0);
}

/// A response to a token request. Without requested audiences, it has the server's own.
fn token(audiences: &[&str]) -> Value {
    json!({"spec": {"audiences": audiences}, "status": {"token": "head.claims.secretsignature"}})
}

fn bearer(audience: &str) -> PodRequest {
    PodRequest {
        bearer: Some(Bearer { service_account: "default-editor".into(), audience: audience.into() }),
        ..request()
    }
}

fn with_tokens(server: &Server) -> Broker {
    server.broker(&[sessions(BOTH), rule("", &["serviceaccounts/token"], &["create"])])
}

#[tokio::test]
async fn token_needs_its_own_grant_and_is_only_sent_to_pod() {
    let server = Server::default();
    let without = server.broker(&[sessions(BOTH)]);
    let error = without.pod_http(bearer("pipelines.kubeflow.org")).await.unwrap_err();
    assert_eq!(error.refusal.unwrap().rule.resource, "serviceaccounts/token");
    let broker = with_tokens(&server);
    for audience in ["", "a b", "a\r\nb"] {
        assert_eq!(broker.pod_http(bearer(audience)).await.unwrap_err().code, ErrorCode::Invalid);
    }
    assert!(server.requests().is_empty());
    server.answer(201, &token(&["https://kubernetes.default.svc"]));
    server.answer(201, &token(&["pipelines"]));
    server.answer(404, &status(404, "NotFound", "pods \"web-0\" not found"));
    assert_eq!(broker.pod_http(bearer("pipelines")).await.unwrap_err().code, ErrorCode::NotFound);
    let specs: Vec<Value> =
        server.sent.lock().unwrap().iter().map(|sent| sent.body["spec"].clone()).collect();
    assert_eq!(specs[0], json!({"audiences": [], "expirationSeconds": 600}));
    assert_eq!(specs[1], json!({"audiences": ["pipelines"], "expirationSeconds": 600}));
    assert_eq!(server.last().headers.iter().filter(|(name, _)| name == "authorization").count(), 0);
    assert!(!format!("{:?}", broker.calls()).contains("secretsignature"));
}

/// The API server's audiences can differ from its issuer, and there can be several.
#[tokio::test]
async fn token_accepted_by_api_server_is_not_sent_to_pod() {
    let own = ["https://kubernetes.default.svc", "k3s"];
    let server = Server::default();
    let broker = with_tokens(&server);
    server.answer(201, &token(&own));
    for audience in own {
        let error = broker.pod_http(bearer(audience)).await.unwrap_err();
        assert_eq!(
            error.message,
            format!("a token for `{audience}` would be accepted by the API server itself")
        );
    }
    assert_eq!(server.requests().len(), 1, "the audiences are requested once, and no token for them");
    // A server that does not report its audiences is not trusted.
    for silent in [token(&[]), json!({"status": {"token": "t"}}), json!({})] {
        let server = Server::default();
        server.answer(201, &silent);
        let error = with_tokens(&server).pod_http(bearer("pipelines")).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Unsupported);
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn pod_receives_only_granted_headers() {
    let server = Server::default();
    let mut config = server.config(&[sessions(BOTH)]);
    config.headers = BTreeSet::from([PodHeader::parse("x-team").unwrap()]);
    let broker = Broker::new(config).unwrap();
    let with = |name: &str| PodRequest { headers: vec![(name.into(), "alice".into())], ..request() };
    for name in ["remote-groups", "x-ms-client-principal-name", "oidc_claim_email", "x-user", "x_team"] {
        assert!(broker.pod_http(with(name)).await.is_err(), "{name}");
    }
    assert!(server.requests().is_empty());
    for name in ["x-team", "accept"] {
        server.answer(404, &status(404, "NotFound", "pods \"web-0\" not found"));
        assert_eq!(broker.pod_http(with(name)).await.unwrap_err().code, ErrorCode::NotFound);
    }
}

#[tokio::test]
async fn audit_log_marks_only_requests_sent_as_dry_run() {
    let server = Server::default();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.jsonl");
    let rules = [sessions(BOTH), rule("", &["configmaps"], &["get", "create"])];
    for dry_run in [true, false] {
        let mut config = server.config(&rules);
        (config.dry_run, config.audit) = (dry_run, Some(AuditLog::named(&log).unwrap()));
        let broker = Broker::new(config).unwrap();
        server.answer(404, &status(404, "NotFound", "pods \"web-0\" not found"));
        broker.pod_http(request()).await.unwrap_err();
        if dry_run {
            server.answer(404, &status(404, "NotFound", "not found"));
        }
        server.answer(201, &json!({}));
        let options = WriteOptions { dry_run: !dry_run, force: false };
        broker.create(object("", "ConfigMap", "c"), json!({}), options).await.unwrap();
    }
    let text = fs_err::read_to_string(&log).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let dry = |verb: &str| -> Vec<bool> {
        let of = |line: &&Value| line["verb"] == verb && line["stage"] == "request";
        lines.iter().filter(of).map(|line| line["dryRun"] == true).collect()
    };
    // Two port-forwards and two config maps, and the host's read of the current object.
    assert_eq!(dry("create"), [false, true, false, true]);
    assert_eq!(dry("get"), [false]);
}

#[tokio::test]
async fn sessions_count_as_streams() {
    let server = Server::default();
    let mut config = server.config(&[sessions(BOTH)]);
    config.budgets.streams = 0;
    let broker = Broker::new(config).unwrap();
    let refused: Result<Session, ApiError> =
        broker.exec(web(), words(&["id"]), SessionOptions::default()).await;
    assert_eq!(refused.err().unwrap().code, ErrorCode::Budget);
    assert!(server.requests().is_empty());
}

/// For allowed and refused calls, and without the data that is sent.
#[tokio::test]
async fn audit_log_has_details_of_pod_calls() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit");
    let server = Server::default();
    let mut config = server.config(&[sessions(BOTH)]);
    config.audit = Some(AuditLog::named(&path).unwrap());
    let broker = Broker::new(config).unwrap();
    let options = SessionOptions { container: Some("main".into()), stdin: true, tty: true };
    let _ = broker.exec(web(), words(&["sh", "-c", "id\n"]), options.clone()).await;
    let _ = broker.attach(web(), SessionOptions::default()).await;
    let request = PodRequest {
        method: HttpMethod::Post,
        path: "/api/run?token=hunter2".into(),
        body: Bytes::from_static(b"hunter2"),
        ..request()
    };
    let _ = broker.pod_http(request.clone()).await;
    let mut config = server.config(&[rule("", &["pods"], &["get"])]);
    config.audit = Some(AuditLog::named(&path).unwrap());
    let broker = Broker::new(config).unwrap();
    let _ = broker.exec(web(), words(&["rm", "-rf", "/"]), SessionOptions::default()).await;
    let _ = broker.port_forward(web(), vec![PortPair { local: 0, remote: 5432 }]).await;
    let _ = broker.pod_http(request).await;

    let text = fs_err::read_to_string(&path).unwrap();
    assert!(!text.contains("hunter2"));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let logged = |stage: &str| -> Vec<Value> {
        let of_stage = lines.iter().filter(|line| line["stage"] == stage && line["verb"] == "create");
        let details = of_stage.map(|line| {
            let details =
                ["exec", "attach", "http", "ports"].map(|name| (name.to_owned(), line[name].clone()));
            details.into_iter().filter(|(_, detail)| !detail.is_null()).collect()
        });
        details.map(Value::Object).collect()
    };
    let http = json!({"http": {"port": 8888, "method": "POST", "path": "/api/run"}});
    assert_eq!(
        logged("request"),
        [
            json!({"exec": {
                "container": "main", "command": ["sh", "-c", "id\n"], "stdin": true, "tty": true,
            }}),
            json!({"attach": {"stdin": false, "tty": false}}),
            http.clone(),
        ]
    );
    assert_eq!(logged("response"), [json!({}), json!({}), json!({})]);
    let ran = |command: &[&str]| json!({"exec": {"command": command, "stdin": false, "tty": false}});
    // The verb is the first of the two that is missing.
    let refused: Vec<&Value> = lines.iter().filter(|line| line["stage"] == "refused").collect();
    assert_eq!(refused.len(), 3);
    assert_eq!(refused[0]["exec"], ran(&["rm", "-rf", "/"])["exec"]);
    assert_eq!(refused[1]["ports"], json!([5432]));
    assert_eq!(refused[2]["http"], http["http"]);
}
