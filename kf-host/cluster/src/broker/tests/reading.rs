use futures_util::StreamExt as _;
use kf_core::api::{AccessQuestion, KubeApi as _, LogOptions};
use kf_core::grants::Layer;

use super::*;

#[tokio::test]
async fn get_sends_one_request_with_headers_of_broker_only() {
    let server = Server::default();
    server.answer(200, &json!({"kind": "Pod", "metadata": {"name": "web-0", "managedFields": []}}));
    let broker = server.broker(&[rule("", &["pods"], &["get"])]);
    let pod = broker.get(object("", "Pod", "web-0")).await.unwrap();
    assert_eq!(pod, json!({"kind": "Pod", "metadata": {"name": "web-0"}}));
    let sent = server.last();
    assert_eq!((sent.method.as_str(), sent.uri.as_str()), ("GET", "/api/v1/namespaces/team-a/pods/web-0"));
    let agent = format!("kf/{} plugin/train@1.4.0+5f1c0000", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        sent.headers,
        [("user-agent".to_owned(), agent), ("accept".to_owned(), "application/json".to_owned())]
    );
    let call = &broker.calls()[0];
    assert_eq!(
        (call.verb.as_str(), call.status, call.rule, call.objects),
        ("get", Some(200), Some(1), Some(1))
    );
}

#[tokio::test]
async fn hostile_names_never_become_requests() {
    let server = Server::default();
    let broker = server.broker(&[rule("", &["pods", "secrets", "pods/log"], &["get", "list"])]);
    for hostile in
        ["../../kube-system/secrets/x", "web-0/exec?command=sh", "web-0#x", "%2e%2e", "..", "", "a b"]
    {
        let mut reference = object("", "Pod", hostile);
        assert_eq!(broker.get(reference.clone()).await.unwrap_err().code, ErrorCode::Invalid, "{hostile}");
        reference.name = "web-0".into();
        reference.namespace = Some(hostile.into());
        assert_eq!(broker.get(reference.clone()).await.unwrap_err().code, ErrorCode::Invalid, "{hostile}");
        let selection = Selection { namespace: Some(hostile.into()), ..all("", "Pod") };
        assert_eq!(broker.list(selection, None, None).await.unwrap_err().code, ErrorCode::Invalid);
        let log = broker.log(None, hostile.into(), LogOptions::default()).await;
        assert_eq!(log.err().unwrap().code, ErrorCode::Invalid);
        let container = LogOptions { container: Some(hostile.into()), ..LogOptions::default() };
        assert_eq!(broker.log(None, "web-0".into(), container).await.err().unwrap().code, ErrorCode::Invalid);
    }
    let token = broker.list(all("", "Pod"), None, Some("x&limit=1".into())).await;
    assert_eq!(token.unwrap_err().code, ErrorCode::Invalid);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn call_without_grant_is_not_sent() {
    let server = Server::default();
    let broker = server.broker(&[rule("", &["pods"], &["get"])]);
    let refused = |error: ApiError| error.refusal.unwrap().layer;
    assert_eq!(refused(broker.get(object("", "Secret", "s")).await.unwrap_err()), Layer::Manifest);
    assert_eq!(refused(broker.list(all("", "Pod"), None, None).await.unwrap_err()), Layer::Manifest);
    let log = broker.log(None, "web-0".into(), LogOptions::default()).await;
    assert_eq!(refused(log.err().unwrap()), Layer::Manifest);
    let elsewhere = ObjectRef { namespace: Some("kube-system".into()), ..object("", "Pod", "x") };
    assert_eq!(refused(broker.get(elsewhere).await.unwrap_err()), Layer::Environment);
    let everywhere = Selection { reach: Reach::AllNamespaces, ..all("", "Pod") };
    assert_eq!(refused(broker.list(everywhere, None, None).await.unwrap_err()), Layer::Manifest);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn namespace_object_of_environment_is_in_scope() {
    let server = Server::default();
    server.answer(200, &json!({"metadata": {"name": "team-a"}}));
    let broker = server.broker(&[rule("", &["namespaces"], &["get", "list"])]);
    broker.get(object("", "Namespace", "team-a")).await.unwrap();
    assert_eq!(server.requests(), ["GET /api/v1/namespaces/team-a"]);
    let other = broker.get(object("", "Namespace", "team-b")).await.unwrap_err();
    assert_eq!(other.refusal.unwrap().layer, Layer::Environment);
    let every = broker.list(all("", "Namespace"), None, None).await.unwrap_err();
    assert_eq!(every.refusal.unwrap().layer, Layer::Manifest);
}

#[tokio::test]
async fn list_is_paged_and_selectors_are_normalized() {
    let server = Server::default();
    server.answer(
        200,
        &json!({"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "abc", "resourceVersion": "7"}}),
    );
    server.answer(200, &json!({"items": [], "metadata": {"resourceVersion": "8"}}));
    let broker = server.broker(&[rule("", &["pods"], &["list"])]);
    let selection = Selection {
        label_selector: Some("app == web , tier in (a, b)".into()),
        field_selector: Some("status.phase=Running".into()),
        ..all("", "Pod")
    };
    let page = broker.list(selection, Some(100_000), None).await.unwrap();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}});
    assert_eq!(page.items, [pod.into()]);
    assert_eq!((page.continue_token.as_deref(), page.resource_version.as_str()), (Some("abc"), "7"));
    let page = broker.list(all("", "Pod"), Some(5), page.continue_token).await.unwrap();
    assert_eq!(page.continue_token, None);
    assert_eq!(
        server.requests(),
        [
            "GET /api/v1/namespaces/team-a/pods?labelSelector=app%3Dweb%2Ctier%20in%20%28a%2Cb%29\
             &fieldSelector=status.phase%3DRunning&limit=500",
            "GET /api/v1/namespaces/team-a/pods?limit=5&continue=abc",
        ]
    );
}

#[tokio::test]
async fn secrets_are_redacted_without_grant_for_data() {
    let secret = json!({"kind": "Secret", "metadata": {"name": "s"}, "data": {"password": "aHVudGVyMg=="}});
    let list = json!({"items": [secret], "metadata": {}});
    let (plain, mut with_data) =
        (rule("", &["secrets"], &["get", "list"]), rule("", &["secrets"], &["get", "list"]));
    with_data["data"] = json!(true);
    for (rule, expected) in [(plain, "redacted"), (with_data, "aHVudGVyMg==")] {
        let server = Server::default();
        server.answer(200, &secret);
        server.answer(200, &list);
        let broker = server.broker(&[rule]);
        let got = broker.get(object("", "Secret", "s")).await.unwrap();
        assert_eq!(got["data"]["password"], expected);
        let page = broker.list(all("", "Secret"), None, None).await.unwrap();
        assert_eq!(page.items[0].value().unwrap()["data"]["password"], expected);
    }
}

#[tokio::test]
async fn custom_kind_is_discovered_once() {
    let server = Server::default();
    server.answer(
        200,
        &json!({"preferredVersion": {"version": "v1alpha1"}, "versions": [{"version": "v1alpha1"}]}),
    );
    server.answer(
        200,
        &json!({"resources": [{"name": "trainjobs", "kind": "TrainJob", "namespaced": true, "verbs": ["get"]}]}),
    );
    for _ in 0..2 {
        server.answer(200, &json!({"metadata": {"name": "mnist"}}));
    }
    let broker = server.broker(&[rule("trainer.kubeflow.org", &["trainjobs"], &["get"])]);
    for _ in 0..2 {
        broker.get(object("trainer.kubeflow.org", "TrainJob", "mnist")).await.unwrap();
    }
    assert_eq!(
        server.requests(),
        [
            "GET /apis/trainer.kubeflow.org",
            "GET /apis/trainer.kubeflow.org/v1alpha1",
            "GET /apis/trainer.kubeflow.org/v1alpha1/namespaces/team-a/trainjobs/mnist",
            "GET /apis/trainer.kubeflow.org/v1alpha1/namespaces/team-a/trainjobs/mnist",
        ]
    );
    server.answer(404, &status(404, "NotFound", "the server could not find the requested resource"));
    let error = broker.get(object("absent.example", "Thing", "x")).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(error.message, "the cluster does not serve Thing.absent.example");
}

#[tokio::test]
async fn call_over_budget_is_refused() {
    let server = Server::default();
    let mut config = server.config(&[rule("", &["pods"], &["get"])]);
    config.budgets = Budgets { calls: 2, response: 20, ..Budgets::default() };
    let broker = Broker::new(config).unwrap();
    server.answer(200, &json!({"a": 1}));
    server.answer(200, &json!({"long": "x".repeat(100)}));
    assert!(broker.get(object("", "Pod", "a")).await.is_ok());
    assert_eq!(broker.get(object("", "Pod", "a")).await.unwrap_err().code, ErrorCode::Budget);
    assert_eq!(broker.get(object("", "Pod", "a")).await.unwrap_err().code, ErrorCode::Budget);
    assert_eq!(server.requests().len(), 2);

    let mut config = server.config(&[rule("", &["pods"], &["get"])]);
    config.budgets = Budgets { bytes: 10, ..Budgets::default() };
    server.answer(200, &json!({"long": "x".repeat(100)}));
    let error = Broker::new(config).unwrap().get(object("", "Pod", "a")).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Budget);
}

/// A page with `count` copies of an item.
fn page_of(item: &str, count: usize) -> Vec<u8> {
    format!("{{\"items\":[{}],\"metadata\":{{}}}}", vec![item; count].join(",")).into_bytes()
}

#[tokio::test]
async fn page_over_requested_limit_is_refused() {
    let server = Server::default();
    let broker = server.broker(&[rule("", &["pods"], &["list"])]);
    for (limit, count) in [(Some(3), 3), (None, 500), (Some(10_000), 500)] {
        server.raw(200, page_of("{}", count));
        assert_eq!(broker.list(all("", "Pod"), limit, None).await.unwrap().items.len(), count);
        server.raw(200, page_of("{}", count + 1));
        let error = broker.list(all("", "Pod"), limit, None).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Budget);
        let message = format!("the API server's response for pods in team-a has more than {count} items");
        assert_eq!(error.message, message);
    }
}

#[tokio::test]
async fn response_with_too_many_values_is_refused() {
    let server = Server::default();
    let broker = server.broker(&[rule("", &["pods"], &["get", "list", "watch"])]);
    let many = format!("{{\"spec\":[{}0]}}", "0,".repeat(kf_core::json::MAX_NODES));
    server.raw(200, many.clone().into_bytes());
    assert_eq!(broker.get(object("", "Pod", "a")).await.unwrap_err().code, ErrorCode::Budget);
    server.raw(200, page_of(&many, 1));
    assert_eq!(broker.list(all("", "Pod"), None, None).await.unwrap_err().code, ErrorCode::Budget);
    server.raw(200, format!("{{\"type\":\"ADDED\",\"object\":{many}}}\n").into_bytes());
    let mut events = broker.watch(all("", "Pod"), "4".into()).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap_err().code, ErrorCode::Budget);
}

/// It is read in blocks.
#[tokio::test]
async fn large_page_is_parsed_completely() {
    let server = Server::default();
    let broker = server.broker(&[rule("", &["configmaps"], &["list"])]);
    let item = |n: usize| {
        format!("{{\"metadata\":{{\"name\":\"c{n}\"}},\"data\":{{\"x\":\"{}\"}}}}", "y".repeat(30_000))
    };
    let items: Vec<String> = (0..400).map(item).collect();
    server.raw(200, format!("{{\"items\":[{}]}}", items.join(",")).into_bytes());
    let page = broker.list(all("", "ConfigMap"), None, None).await.unwrap();
    assert_eq!(page.items.len(), 400);
    assert_eq!(page.items[399].value().unwrap()["metadata"]["name"], "c399");
}

/// The start of an endless error page is enough to see that it is not a `Status`.
#[tokio::test]
async fn endless_error_response_is_truncated() {
    let server = Server::default();
    let mut config = server.config(&[rule("", &["pods"], &["get"])]);
    config.budgets = Budgets { bytes: 20 << 20, ..Budgets::default() };
    let broker = Broker::new(config).unwrap();
    let causes =
        format!("{{\"kind\":\"Status\",\"details\":{{\"causes\":[{}{{}}]}}}}", "{},".repeat(6 << 20));
    server.raw(422, causes.into_bytes());
    let error = broker.get(object("", "Pod", "a")).await.unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (ErrorCode::Invalid, "response 422 is not from the API server")
    );
}

#[tokio::test]
async fn log_is_a_byte_stream_and_counts_as_stream() {
    let server = Server::default();
    let mut config = server.config(&[rule("", &["pods/log"], &["get"])]);
    // Enough to read the pod, but not the log, which does not count.
    config.budgets = Budgets { streams: 1, bytes: 200, ..Budgets::default() };
    let broker = Broker::new(config).unwrap();
    let long = "long ".repeat(100);
    server.raw(200, lines(&[("01", "one"), ("02", &long)]));
    server.answer(200, &main(json!({"terminated": {"exitCode": 0}})));
    let options = LogOptions {
        container: Some("main".into()),
        follow: true,
        tail_lines: Some(3),
        since: Some(1_700_000_000_000),
        ..LogOptions::default()
    };
    let mut log = broker.log(None, "web-0".into(), options.clone()).await.unwrap();
    assert_eq!(
        server.requests(),
        ["GET /api/v1/namespaces/team-a/pods/web-0/log?container=main&follow=true\
          &timestamps=true&sinceTime=2023-11-14T22%3A13%3A20Z&tailLines=3"]
    );
    let second = broker.log(None, "web-0".into(), options.clone()).await;
    assert_eq!(second.err().unwrap().code, ErrorCode::Budget);
    let mut text = Vec::new();
    while let Some(chunk) = log.next().await {
        text.extend(chunk.unwrap());
    }
    assert_eq!(text, format!("one\n{long}\n").into_bytes());
    drop(log);
    server.raw(200, Vec::new());
    assert!(broker.log(None, "web-0".into(), options).await.is_ok());
}

/// Lines of a minute, as the kubelet sends them.
fn lines(lines: &[(&str, &str)]) -> Vec<u8> {
    let line = |(second, text): &(&str, &str)| format!("2026-01-01T12:00:{second}.5Z {text}\n");
    lines.iter().map(line).collect::<String>().into_bytes()
}

/// A pod whose container `main` is in this state.
fn main(state: Value) -> Value {
    json!({"status": {"containerStatuses": [{"name": "main", "state": state}]}})
}

/// The output of a followed log until it ends or fails, and the requests.
async fn follow(server: &Server) -> (String, Option<ApiError>, Vec<String>) {
    let broker = server.broker(&[rule("", &["pods/log"], &["get"])]);
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let mut log = broker.log(None, "web-0".into(), options).await.unwrap();
    let (mut text, mut failed) = (Vec::new(), None);
    while let Some(chunk) = log.next().await {
        match chunk {
            Ok(chunk) => text.extend(chunk),
            Err(error) => failed = Some(error),
        }
    }
    (String::from_utf8(text).unwrap(), failed, server.requests())
}

/// The same for a log that ends without an error.
async fn followed(server: &Server) -> (String, Vec<String>) {
    let (text, failed, requests) = follow(server).await;
    assert_eq!(failed, None, "{requests:#?}");
    (text, requests)
}

/// The container `main`, running since the start of the minute.
fn running() -> Value {
    main(json!({"running": {"startedAt": "2026-01-01T12:00:00Z"}}))
}

/// The kubelet's answer if there is no previous run.
fn no_previous(server: &Server) {
    let message = "previous terminated container \"main\" in pod \"web-0\" not found";
    server.answer(400, &status(400, "BadRequest", message));
}

#[tokio::test(start_paused = true)]
async fn log_is_resumed_where_connection_ended() {
    let server = Server::default();
    server.raw(200, lines(&[("01", "one"), ("02", "two")]));
    server.answer(200, &running());
    server.raw(200, lines(&[("01", "one"), ("02", "two"), ("03", "three")]));
    server.answer(200, &main(json!({"terminated": {}})));
    let (text, requests) = followed(&server).await;
    assert_eq!(text, "one\ntwo\nthree\n");
    assert_eq!(
        requests[2],
        "GET /api/v1/namespaces/team-a/pods/web-0/log?follow=true&timestamps=true\
         &sinceTime=2026-01-01T12%3A00%3A01.5Z"
    );
    assert_eq!(requests.len(), 4);
}

/// The log of the next run is not part of it.
#[tokio::test(start_paused = true)]
async fn log_ends_with_its_run() {
    let server = Server::default();
    server.raw(200, lines(&[("01", "one")]));
    server.answer(200, &main(json!({"running": {"startedAt": "2026-01-01T12:00:30Z"}})));
    let (text, requests) = followed(&server).await;
    assert_eq!(text, "one\n");
    assert_eq!(requests.len(), 2);
}

/// The kubelet serves the next run's log before the pod's status shows the restart.
#[tokio::test(start_paused = true)]
async fn log_of_next_run_is_not_emitted_with_stale_status() {
    let server = Server::default();
    server.raw(200, lines(&[("01", "one"), ("02", "two")]));
    server.answer(200, &running());
    server.raw(200, lines(&[("04", "one of the next"), ("05", "two of the next")]));
    server.raw(200, lines(&[("01", "one"), ("02", "two"), ("03", "three")]));
    let (text, requests) = followed(&server).await;
    assert_eq!(text, "one\ntwo\nthree\n");
    assert!(requests[3].contains("previous=true") && !requests[3].contains("follow"), "{requests:#?}");
    assert_eq!(requests.len(), 4);
}

/// The status is still stale when the API server becomes unavailable, which does not make the next run's lines part of
/// this log.
#[tokio::test(start_paused = true)]
async fn log_of_next_run_is_not_emitted_after_failed_request() {
    let server = Server::default();
    server.raw(200, lines(&[("01", "one"), ("02", "two")]));
    server.answer(200, &running());
    server.broken(200, lines(&[("04", "one of the next"), ("05", "two of the next")]));
    server.answer(503, &status(503, "ServiceUnavailable", "away"));
    server.raw(200, lines(&[("01", "one"), ("02", "two"), ("03", "three")]));
    let (text, failed, requests) = follow(&server).await;
    assert_eq!(text, "one\ntwo\nthree\n");
    assert_eq!((failed, requests.len()), (None, 5));
}

#[tokio::test(start_paused = true)]
async fn rest_of_run_after_restart_is_read_from_previous_log() {
    let server = Server::default();
    server.broken(200, lines(&[("01", "one"), ("02", "two")]));
    server.raw(200, lines(&[("03", "one of the next")]));
    server.broken(200, lines(&[("01", "one"), ("02", "two"), ("02", "three")]));
    server.raw(200, lines(&[("01", "one"), ("02", "two"), ("02", "three"), ("03", "four")]));
    let (text, requests) = followed(&server).await;
    assert_eq!(text, "one\ntwo\nthree\nfour\n");
    assert!(requests[1].contains("follow") && !requests[1].contains("previous"), "{requests:#?}");
    assert!(requests[2..].iter().all(|request| request.contains("previous=true")), "{requests:#?}");
    assert_eq!(requests.len(), 4);
}

/// After two restarts without a connection, the kubelet only keeps the last run.
#[tokio::test(start_paused = true)]
async fn log_without_available_rest_fails_with_connection_error() {
    let server = Server::default();
    server.broken(200, lines(&[("01", "one"), ("02", "two")]));
    server.raw(200, lines(&[("20", "one of the next but one")]));
    server.raw(200, lines(&[("06", "one of the next")]));
    let mut pod = main(json!({"running": {"startedAt": "2026-01-01T12:00:19Z"}}));
    pod["status"]["containerStatuses"][0]["lastState"] =
        json!({"terminated": {"startedAt": "2026-01-01T12:00:05Z", "finishedAt": "2026-01-01T12:00:07Z"}});
    server.answer(200, &pod);
    let (text, failed, requests) = follow(&server).await;
    assert_eq!(text, "one\ntwo\n");
    assert!(failed.unwrap().message.contains("connection to the API server failed"));
    assert_eq!(requests.len(), 4);
}

/// There is no previous run, so the new lines are part of this one.
#[tokio::test(start_paused = true)]
async fn log_with_rotated_last_line_continues_with_new_file() {
    let server = Server::default();
    server.raw(200, lines(&[("01", "one"), ("02", "two")]));
    server.answer(200, &running());
    server.raw(200, lines(&[("04", "three"), ("05", "four")]));
    no_previous(&server);
    server.answer(200, &running());
    server.answer(200, &main(json!({"terminated": {}})));
    let (text, requests) = followed(&server).await;
    assert_eq!(text, "one\ntwo\nthree\nfour\n");
    assert_eq!(requests.len(), 6);
}

/// A run without output has no line to identify it by.
#[tokio::test(start_paused = true)]
async fn silent_run_is_identified_by_restart_count() {
    let server = Server::default();
    let pod = |restarts: u32| {
        let mut pod = running();
        pod["status"]["containerStatuses"][0]["restartCount"] = json!(restarts);
        pod["status"]["containerStatuses"][0]["lastState"] = json!({"terminated": {"startedAt": "2026-01-01T12:00:00Z", "finishedAt": "2026-01-01T12:00:02Z"}});
        pod
    };
    server.silent();
    server.answer(200, &pod(4));
    server.raw(200, lines(&[("09", "one of the next")]));
    server.raw(200, lines(&[("01", "one")]));
    server.answer(200, &pod(4));
    server.answer(200, &pod(5));
    server.raw(200, lines(&[("01", "one"), ("02", "two")]));
    let (text, requests) = followed(&server).await;
    assert_eq!(text, "one\ntwo\n");
    assert_eq!(requests.len(), 7, "{requests:#?}");
}

#[tokio::test]
async fn log_without_timestamps_ends_with_connection() {
    let server = Server::default();
    server.raw(200, b"one\ntwo, which is longer than any time could ever be\n".to_vec());
    let (text, requests) = followed(&server).await;
    assert_eq!(text, "one\ntwo, which is longer than any time could ever be\n");
    assert_eq!(requests.len(), 1);
}

/// Depending on their version, kubelets answer 200 or 400.
#[tokio::test]
async fn log_of_removed_container_is_not_found() {
    const MESSAGE: &str = "unable to retrieve container logs for containerd://0f3a";
    let terminated = |id: &str| main(json!({"terminated": {"exitCode": 137, "containerID": id}}));
    for follow in [false, true] {
        let options = LogOptions { container: Some("main".into()), follow, ..LogOptions::default() };
        let read = async |server: &Server, resources: &[&str]| {
            let broker = server.broker(&[rule("", resources, &["get"])]);
            let chunks: Vec<_> = match broker.log(None, "web-0".into(), options.clone()).await {
                Ok(log) => log.collect().await,
                Err(error) => vec![Err(error)],
            };
            let failed = chunks.iter().find_map(|chunk| chunk.clone().err().map(|error| error.code));
            (chunks.into_iter().flatten().flatten().collect::<Vec<u8>>(), failed)
        };
        let server = Server::default();
        server.raw(200, MESSAGE.into());
        server.answer(200, &terminated("containerd://0f3a"));
        assert_eq!(read(&server, &["pods/log"]).await, (Vec::new(), Some(ErrorCode::NotFound)));
        // The command is allowed to read logs, but not pods: the host reads the pod, and the command does not see it.
        let requests = server.requests();
        assert_eq!(requests[1..], ["GET /api/v1/namespaces/team-a/pods/web-0"]);

        let server = Server::default();
        server.answer(400, &status(400, "BadRequest", MESSAGE));
        server.answer(200, &terminated("containerd://0f3a"));
        assert_eq!(read(&server, &["pods", "pods/log"]).await, (Vec::new(), Some(ErrorCode::NotFound)));

        // The message is about another container, or the user is not allowed to read the pod.
        for pod in [Some(terminated("containerd://other")), None] {
            let server = Server::default();
            server.raw(200, MESSAGE.into());
            match pod {
                Some(pod) => server.answer(200, &pod),
                None => server.answer(403, &status(403, "Forbidden", "no")),
            }
            assert_eq!(read(&server, &["pods/log"]).await, (MESSAGE.into(), None));
        }
    }
}

#[tokio::test]
async fn whoami_and_can_i_need_right_to_create_reviews() {
    let server = Server::default();
    server.answer(201, &json!({"status": {"allowed": true, "reason": "RBAC: allowed by …"}}));
    server.answer(201, &json!({"status": {"allowed": true, "denied": true}}));
    server.answer(201, &json!({"status": {"userInfo": {"username": "alice", "groups": ["g"]}}}));
    let reviews = [
        rule("authentication.k8s.io", &["selfsubjectreviews"], &["create"]),
        rule("authorization.k8s.io", &["selfsubjectaccessreviews"], &["create"]),
    ];
    // A review changes nothing.
    let mut config = server.config(&reviews);
    config.grants.run.read_only = true;
    let broker = Broker::new(config).unwrap();
    let question = AccessQuestion {
        verb: "create".into(),
        group: String::new(),
        resource: "pods/exec".into(),
        namespace: None,
        name: None,
    };
    let verdicts = broker.can_i(vec![question.clone(), question.clone()]).await.unwrap();
    assert_eq!(verdicts.iter().filter(|v| v.allowed).count(), 1);
    assert_eq!(verdicts[0].reason.as_deref(), Some("RBAC: allowed by …"));
    let asked = &server.sent.lock().unwrap()[0].body["spec"]["resourceAttributes"].clone();
    assert_eq!(
        *asked,
        json!({"verb": "create", "group": "", "resource": "pods", "subresource": "exec",
               "namespace": "team-a", "name": ""})
    );
    let me = broker.whoami().await.unwrap();
    assert_eq!((me.username.as_str(), me.groups), ("alice", vec!["g".to_owned()]));
    let hostile = AccessQuestion { namespace: Some("../x".into()), ..question };
    assert_eq!(broker.can_i(vec![hostile]).await.unwrap_err().code, ErrorCode::Invalid);
}

#[tokio::test]
async fn command_without_right_learns_nothing_about_user() {
    let server = Server::default();
    let question = |verb: &str, resource: &str, namespace: Option<&str>| AccessQuestion {
        verb: verb.into(),
        group: String::new(),
        resource: resource.into(),
        namespace: namespace.map(Into::into),
        name: None,
    };
    let own = question("get", "pods", None);
    for rules in [&[][..], &[rule("", &["pods"], &["get"])]] {
        let broker = server.broker(rules);
        let mut refused = vec![broker.whoami().await.unwrap_err()];
        for question in [
            question("list", "pods", None),
            question("get", "secrets", None),
            question("get", "pods/log", None),
            question("get", "pods", Some("team-b")),
            question("frobnicate", "pods", None),
        ] {
            refused.push(broker.can_i(vec![own.clone(), question]).await.unwrap_err());
        }
        for error in refused {
            assert_eq!(error.code, ErrorCode::Forbidden);
            assert_eq!(error.refusal.unwrap().layer, Layer::Manifest);
        }
    }
    assert!(server.requests().is_empty());

    // About a right of the command itself, the answer is yes or no, without a reason.
    server.answer(
        201,
        &json!({"status": {"allowed": true, "reason": "RBAC: allowed by the binding of alice"}}),
    );
    let broker = server.broker(&[rule("", &["pods"], &["get"])]);
    let verdicts = broker.can_i(vec![own]).await.unwrap();
    assert_eq!((verdicts[0].allowed, &verdicts[0].reason), (true, &None));
    server.answer(403, &status(403, "Forbidden", "User \"alice\" cannot get resource \"pods\""));
    let error = broker.get(object("", "Pod", "web")).await.unwrap_err();
    assert_eq!(error.message, "you are not allowed to get pods named web in team-a");
}

#[tokio::test]
async fn warnings_of_server_are_recorded_once() {
    let server = Server::default();
    for _ in 0..2 {
        server.with_header(200, "warning", "299 - \"v1beta1 is deprecated\"", &json!({}));
    }
    let broker = server.broker(&[rule("", &["pods"], &["get"])]);
    for _ in 0..2 {
        broker.get(object("", "Pod", "a")).await.unwrap();
    }
    assert_eq!(broker.warnings(), ["v1beta1 is deprecated"]);
}

#[tokio::test]
async fn call_is_retried_after_delay_of_busy_server() {
    let server = Server::default();
    server.with_header(429, "retry-after", "0", &status(429, "TooManyRequests", "later"));
    server.answer(200, &json!({"metadata": {"name": "a"}}));
    server.answer(429, &status(429, "TooManyRequests", "no hint, no retry"));
    let broker = server.broker(&[rule("", &["pods"], &["get"])]);
    assert!(broker.get(object("", "Pod", "a")).await.is_ok());
    assert_eq!(broker.get(object("", "Pod", "a")).await.unwrap_err().code, ErrorCode::TimedOut);
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn unavailable_aggregated_api_is_unreachable() {
    let server = Server::default();
    // The response of kube-aggregator.
    server.raw(503, b"service unavailable\n".to_vec());
    let broker = server.broker(&[rule("metrics.k8s.io", &["pods"], &["list"])]);
    let error = broker.list(all("metrics.k8s.io", "PodMetrics"), None, None).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unreachable);
    assert_eq!(
        error.message,
        "the API server is not ready: the server is currently unable to handle the request (503)"
    );
}

const AUTHENTICATION: &str = "authentication.k8s.io";

fn self_reviews() -> Value {
    rule(AUTHENTICATION, &["selfsubjectreviews"], &["create"])
}

/// A server that does not serve the path may still check RBAC first.
fn refused_review(code: u16) -> Value {
    match code {
        404 => status(404, "NotFound", "the server could not find the requested resource"),
        _ => status(
            403,
            "Forbidden",
            "selfsubjectreviews.authentication.k8s.io is forbidden: User \"vic\" cannot create resource \
             \"selfsubjectreviews\" in API group \"authentication.k8s.io\" at the cluster scope",
        ),
    }
}

/// Serves these kinds of the group, by version.
fn serves_reviews(server: &Server, versions: &[(&str, &[&str])]) {
    let named: Vec<_> = versions.iter().map(|(version, _)| json!({"version": version})).collect();
    server.answer(200, &json!({"preferredVersion": named[0], "versions": named}));
    for (_, kinds) in versions {
        let resources: Vec<_> = kinds
            .iter()
            .map(|kind| {
                json!({"name": format!("{}s", kind.to_lowercase()), "kind": kind, "namespaced": false, "verbs": ["create"]})
            })
            .collect();
        server.answer(200, &json!({"resources": resources}));
    }
}

#[tokio::test]
async fn whoami_uses_older_version_on_older_cluster() {
    for (refusal, version) in [(404, "v1beta1"), (404, "v1alpha1"), (403, "v1beta1")] {
        let server = Server::default();
        server.answer(refusal, &refused_review(refusal));
        serves_reviews(&server, &[("v1", &["TokenReview"]), (version, &["SelfSubjectReview"])]);
        server.answer(201, &json!({"status": {"userInfo": {"username": "alice"}}}));
        let me = server.broker(&[self_reviews()]).whoami().await.unwrap();
        assert_eq!(me.username, "alice");
        let sent = server.last();
        assert_eq!(sent.uri, format!("/apis/{AUTHENTICATION}/{version}/selfsubjectreviews"));
        assert_eq!(sent.body["apiVersion"], format!("{AUTHENTICATION}/{version}"));
    }
}

#[tokio::test]
async fn whoami_without_self_review_is_unsupported() {
    for refusal in [404, 403] {
        let server = Server::default();
        server.answer(refusal, &refused_review(refusal));
        serves_reviews(&server, &[("v1", &["TokenReview"])]);
        let error = server.broker(&[self_reviews()]).whoami().await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Unsupported);
        assert!(error.message.contains("requires Kubernetes 1.28"), "{error}");
    }
}

#[tokio::test]
async fn refused_self_review_on_new_cluster_is_forbidden() {
    let server = Server::default();
    server.answer(403, &refused_review(403));
    serves_reviews(&server, &[("v1", &["TokenReview", "SelfSubjectReview"])]);
    let error = server.broker(&[self_reviews()]).whoami().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Forbidden);
}

#[tokio::test]
async fn call_without_audit_line_is_not_sent() {
    let server = Server::default();
    let mut config = server.config(&[rule("", &["pods"], &["get"])]);
    let full = fs_err::OpenOptions::new().append(true).open("/dev/full").unwrap();
    config.audit = Some(AuditLog::new("/dev/full".into(), full.into_parts().0));
    let broker = Broker::new(config).unwrap();
    let error = broker.get(object("", "Pod", "a")).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Failed);
    assert!(error.message.contains("/dev/full"));
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn audit_log_has_every_call_and_refusal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit");
    let server = Server::default();
    let mut config = server.config(&[rule("", &["pods"], &["get"])]);
    config.audit = Some(AuditLog::named(&path).unwrap());
    let broker = Broker::new(config).unwrap();
    server.answer(404, &status(404, "NotFound", "gone"));
    let _ = broker.get(object("", "Pod", "a")).await;
    let _ = broker.get(object("", "Secret", "s")).await;
    let text = fs_err::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let logged: Vec<_> = lines
        .iter()
        .map(|l| {
            (
                l["stage"].as_str().unwrap(),
                l["resource"].as_str().unwrap(),
                l["status"].as_u64(),
                l["layer"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        logged,
        [
            ("request", "pods", None, None),
            ("response", "pods", Some(404), None),
            ("refused", "secrets", None, Some("manifest")),
        ]
    );
    assert_eq!(lines[0]["digest"], "5f1c0000aaaa");
    assert_eq!(lines[0]["rule"], 1);
}

/// Refused calls are not sent, and cannot fill the log.
#[tokio::test]
async fn refusals_are_limited_and_last_one_is_marked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit");
    let server = Server::default();
    let mut config = server.config(&[rule("", &["pods"], &["get"])]);
    config.audit = Some(AuditLog::named(&path).unwrap());
    config.budgets.refusals = 3;
    let broker = Broker::new(config).unwrap();
    let mut codes = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        codes.push(broker.get(object("", "Secret", name)).await.unwrap_err().code);
    }
    let (forbidden, budget) = (ErrorCode::Forbidden, ErrorCode::Budget);
    assert_eq!(codes, [forbidden, forbidden, forbidden, budget, budget]);
    let text = fs_err::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[2]["note"], "further refusals of this run are not logged");
    assert!(lines[1].get("note").is_none());
    // Allowed calls are still sent and logged.
    server.answer(200, &json!({"metadata": {"name": "p"}}));
    broker.get(object("", "Pod", "p")).await.unwrap();
    assert_eq!(fs_err::read_to_string(&path).unwrap().lines().count(), 5);
}
