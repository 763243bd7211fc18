//! `--watch`: changes as they come, through whatever happens to the watches.

use std::time::Duration;

use kf_plugin_sdk::prelude::*;
use kf_plugin_status::Plugin;
use serde_json::json;

use crate::common::*;

#[test]
fn watching_shows_changes_and_in_a_pipe_nothing_else() {
    let host = cluster();
    host.put(train_job("mnist", json!({})));
    host.at(Duration::from_secs(60), |cluster| {
        cluster.change(TRAIN_JOB, "mnist", |job| {
            let done = json!([{ "type": "Complete", "status": "True" }]);
            job.set("/status/conditions", done);
        });
    });
    assert_eq!(host.run::<Plugin>(&["--watch"]), Ok(Exit::OK));
    let stdout = host.terminal().stdout.clone();
    let rows: Vec<_> = stdout.lines().filter(|line| line.starts_with("trainjob")).collect();
    assert_eq!(
        rows,
        ["trainjob  mnist  Pending  0/2  40s  no pods yet", "trainjob  mnist  Complete  -  40s"]
    );
}

#[test]
fn watching_survives_an_expired_watch_and_a_server_that_was_away() {
    let host = cluster();
    host.put(pod("web", running()));
    let down = Error::new(ErrorCode::Unreachable, "the API server does not answer");
    host.at(Duration::from_secs(60), |cluster| {
        cluster.break_watches("Pod", Error::new(ErrorCode::Expired, "too old"));
        cluster.put(pod("web-2", running()));
    });
    let away = down.clone();
    host.at(Duration::from_secs(120), move |cluster| {
        for kind in ["Pod", "Job"] {
            cluster.break_watches(kind, away.clone());
            cluster.fail("list", kind, away.clone());
        }
    });
    host.at(Duration::from_secs(150), |cluster| {
        for kind in ["Pod", "Job"] {
            cluster.recover("list", kind);
        }
        cluster.remove("Pod", "web");
        cluster.put(pod("web-3", running()));
    });
    host.at(Duration::from_secs(200), |cluster| cluster.remove("Pod", "web-2"));
    assert_eq!(host.run::<Plugin>(&["--watch"]), Ok(Exit::OK));
    let terminal = host.terminal();
    let last: Vec<_> = terminal.rows.iter().map(|row| row.cells[1].text.clone()).collect();
    assert_eq!(last, ["web-3"]);
    let notes = ["the API server does not answer; trying again", "the API server answers again"];
    assert_eq!(terminal.notes, notes);
}

#[test]
fn a_right_lost_while_watching_ends_it_in_time() {
    let host = cluster();
    host.put(pod("web", running()));
    host.at(Duration::from_secs(60), |cluster| {
        cluster.break_watches("Pod", Error::new(ErrorCode::Expired, "too old"));
        cluster.deny("list", "", "pods");
    });
    assert_eq!(host.run::<Plugin>(&["--watch"]).unwrap_err().code, ErrorCode::Forbidden);
}
