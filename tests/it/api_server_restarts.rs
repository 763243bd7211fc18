//! Commands that wait survive restarts of the API server, both crashes and clean shutdowns.
//!
//! The test has its own API server, whose audit log shows the requests.

use std::collections::BTreeMap;

use kf_tests::cluster::{Request, User};
use nix::sys::signal::Signal;

use crate::common::lines::{Following, waiting_pod};
use crate::common::team::Team;
use crate::common::until_true;

fn requests_of(team: &Team, user: User) -> Vec<Request> {
    let all = team.cluster().audited().unwrap();
    all.into_iter().filter(|request| request.user == user.name()).collect()
}

fn count(team: &Team, user: User, verb: &str, resource: &str) -> usize {
    let of_resource = format!("/{resource}");
    let all = requests_of(team, user).into_iter();
    all.filter(|request| {
        request.verb == verb && request.path.split('?').next().unwrap().ends_with(&of_resource)
    })
    .count()
}

fn apply(team: &Team, names: &[String]) {
    let pods: Vec<_> = names.iter().map(|name| waiting_pod(name)).collect();
    team.apply(&pods.join("---\n"));
}

fn three(when: &str) -> Vec<String> {
    (1..=3).map(|number| format!("{when}-{number}")).collect()
}

/// Asserts that these are only lists and watches, and few enough of each kind for a server that just started.
fn assert_watches_only(requests: &[Request]) {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for request in requests {
        assert!(["list", "watch"].contains(&request.verb.as_str()), "{request:?}");
        *counts.entry((&request.verb, request.path.split('?').next().unwrap())).or_default() += 1;
    }
    assert!(!counts.is_empty() && counts.values().all(|count| *count <= 6), "{counts:#?}");
}

const TRAIN: [&str; 5] = ["train", "waits", "--runtime", "kf-test", "--wait"];
const COMPLETE: &str = r#"{"status": {"conditions": [{"type": "Complete", "status": "True", "reason": "Done",
    "message": "done", "lastTransitionTime": "2026-01-01T12:00:00Z"}]}}"#;

#[test]
fn watches_survive_api_server_restarts() {
    let team = Team::with_own_server("restart");
    let before = three("before");
    apply(&team, &before);
    let vic = team.home(User::Viewer, &["status"]);
    let dana = team.home(User::DataScientist, &["logs", "train"]);
    let mut status = Following::start(&vic, &["status", "--watch"]);
    for name in &before {
        status.line(name);
    }
    let mut logs = Following::start(&dana, &["logs", "pod/before-1", "-f"]);
    let mut train = Following::start(&dana, &TRAIN);
    // Each watches its object and its pods, and has read the events once.
    until_true("both wait", || {
        let dana = |verb, resource| count(&team, User::DataScientist, verb, resource);
        dana("watch", "trainjobs") >= 1 && dana("watch", "pods") >= 3 && dana("list", "events") >= 2
    });
    // No other kind has objects, so that only pods print lines.
    let mut names = before;
    for (round, signal) in [("crashed", Signal::SIGKILL), ("stopped", Signal::SIGTERM)] {
        let first = requests_of(&team, User::Viewer).len();
        team.cluster().stop_api_server(signal).unwrap();
        status.stderr_line("retrying");
        team.cluster().start_api_server().unwrap();
        status.stderr_line("the API server answers again");
        assert_watches_only(&requests_of(&team, User::Viewer)[first..]);

        let after = three(round);
        let mut watching = None;
        for name in &after {
            apply(&team, std::slice::from_ref(name));
            status.line(name);
            watching.get_or_insert_with(|| requests_of(&team, User::Viewer));
        }
        assert_eq!(
            Some(requests_of(&team, User::Viewer)),
            watching,
            "changes that a watch delivers need no further requests"
        );
        names.extend(after);
        for waiting in [&mut status, &mut logs, &mut train] {
            waiting.assert_running();
        }
    }
    // Each pod is shown exactly once.
    let lines = status.lines();
    for name in &names {
        let rows: Vec<_> = lines.iter().filter(|line| line.contains(name.as_str())).collect();
        assert_eq!(rows.len(), 1, "{name} in {lines:#?}");
    }

    team.admin(&["patch", "trainjob", "waits", "--subresource=status", "--type=merge", "-p", COMPLETE]);
    train.stderr_line("waits complete");
    assert_eq!(train.finish().code(), Some(0));
    team.admin(&["delete", "pod", "before-1", "--wait=false"]);
    logs.stderr_line("before-1 was deleted");
}
