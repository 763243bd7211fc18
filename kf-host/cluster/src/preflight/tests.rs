use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::{Value, json};
use tower::service_fn;

use super::*;

/// An authorizer that denies a verb.
fn server(denied: &'static str) -> (Connection, Arc<Mutex<Vec<Value>>>) {
    authorizer(move |attributes| attributes["verb"] != denied)
}

/// An authorizer, and the reviews it received.
fn authorizer(
    allows: impl Fn(&Value) -> bool + Clone + Send + 'static,
) -> (Connection, Arc<Mutex<Vec<Value>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let service = service_fn(move |request: Request<Body>| {
        let (seen, allows) = (Arc::clone(&seen), allows.clone());
        async move {
            let bytes = request.into_body().collect().await?.to_bytes();
            let review: Value = serde_json::from_slice(&bytes).unwrap();
            let attributes = review["spec"]["resourceAttributes"].clone();
            let allowed = allows(&attributes);
            seen.lock().unwrap().push(attributes);
            let answer = json!({"status": {"allowed": allowed}}).to_string();
            Ok::<_, kube::Error>(
                Response::builder().status(201).body(Body::from(answer.into_bytes())).unwrap(),
            )
        }
    });
    (Connection::from_client(kube::Client::new(service, "default"), "https://lab"), asked)
}

fn rules() -> RuleSet {
    RuleSet::parse(&[
        json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}),
        json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": ["web-0"]}),
        json!({"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get"]}),
        json!({"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"], "scope": "cluster"}),
    ])
    .unwrap()
}

#[tokio::test]
async fn each_permission_is_reviewed_once_in_its_scope() {
    let (connection, asked) = server("create");
    let namespace = Namespace::parse("team-a").unwrap();
    let verdicts = preflight(&connection, &rules(), &namespace, None).await.unwrap();
    let allowed: Vec<_> = verdicts.iter().map(|v| (v.rule, v.allowed())).collect();
    assert_eq!(allowed, [(1, true), (2, true), (3, false), (4, true)]);
    assert_eq!(
        verdicts[2].missing,
        [MissingRule {
            verb: "create".into(),
            group: "batch".into(),
            resource: "jobs".into(),
            name: None,
            namespace: Some("team-a".into()),
        }]
    );
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 5);
    for review in asked.iter() {
        let expected = if review["resource"] == "nodes" { "" } else { "team-a" };
        assert_eq!(review["namespace"], expected);
    }
}

/// A user with rights in one namespace, and a command that optionally reads all namespaces.
#[tokio::test]
async fn right_in_namespace_does_not_need_right_in_cluster() {
    let (connection, asked) =
        authorizer(|attributes| attributes["namespace"] == "team-a" && attributes["resource"] == "pods");
    let rules = RuleSet::parse(&[
        json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}),
        json!({"apiGroups": [""], "resources": ["events"], "verbs": ["list"]}),
        json!({"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["list"], "scope": "cluster"}),
    ])
    .unwrap();
    let namespace = Namespace::parse("team-a").unwrap();
    let verdicts = preflight(&connection, &rules, &namespace, None).await.unwrap();
    let missing: Vec<Vec<String>> =
        verdicts.iter().map(|verdict| verdict.missing.iter().map(ToString::to_string).collect()).collect();
    assert_eq!(missing[0], [""; 0]);
    assert_eq!(missing[1], ["list events in team-a"]);
    assert_eq!(missing[2].len(), 2, "{missing:?}");
    assert_eq!(asked.lock().unwrap().len(), 4);
}

/// The server is busy at first.
#[tokio::test]
async fn review_is_retried_after_delay_of_busy_server() {
    let asked = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&asked);
    let service = service_fn(move |_: Request<Body>| {
        let mut asked = seen.lock().unwrap();
        *asked += 1;
        let (code, body) = match *asked {
            1..=3 => (429, json!({"kind": "Status", "code": 429, "message": "later"})),
            _ => (201, json!({"status": {"allowed": true}})),
        };
        let answer = Response::builder().status(code).header("retry-after", "0");
        let answer = answer.body(Body::from(body.to_string().into_bytes())).unwrap();
        async move { Ok::<_, kube::Error>(answer) }
    });
    let connection = Connection::from_client(kube::Client::new(service, "default"), "https://lab");
    let namespace = Namespace::parse("team-a").unwrap();
    let verdicts = preflight(&connection, &rules(), &namespace, None).await.unwrap();
    assert!(verdicts.iter().all(RuleVerdict::allowed));
    assert_eq!(*asked.lock().unwrap(), 5 + 3);
}

#[tokio::test]
async fn permission_enforced_by_kf_alone_is_not_reviewed() {
    let (connection, asked) = server("update");
    let namespace = Namespace::parse("team-a").unwrap();
    let rules = RuleSet::parse(&[
        json!({"apiGroups": [""], "resources": ["configmaps/finalizers"], "verbs": ["update"]}),
        json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["update"]}),
    ])
    .unwrap();
    let verdicts = preflight(&connection, &rules, &namespace, None).await.unwrap();
    let allowed: Vec<_> = verdicts.iter().map(RuleVerdict::allowed).collect();
    assert_eq!(allowed, [true, false]);
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn only_denied_answers_are_reviewed_again() {
    let dir = tempfile::tempdir().unwrap();
    let cache = OwnPath::new(dir.path()).at("preflight.json");
    let namespace = Namespace::parse("team-a").unwrap();
    let (connection, asked) = server("create");
    for questions in [5, 6] {
        preflight(&connection, &rules(), &namespace, Some(&cache)).await.unwrap();
        assert_eq!(asked.lock().unwrap().len(), questions);
    }
    let other = Namespace::parse("team-b").unwrap();
    preflight(&connection, &rules(), &other, Some(&cache)).await.unwrap();
    // Four in the namespace; the one for nodes is cached.
    assert_eq!(asked.lock().unwrap().len(), 10);
    let text = fs_err::read_to_string(&cache).unwrap();
    assert!(!text.contains("pods") && !text.contains("lab"));
}

#[tokio::test]
async fn unreachable_server_is_an_error() {
    let service = service_fn(|_: Request<Body>| async {
        Err::<Response<Body>, _>(kube::Error::Service("gone".into()))
    });
    let connection = Connection::from_client(kube::Client::new(service, "default"), "https://lab");
    let namespace = Namespace::parse("team-a").unwrap();
    let error = preflight(&connection, &rules(), &namespace, None).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unreachable);
}
