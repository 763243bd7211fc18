//! The output of `kf events`.

use std::time::Duration;

use kf_plugin_events::Plugin;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;
use serde_json::{Value, json};

fn cluster() -> FakeHost {
    let host = FakeHost::new("team-a");
    host.serve("trainer.kubeflow.org", "v1alpha1", "TrainJob", "trainjobs");
    host.serve("jobset.x-k8s.io", "v1alpha2", "JobSet", "jobsets");
    host.serve("batch", "v1", "Job", "jobs");
    host
}

/// An event about an object, at a minute of the hour before the test.
fn event(name: &str, (kind, about): (&str, &str), minute: u32, reason: &str) -> Value {
    let time = format!("2026-01-01T11:{minute:02}:00Z");
    json!({ "apiVersion": "v1", "kind": "Event",
        "metadata": { "name": name, "creationTimestamp": time },
        "involvedObject": { "kind": kind, "name": about, "uid": format!("{kind}-{about}") },
        "type": if reason == "Pulled" { "Normal" } else { "Warning" },
        "reason": reason, "message": format!("{reason} it"), "count": 1, "lastTimestamp": time,
    })
}

fn put(host: &FakeHost, version: &str, kind: &str, name: &str, owner: Option<(&str, &str)>) {
    let mut object = Object::from(json!({ "apiVersion": version, "kind": kind, "metadata": {
        "name": name, "uid": format!("{kind}-{name}"), "creationTimestamp": "2026-01-01T11:00:00Z",
    } }));
    if let Some((kind, name)) = owner {
        let uid = format!("{kind}-{name}");
        let owner = json!([{ "kind": kind, "name": name, "uid": uid, "controller": true }]);
        object.set("/metadata/ownerReferences", owner);
    }
    host.put(object.into_value());
}

/// LAST TIMES OBJECT REASON of every row.
fn shown(host: &FakeHost, words: &[&str]) -> Vec<String> {
    assert_eq!(host.run::<Plugin>(words), Ok(Exit::OK));
    let texts = |row: &kf_plugin_sdk::ui::Row| {
        let cells = [0, 2, 3, 4].into_iter().filter_map(|column| row.cells.get(column));
        cells.map(|cell| cell.text.as_str()).collect::<Vec<_>>().join(" ")
    };
    host.terminal().rows.iter().map(texts).collect()
}

#[test]
fn newest_event_is_last_for_every_time_field() {
    let host = cluster();
    host.put(event("a", ("Pod", "web"), 50, "BackOff"));
    // A series of the newer API: count and time are in other fields, the old ones are null.
    let mut series = Object::from(event("b", ("Pod", "web"), 10, "Unhealthy"));
    series.set("/count", Value::Null);
    series.set("/lastTimestamp", Value::Null);
    series.set("/eventTime", "2026-01-01T11:10:00.000000Z");
    series.set("/series", json!({ "count": 7, "lastObservedTime": "2026-01-01T11:59:00.500000Z" }));
    host.put(series.into_value());
    // A single event, with its time only in eventTime.
    let mut once = Object::from(event("c", ("Pod", "web"), 20, "Scheduled"));
    once.set("/lastTimestamp", Value::Null);
    once.set("/count", Value::Null);
    once.set("/eventTime", "2026-01-01T11:40:00.000000Z");
    host.put(once.into_value());
    assert_eq!(
        shown(&host, &[]),
        ["20m 1 pod/web Scheduled", "10m 1 pod/web BackOff", "59s 7 pod/web Unhealthy"]
    );
}

#[test]
fn repeated_events_are_one_line() {
    let host = cluster();
    for (name, minute) in [("a", 30), ("b", 50), ("c", 40)] {
        host.put(event(name, ("Pod", "web"), minute, "BackOff"));
    }
    host.put(event("d", ("Pod", "db"), 45, "BackOff"));
    assert_eq!(shown(&host, &[]), ["15m 1 pod/db BackOff", "10m 3 pod/web BackOff"]);
}

#[test]
fn workload_shows_events_of_owned_objects_only() {
    let host = cluster();
    put(&host, "trainer.kubeflow.org/v1alpha1", "TrainJob", "mnist", None);
    put(&host, "jobset.x-k8s.io/v1alpha2", "JobSet", "mnist", Some(("TrainJob", "mnist")));
    put(&host, "batch/v1", "Job", "mnist-node-0", Some(("JobSet", "mnist")));
    put(&host, "v1", "Pod", "mnist-node-0-0-aaaaa", Some(("Job", "mnist-node-0")));
    put(&host, "trainer.kubeflow.org/v1alpha1", "TrainJob", "mnist-2", None);
    for (name, about, minute) in [
        ("a", ("TrainJob", "mnist"), 10),
        ("b", ("Job", "mnist-node-0"), 20),
        ("c", ("Pod", "mnist-node-0-0-aaaaa"), 30),
        // Deleted in the meantime.
        ("d", ("Pod", "mnist-node-0-0-bbbbb"), 15),
        // Of another workload.
        ("e", ("Pod", "mnist-2-node-0-0-ccccc"), 40),
        ("f", ("Pod", "web"), 41),
    ] {
        host.put(event(name, about, minute, "BackOff"));
    }
    // Of a deleted training job of the same name.
    let mut earlier = Object::from(event("g", ("Pod", "mnist-node-0-0-ddddd"), 5, "BackOff"));
    earlier.set("/metadata/creationTimestamp", "2026-01-01T10:55:00Z");
    host.put(earlier.into_value());
    let expected = [
        "50m 1 trainjob/mnist BackOff",
        "45m 1 pod/mnist-node-0-0-bbbbb BackOff",
        "40m 1 job/mnist-node-0 BackOff",
        "30m 1 pod/mnist-node-0-0-aaaaa BackOff",
    ];
    assert_eq!(shown(&host, &["mnist"]), expected);
    assert_eq!(shown(&host, &["mnist-2"]), ["20m 1 pod/mnist-2-node-0-0-ccccc BackOff"]);
}

#[test]
fn warnings_flag_hides_normal_events() {
    let host = cluster();
    host.put(event("a", ("Pod", "web"), 50, "BackOff"));
    host.put(event("b", ("Pod", "web"), 51, "Pulled"));
    assert_eq!(shown(&host, &["--warnings"]), ["10m 1 pod/web BackOff"]);
    let quiet = cluster();
    assert!(shown(&quiet, &["--warnings"]).is_empty());
    assert_eq!(quiet.terminal().notes, ["no warnings in team-a in the last hour"]);
}

#[test]
fn watch_shows_events_of_new_pods() {
    let host = cluster();
    put(&host, "batch/v1", "Job", "prepare", None);
    host.at(Duration::from_secs(30), |cluster| {
        let mut pod = Object::from(json!({ "apiVersion": "v1", "kind": "Pod", "metadata": {
            "name": "other", "uid": "Pod-other", "creationTimestamp": "2026-01-01T12:00:30Z",
            "labels": { "batch.kubernetes.io/job-name": "prepare" },
        } }));
        pod.set("/status/phase", "Pending");
        cluster.put(pod.into_value());
        cluster.put(event("a", ("Pod", "other"), 59, "FailedScheduling"));
    });
    // The watch ends with the script of the test.
    assert_eq!(host.run::<Plugin>(&["prepare", "--watch"]), Ok(Exit::OK));
    assert!(host.terminal().stdout.contains("pod/other  FailedScheduling"), "{}", host.terminal().stdout);
}

#[test]
fn listing_without_permission_is_forbidden() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("list", "", "events"));
    assert_eq!(host.run::<Plugin>(&[]).unwrap_err().code, ErrorCode::Forbidden);
}

#[test]
fn events_of_train_job_are_shown_without_permission_for_job_sets() {
    let host = cluster();
    put(&host, "trainer.kubeflow.org/v1alpha1", "TrainJob", "bad", None);
    put(&host, "jobset.x-k8s.io/v1alpha2", "JobSet", "bad", Some(("TrainJob", "bad")));
    put(&host, "batch/v1", "Job", "bad-node-0", Some(("JobSet", "bad")));
    host.cluster(|cluster| cluster.deny("*", "jobset.x-k8s.io", "jobsets"));
    host.put(event("a", ("Job", "bad-node-0"), 10, "BackoffLimitExceeded"));
    host.put(event("b", ("JobSet", "bad"), 11, "FailedJobs"));
    host.put(event("c", ("JobSet", "other"), 12, "FailedJobs"));
    let rows = shown(&host, &["bad", "--warnings"]);
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows[0].contains("BackoffLimitExceeded") && rows[1].contains("FailedJobs"), "{rows:?}");
}

#[test]
fn events_of_workload_are_shown_despite_broken_kind() {
    let host = cluster();
    host.serve("kubeflow.org", "v1", "Notebook", "notebooks");
    put(&host, "batch/v1", "Job", "mnist", None);
    put(&host, "v1", "Pod", "mnist-0", Some(("Job", "mnist")));
    host.put(event("a", ("Pod", "mnist-0"), 50, "BackOff"));
    host.cluster(|cluster| {
        for verb in ["get", "list"] {
            cluster.fail(verb, "Notebook", Error::new(ErrorCode::Internal, "webhook failed"));
        }
    });
    assert_eq!(shown(&host, &["mnist"]), ["10m 1 pod/mnist-0 BackOff"]);
    assert_eq!(host.terminal().notes, ["warning: skipped: notebooks (webhook failed)"], "reported once");
}

#[test]
fn all_namespaces_are_one_table_newest_last() {
    let host = cluster();
    for (namespace, minute) in [("team-b", 20), ("team-a", 10), ("ops", 30)] {
        let mut event = Object::from(event("a", ("Pod", "web"), minute, "BackOff"));
        event.set("/metadata/namespace", namespace);
        host.put(event.into_value());
    }
    assert_eq!(host.run::<Plugin>(&["-A"]), Ok(Exit::OK));
    assert_eq!(host.terminal().column(0), ["team-a", "team-b", "ops"]);
    assert_eq!(host.run::<Plugin>(&["-A", "--tail", "1"]), Ok(Exit::OK));
    assert_eq!(host.terminal().column(0), ["ops"]);
}

#[test]
fn since_hides_older_events() {
    let host = cluster();
    host.put(event("a", ("Pod", "web"), 10, "BackOff"));
    host.put(event("b", ("Pod", "web"), 55, "Failed"));
    assert_eq!(shown(&host, &["--since", "10m"]), ["5m 1 pod/web Failed"]);
    assert_eq!(shown(&host, &["--since", "1m"]), [""; 0]);
    assert_eq!(host.terminal().notes, ["no events in team-a in the last 60s"]);
}

#[test]
fn many_events_are_limited_to_last_hundred_with_note() {
    let host = cluster();
    for number in 0..130 {
        host.put(event(&format!("e{number}"), ("Pod", &format!("web-{number:03}")), number / 4, "BackOff"));
    }
    let last = "pod/web-129";
    let rows = shown(&host, &[]);
    assert_eq!(rows.len(), 100);
    assert!(rows.last().unwrap().contains(last), "{rows:?}");
    assert_eq!(host.terminal().notes, ["30 earlier events not shown; `kf events --tail all` shows all"]);
    for (words, count) in [
        (&["--tail", "all"][..], 130),
        (&["--tail=7"], 7),
        (&["--since=2h"], 130),
        (&["--since=2h", "--tail=9"], 9),
    ] {
        assert_eq!(shown(&host, words).len(), count, "{words:?}");
        assert_eq!(host.terminal().notes.len(), 1, "no note for an explicit limit: {words:?}");
    }
    // Structured output is complete.
    host.format(Format::Json);
    assert_eq!(shown(&host, &[]).len(), 130);
    let error = host.run::<Plugin>(&["--tail", "few"]).unwrap_err();
    assert!(error.message.contains("expected a number of lines or `all`"), "{}", error.message);
}
