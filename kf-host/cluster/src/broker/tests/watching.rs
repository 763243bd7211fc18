use futures_util::StreamExt as _;
use kf_core::api::{EventKind, KubeApi as _};

use super::*;

fn event(kind: &str, name: &str, version: &str) -> String {
    let object = json!({"metadata": {"name": name, "resourceVersion": version}});
    format!("{}\n", json!({"type": kind, "object": object}))
}

#[tokio::test(start_paused = true)]
async fn watch_is_resumed_where_server_ended_it() {
    let server = Server::default();
    let first = event("ADDED", "a", "5") + &event("BOOKMARK", "", "9");
    server.raw(200, first.into_bytes());
    server.raw(200, (event("MODIFIED", "a", "10") + &event("DELETED", "a", "11")).into_bytes());
    server.answer(410, &status(410, "Expired", "too old resource version"));
    let broker = server.broker(&[rule("", &["pods"], &["watch"])]);
    let mut events = broker.watch(all("", "Pod"), "4".into()).await.unwrap();
    let mut seen = Vec::new();
    let error = loop {
        match events.next().await.unwrap() {
            Ok(event) => seen.push((event.kind, event.object["kind"].clone())),
            Err(error) => break error,
        }
    };
    assert_eq!(
        seen.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
        [EventKind::Added, EventKind::Modified, EventKind::Deleted]
    );
    assert!(seen.iter().all(|(_, kind)| kind == "Pod"));
    assert_eq!(error.code, ErrorCode::Expired);
    assert!(events.next().await.is_none());
    let query = |version: &str| {
        format!(
            "GET /api/v1/namespaces/team-a/pods?watch=true&allowWatchBookmarks=true\
             &resourceVersion={version}&timeoutSeconds=290"
        )
    };
    assert_eq!(server.requests(), [query("4"), query("9"), query("11")]);
}

#[tokio::test(start_paused = true)]
async fn error_event_ends_watch() {
    let server = Server::default();
    let gone = json!({"type": "ERROR", "object": status(410, "Expired", "too old")});
    server.raw(200, format!("{gone}\n").into_bytes());
    let broker = server.broker(&[rule("", &["pods"], &["watch"])]);
    let mut events = broker.watch(all("", "Pod"), "4".into()).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap_err().code, ErrorCode::Expired);
    assert!(events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn watch_fails_if_server_stays_unavailable() {
    let server = Server::default();
    server.raw(200, event("ADDED", "a", "5").into_bytes());
    let broker = server.broker(&[rule("", &["pods"], &["watch"])]);
    let mut events = broker.watch(all("", "Pod"), "4".into()).await.unwrap();
    assert!(events.next().await.unwrap().is_ok());
    assert_eq!(events.next().await.unwrap().unwrap_err().code, ErrorCode::Unreachable);
    assert_eq!(server.requests().len(), 11);
}

fn forbidden() -> Value {
    let words = "pods is forbidden: User \"dana\" cannot watch resource \"pods\" in API group \"\" in the \
                 namespace \"team-a\"";
    status(403, "Forbidden", words)
}

#[tokio::test(start_paused = true)]
async fn watch_is_retried_until_server_has_loaded_its_roles() {
    let server = Server::default();
    server.raw(200, event("ADDED", "a", "5").into_bytes());
    server.answer(403, &forbidden());
    server.answer(404, &status(404, "NotFound", "the server could not find the requested resource"));
    server.raw(200, event("DELETED", "a", "6").into_bytes());
    let broker = server.broker(&[rule("", &["pods"], &["watch"])]);
    let mut events = broker.watch(all("", "Pod"), "4".into()).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap().kind, EventKind::Added);
    assert_eq!(events.next().await.unwrap().unwrap().kind, EventKind::Deleted);
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn watch_fails_after_right_was_removed() {
    let server = Server::default();
    server.answer(403, &forbidden());
    let broker = server.broker(&[rule("", &["pods"], &["watch"])]);
    let error = broker.watch(all("", "Pod"), "4".into()).await.err().unwrap();
    assert_eq!((error.code, server.requests().len()), (ErrorCode::Forbidden, 1), "never allowed before");

    server.raw(200, event("ADDED", "a", "5").into_bytes());
    (0..20).for_each(|_| server.answer(403, &forbidden()));
    let mut events = broker.watch(all("", "Pod"), "4".into()).await.unwrap();
    assert!(events.next().await.unwrap().is_ok());
    assert_eq!(events.next().await.unwrap().unwrap_err().code, ErrorCode::Forbidden);
    assert_eq!(server.requests().len(), 12);
}

#[tokio::test]
async fn secrets_in_watch_are_redacted() {
    let server = Server::default();
    let object =
        json!({"metadata": {"name": "s", "resourceVersion": "5"}, "data": {"password": "aHVudGVyMg=="}});
    server.raw(200, format!("{}\n", json!({"type": "ADDED", "object": object})).into_bytes());
    let broker = server.broker(&[rule("", &["secrets"], &["watch"])]);
    let mut events = broker.watch(all("", "Secret"), "4".into()).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap().object["data"]["password"], "redacted");
}

#[tokio::test]
async fn endless_event_is_refused() {
    let server = Server::default();
    let mut config = server.config(&[rule("", &["pods"], &["watch"])]);
    config.budgets = Budgets { response: 100, ..Budgets::default() };
    server.raw(200, vec![b'x'; 1000]);
    let broker = Broker::new(config).unwrap();
    let mut events = broker.watch(all("", "Pod"), "4".into()).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap_err().code, ErrorCode::Budget);
}

#[tokio::test]
async fn events_in_one_chunk_are_returned_in_order() {
    let server = Server::default();
    let names = ["a", "b", "c"];
    server.raw(200, names.map(|name| event("ADDED", name, "5")).concat().into_bytes());
    let broker = server.broker(&[rule("", &["pods"], &["watch"])]);
    let mut events = broker.watch(all("", "Pod"), "4".into()).await.unwrap();
    for name in names {
        assert_eq!(events.next().await.unwrap().unwrap().object["metadata"]["name"], name);
    }
}

/// Each is within its own limit, but not their sum.
#[tokio::test]
async fn incomplete_events_of_all_watches_are_bounded() {
    let server = Server::default();
    let broker = server.broker(&[rule("", &["pods"], &["watch"])]);
    let (mut open, mut refused) = (Vec::new(), 0);
    for _ in 0..10 {
        server.stuck(200, vec![b'x'; 3 << 20]);
        let mut events = broker.watch(all("", "Pod"), "4".into()).await.unwrap();
        match futures_util::FutureExt::now_or_never(events.next()) {
            Some(Some(Err(error))) => {
                assert_eq!(error.code, ErrorCode::Budget);
                refused += 1;
            }
            _ => open.push(events),
        }
    }
    assert_eq!((open.len(), refused), (2, 8));
    drop(open);
    server.raw(200, event("ADDED", "a", "5").into_bytes());
    let mut events = broker.watch(all("", "Pod"), "4".into()).await.unwrap();
    assert!(events.next().await.unwrap().is_ok(), "dropped watches release their bytes");
}

#[tokio::test(start_paused = true)]
async fn watch_closed_at_once_is_always_reopened() {
    let server = Server::default();
    for _ in 0..80 {
        server.raw(200, Vec::new());
    }
    server.answer(410, &status(410, "Expired", "too old resource version"));
    let broker = server.broker(&[rule("", &["pods"], &["watch"])]);
    let mut events = broker.watch(all("", "Pod"), "4".into()).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap_err().code, ErrorCode::Expired);
    assert_eq!(server.requests().len(), 81);
}
