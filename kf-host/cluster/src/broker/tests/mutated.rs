//! Recorded responses with random mutations of their structure and bytes.
//!
//! Nothing panics, every failure is an error, no message contains terminal control characters, and a mutated response
//! allows nothing that it does not state.

use futures_util::StreamExt as _;
use kf_core::api::{AccessQuestion, ApiError, KubeApi as _};
use kf_core::names::{Group, KindName, Plural, Version};
use proptest::prelude::*;
use proptest::sample::Index;
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::connection::Connection;
use crate::preflight::{ServedResources, granters};

/// Responses of servers of several versions, reduced to the fields that are read.
const RECORDED: [&str; 16] = [
    r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"10245","continue":"eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ","remainingItemCount":7},"items":[{"metadata":{"name":"mnist-node-0-0-x7k2p","namespace":"team-a","uid":"0b5e","resourceVersion":"10240","labels":{"jobset.sigs.k8s.io/jobset-name":"mnist"},"managedFields":[{"manager":"kube-controller-manager"}]},"spec":{"containers":[{"name":"node","image":"train:1"}]},"status":{"phase":"Running","containerStatuses":[{"name":"node","restartCount":0,"state":{"running":{"startedAt":"2026-01-01T12:00:00Z"}}}]}},{"metadata":{"name":"web","namespace":"team-a"},"status":{"phase":"Pending"}}]}"#,
    r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"team-a","uid":"1c","resourceVersion":"7"},"status":{"phase":"Failed","reason":"Evicted","message":"The node was low on resource: memory."}}"#,
    r#"{"kind":"APIGroup","apiVersion":"v1","name":"trainer.kubeflow.org","versions":[{"groupVersion":"trainer.kubeflow.org/v1alpha1","version":"v1alpha1"},{"groupVersion":"trainer.kubeflow.org/v2","version":"v2"}],"preferredVersion":{"groupVersion":"trainer.kubeflow.org/v1alpha1","version":"v1alpha1"}}"#,
    r#"{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"trainer.kubeflow.org/v1alpha1","resources":[{"name":"trainjobs","singularName":"trainjob","namespaced":true,"kind":"TrainJob","verbs":["delete","get","list"],"storageVersionHash":"x"},{"name":"trainjobs/status","singularName":"","namespaced":true,"kind":"TrainJob","verbs":["get"]}]}"#,
    r#"{"kind":"SelfSubjectAccessReview","apiVersion":"authorization.k8s.io/v1","spec":{"resourceAttributes":{"namespace":"team-a","verb":"get","resource":"pods"}},"status":{"allowed":true,"reason":"RBAC: allowed by RoleBinding \"edit/team-a\""}}"#,
    r#"{"kind":"SelfSubjectAccessReview","apiVersion":"authorization.k8s.io/v1","status":{"allowed":false,"denied":true,"evaluationError":"webhook"}}"#,
    r#"{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1","status":{"userInfo":{"username":"alice","uid":"7","groups":["ml","system:authenticated"],"extra":{"a":["b"]}}}}"#,
    r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"pods is forbidden: User \"alice\" cannot list resource \"pods\" in API group \"\" in the namespace \"team-a\"","reason":"Forbidden","details":{"kind":"pods"},"code":403}"#,
    r#"{"kind":"Status","apiVersion":"v1","metadata":{"continue":"eyJ2IjoibWV0YSJ9"},"status":"Failure","message":"The provided continue parameter is too old to display a consistent list result.","reason":"Expired","code":410}"#,
    r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Too many requests, please try again later.","reason":"TooManyRequests","details":{"retryAfterSeconds":1},"code":429}"#,
    r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"conversion webhook for serving.kserve.io/v1beta1, Kind=InferenceService failed: Post \"https://x.svc:443/convert?timeout=30s\": dial tcp 10.0.0.1:443: connect: connection refused","reason":"InternalError","details":{"causes":[{"message":"x"}]},"code":500}"#,
    r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"TrainJob \"x\" is invalid: spec.trainer.numNodes: Invalid value: 0","reason":"Invalid","details":{"name":"x","kind":"TrainJob","causes":[{"reason":"FieldValueInvalid","message":"Invalid value: 0","field":"spec.trainer.numNodes"},{"field":"metadata.labels[a/b]"}]},"code":422}"#,
    "service unavailable\n",
    "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
    "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"5\"}}}\n{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"9\"}}}\n{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"message\":\"too old resource version: 5 (9)\",\"reason\":\"Expired\"}}\n",
    r#"{"kind":"RoleBindingList","items":[{"roleRef":{"kind":"ClusterRole","name":"kubeflow-admin"},"subjects":[{"kind":"User","name":"bob"},{"kind":"Group","name":"ml"}]}]}"#,
];

/// Unexpected values of a field.
fn odd(choice: usize) -> Value {
    match choice % 12 {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(-1),
        3 => json!(1e300),
        4 => json!(u64::MAX),
        5 => json!(""),
        6 => json!("\u{1b}]0;title\u{7}\u{1b}[2J\r\nerror: kf: all is well\u{202e}"),
        7 => json!("../../../api/v1/secrets?watch=true#"),
        8 => json!([]),
        9 => json!({}),
        10 => json!([[[[[[[[null]]]]]]]]),
        _ => json!("x".repeat(10_000)),
    }
}

#[derive(Clone, Debug)]
enum Edit {
    /// Replaces a value of the document.
    Value(Index, usize),
    Remove(Index),
    Flip(Index, u8),
    Cut(Index, usize),
    Insert(Index, Vec<u8>),
    /// Repeats a part of it.
    Repeat(Index, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), any::<usize>()).prop_map(|(at, odd)| Edit::Value(at, odd)),
        2 => at().prop_map(Edit::Remove),
        2 => (at(), any::<u8>()).prop_map(|(at, mask)| Edit::Flip(at, mask)),
        1 => (at(), 1..40usize).prop_map(|(at, length)| Edit::Cut(at, length)),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        1 => (at(), 1..40usize).prop_map(|(at, length)| Edit::Repeat(at, length)),
    ]
}

/// The paths of all values of a document.
fn pointers(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| pointers(item, &format!("{path}/{at}"), found));
        }
        Value::Object(fields) => fields.iter().for_each(|(name, field)| {
            pointers(field, &format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")), found);
        }),
        _ => {}
    }
}

fn changed(mut bytes: Vec<u8>, edit: &Edit) -> Vec<u8> {
    let pointer = |document: &Value, at: &Index| {
        let mut all = Vec::new();
        pointers(document, "", &mut all);
        all[at.index(all.len())].clone()
    };
    match edit {
        Edit::Value(at, choice) => {
            if let Ok(mut document) = serde_json::from_slice::<Value>(&bytes) {
                let path = pointer(&document, at);
                *document.pointer_mut(&path).unwrap() = odd(*choice);
                bytes = document.to_string().into_bytes();
            }
        }
        Edit::Remove(at) => {
            if let Ok(mut document) = serde_json::from_slice::<Value>(&bytes) {
                let path = pointer(&document, at);
                let (parent, name) = path.rsplit_once('/').unwrap_or_default();
                if let Some(Value::Object(fields)) = document.pointer_mut(parent) {
                    fields.remove(&name.replace("~1", "/").replace("~0", "~"));
                }
                bytes = document.to_string().into_bytes();
            }
        }
        _ if bytes.is_empty() => {}
        Edit::Flip(at, mask) => {
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
        }
        Edit::Cut(at, length) => {
            let at = at.index(bytes.len());
            bytes.drain(at..(at + length).min(bytes.len()));
        }
        Edit::Insert(at, more) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, more.iter().copied());
        }
        Edit::Repeat(at, length) => {
            let at = at.index(bytes.len());
            let part = bytes[at..(at + length).min(bytes.len())].to_vec();
            bytes.splice(at..at, part);
        }
    }
    bytes
}

fn answer() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let codes = prop::sample::select(vec![
        200u16, 200, 200, 201, 204, 400, 401, 403, 404, 409, 410, 422, 429, 500, 502, 503, 504, 599,
    ]);
    (codes, 0..RECORDED.len(), prop::collection::vec(edit(), 0..6)).prop_map(|(code, which, edits)| {
        let recorded = RECORDED[which].as_bytes().to_vec();
        (code, edits.iter().fold(recorded, changed))
    })
}

/// With paused time, as a watch pauses between requests.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// A server that returns this response to every request.
fn always(code: u16, body: &[u8]) -> Connection {
    let body = body.to_vec();
    let service = service_fn(move |_: Request<Body>| {
        let answer = Response::builder().status(code).body(Body::from(body.clone())).unwrap();
        async move { Ok::<_, kube::Error>(answer) }
    });
    Connection::from_client(kube::Client::new(service, "default"), "https://lab")
}

fn broker(code: u16, body: &[u8]) -> Broker {
    let rules = [
        rule("", &["pods"], &["get", "list", "watch", "create", "delete"]),
        rule("trainer.kubeflow.org", &["trainjobs"], &["get", "list"]),
        rule("authentication.k8s.io", &["selfsubjectreviews"], &["create"]),
        rule("authorization.k8s.io", &["selfsubjectaccessreviews"], &["create"]),
    ];
    let config = Server::default().config(&rules);
    let budgets = Budgets { calls: 100, ..Budgets::default() };
    Broker::new(BrokerConfig { connection: Arc::new(always(code, body)), budgets, ..config }).unwrap()
}

fn is_printable(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

fn check<T>(code: u16, answer: Result<T, ApiError>) -> Result<Option<T>, TestCaseError> {
    match answer {
        Ok(value) => {
            prop_assert!((200..300).contains(&code), "{code} is not a success");
            Ok(Some(value))
        }
        Err(error) => {
            prop_assert!(is_printable(&error.message), "{:?}", error.message);
            prop_assert!(error.hint.as_deref().is_none_or(is_printable), "{:?}", error.hint);
            Ok(None)
        }
    }
}

fn question() -> AccessQuestion {
    AccessQuestion {
        verb: "get".into(),
        group: String::new(),
        resource: "pods".into(),
        namespace: None,
        name: None,
    }
}

async fn ask(code: u16, body: &[u8]) -> Result<(), TestCaseError> {
    let sent = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let broker = broker(code, body);
    check(code, broker.get(object("", "Pod", "web")).await)?;
    check(code, broker.get(object("trainer.kubeflow.org", "TrainJob", "x")).await)?;
    if let Some(page) = check(code, broker.list(all("", "Pod"), Some(2), None).await)? {
        prop_assert!(page.items.len() <= 2);
    }
    // A missing group has no kinds.
    let discovered = if code == 404 { 200 } else { code };
    for kind in check(discovered, broker.discover("trainer.kubeflow.org".into()).await)?.unwrap_or_default() {
        let names =
            Group::parse(kind.group.as_str()).is_ok() && Version::parse(kind.version.as_str()).is_ok();
        let names = names
            && KindName::parse(kind.kind.as_str()).is_ok()
            && Plural::parse(kind.plural.as_str()).is_ok();
        prop_assert!(names, "{kind:?}");
    }
    for verdict in check(code, broker.can_i(vec![question()]).await)?.unwrap_or_default() {
        let clear = sent.pointer("/status/allowed") == Some(&json!(true))
            && sent.pointer("/status/denied") != Some(&json!(true));
        prop_assert_eq!(verdict.allowed, clear);
        prop_assert!(verdict.reason.as_deref().is_none_or(is_printable));
    }
    if let Some(me) = check(code, broker.whoami().await)? {
        prop_assert_eq!(sent.pointer("/status/userInfo/username"), Some(&json!(me.username)));
    }
    if let Some(mut events) = check(code, broker.watch(all("", "Pod"), "4".into()).await)? {
        for _ in 0..20 {
            let Some(event) = events.next().await else { break };
            check(code, event)?;
        }
    }
    for warning in broker.withheld().iter().map(|(_, words)| words).chain(&broker.warnings()) {
        prop_assert!(is_printable(warning), "{warning:?}");
    }
    // The host's own requests.
    let connection = always(code, body);
    check(code, crate::namespaces::list(&connection).await)?;
    for granter in granters(&connection, &Namespace::parse("team-a").unwrap()).await {
        prop_assert!(is_printable(&granter.subject) && is_printable(&granter.role), "{granter:?}");
    }
    let rules = RuleSet::parse(&[rule("trainer.kubeflow.org", &["trainjobs"], &["get"])]).unwrap();
    let _missing = ServedResources::default().first_missing(&connection, &rules).await;
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn mutated_response_is_parsed_or_refused_and_allows_nothing((code, body) in answer()) {
        runtime().block_on(ask(code, &body))?;
    }
}

#[test]
fn recorded_responses_are_parsed() {
    for recorded in RECORDED {
        runtime().block_on(ask(200, recorded.as_bytes())).unwrap();
    }
}
