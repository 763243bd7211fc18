//! Whoever waits goes on waiting while the API server restarts: crashed, and stopped in good order.
//!
//! The server is a real one of the test's own, and its audit log tells what it was asked.

use std::collections::BTreeMap;

use kf_tests::cluster::{Request, User};
use nix::sys::signal::Signal;

use crate::common::lines::{Following, waiting_pod};
use crate::common::team::Team;
use crate::common::until_true;

fn asked(team: &Team, user: User) -> Vec<Request> {
    let all = team.cluster().audited().unwrap();
    all.into_iter().filter(|request| request.user == user.name()).collect()
}

fn count(team: &Team, user: User, verb: &str, resource: &str) -> usize {
    let of_resource = format!("/{resource}");
    let all = asked(team, user).into_iter();
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

/// Lists and watches alone, and of each kind no more than a server that has just begun needs to be asked.
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
fn who_waits_survives_restarts_of_the_api_server() {
    let team = Team::alone("restart");
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
    // Each watches itself and its pods, and has then read the events once.
    until_true("both wait", || {
        let dana = |verb, resource| count(&team, User::DataScientist, verb, resource);
        dana("watch", "trainjobs") >= 1 && dana("watch", "pods") >= 3 && dana("list", "events") >= 2
    });
    // Of no other kind is there anything to see, so that later only pods make lines.
    let mut names = before;
    for (round, signal) in [("crashed", Signal::SIGKILL), ("stopped", Signal::SIGTERM)] {
        let first = asked(&team, User::Viewer).len();
        team.cluster().stop_api_server(signal).unwrap();
        status.told("retrying");
        team.cluster().start_api_server().unwrap();
        status.told("the API server answers again");
        assert_watches_only(&asked(&team, User::Viewer)[first..]);

        let after = three(round);
        let mut watching = None;
        for name in &after {
            apply(&team, std::slice::from_ref(name));
            status.line(name);
            watching.get_or_insert_with(|| asked(&team, User::Viewer));
        }
        assert_eq!(Some(asked(&team, User::Viewer)), watching, "nothing is asked for what a watch tells");
        names.extend(after);
        for waiting in [&mut status, &mut logs, &mut train] {
            waiting.assert_running();
        }
    }
    // Neither lost nor shown again for nothing.
    let lines = status.lines();
    for name in &names {
        let rows: Vec<_> = lines.iter().filter(|line| line.contains(name.as_str())).collect();
        assert_eq!(rows.len(), 1, "{name} in {lines:#?}");
    }

    team.admin(&["patch", "trainjob", "waits", "--subresource=status", "--type=merge", "-p", COMPLETE]);
    train.told("waits complete");
    assert_eq!(train.finish().code(), Some(0));
    team.admin(&["delete", "pod", "before-1", "--wait=false"]);
    logs.told("before-1 was deleted");
}
