//! kf terminated at any moment, by a typed Ctrl-C, a signal, or a closed terminal. It restores the terminal, releases
//! ports and leaves no process behind; workloads in the cluster keep running.

use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::thread;

use kf_tests::cluster::{BUSYBOX, Part, User, skip_without_node};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::team::Team;
use crate::common::terminal::Terminal;
use crate::common::{Home, page, until_true};
use crate::sessions::SERVER;

#[derive(Clone, Copy, Debug)]
enum Way {
    /// Ctrl-C. In a session with a terminal the container receives it.
    Typed,
    Signal(Signal),
    /// The terminal's other end closes.
    Closed,
}

const WAYS: [Way; 4] = [Way::Typed, Way::Signal(Signal::SIGTERM), Way::Signal(Signal::SIGHUP), Way::Closed];
const JOINED: [Way; 4] =
    [Way::Signal(Signal::SIGINT), Way::Signal(Signal::SIGTERM), Way::Signal(Signal::SIGHUP), Way::Closed];

/// Terminates kf and asserts its exit status, the restored terminal, and that no process is left.
#[track_caller]
fn end(terminal: Terminal, way: Way) {
    let process = terminal.process_id();
    let screen = terminal.screen();
    match way {
        Way::Typed => drop(terminal.interrupt()),
        Way::Signal(signal) => assert_ended(terminal.signal(signal), signal, &screen),
        Way::Closed => assert_ended(terminal.close(), Signal::SIGHUP, &screen),
    }
    let left: Vec<u32> = session(process);
    assert!(left.is_empty(), "{way:?} left {left:?} of\n{screen}");
}

/// Asserts exit code 128 + signal, or death by the signal if kf had nothing to clean up.
#[track_caller]
fn assert_ended(status: ExitStatus, signal: Signal, screen: &str) {
    let by = signal as i32;
    let is_death = status.signal() == Some(by) && signal != Signal::SIGINT;
    assert!(is_death || status.code() == Some(128 + by), "{signal}: {status} after\n{screen}");
}

/// The processes of the session that this process leads.
fn session(first: u32) -> Vec<u32> {
    let processes = fs_err::read_dir("/proc").unwrap().map_while(Result::ok);
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers
        .filter(|number: &u32| {
            let stat = fs_err::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
            let after_name = stat.rsplit(')').next().unwrap_or_default();
            after_name.split_whitespace().nth(3).and_then(|session| session.parse().ok()) == Some(first)
        })
        .collect()
}

fn started(home: &Home, words: &[&str], typed: &str, ready: &str) -> Terminal {
    let mut terminal = Terminal::start(home.kf(words));
    terminal.type_text(typed);
    terminal.expect(ready);
    terminal
}

fn sessions(team: &Team) {
    let home = team.home(User::DataScientist, &["run", "shell", "status"]);
    let talk = ["run", "server", "-i", "--", "sh", "-c", "read word; echo got-$word; exec cat"];
    let drawn = ["run", "server", "-t", "--", "sh", "-c", "echo ready-$((1 + 1)); exec cat"];
    for (words, typed, ready, ways) in [
        (&["shell", "server"][..], "", "# ", JOINED),
        (&drawn, "", "ready-2", JOINED),
        (&talk, "word\n", "got-word", WAYS),
        (&["status", "--watch"], "", "server", WAYS),
    ] {
        for way in ways {
            end(started(&home, words, typed, ready), way);
        }
    }
}

const TRAIN: [&str; 6] = ["--runtime", "kf-test", "--env", "EPOCHS=100000", "--env", "EPOCH_SECONDS=0.2"];

fn training(team: &Team) {
    let home = team.home(User::DataScientist, &["train", "logs"]);
    for (way, name) in WAYS.into_iter().zip(["a", "b", "c", "d"]) {
        let words: Vec<&str> = [&["train", name][..], &TRAIN, &["--wait", "--logs"]].concat();
        end(started(&home, &words, "", "epoch=1 "), way);
    }
    for way in WAYS {
        end(started(&home, &["logs", "a", "-f"], "", "epoch=2 "), way);
    }
}

fn searching(team: &Team) {
    let home = team.home(User::DataScientist, &["tune"]);
    let tune = [
        "tune",
        "lr",
        "--engine",
        "trainer",
        "--param",
        "lr=0.01:0.5",
        "--seed",
        "3",
        "--minimize",
        "--objective",
        "loss",
    ];
    let size = ["--max-trials", "6", "--parallel", "2", "--env", "LEARNING_RATE=${lr}"];
    let words = [&tune[..], &size, &TRAIN].concat();
    let trials = || {
        let jobs = team.admin(&["get", "trainjobs", "-o", "name"]);
        jobs.lines().filter(|job| job.contains("/lr-")).count()
    };
    // Before its first trial, and later.
    let terminal = started(&home, &words, "", "rerun this command to resume");
    end(terminal, Way::Signal(Signal::SIGTERM));
    for way in [Way::Closed, Way::Signal(Signal::SIGHUP), Way::Typed] {
        let terminal = Terminal::start(home.kf(&words));
        until_true("two trials have begun", || trials() >= 2);
        end(terminal, way);
    }
    let terminal = started(&home, &words, "", "resuming lr: 0 of 6 trials done");
    end(terminal, Way::Typed);
    assert_eq!(trials(), 2, "running trials keep running, and no new one starts");
}

fn opening(team: &Team) {
    team.require(Part::Notebooks);
    let home = team.home(User::DataScientist, &["notebook"]);
    team.apply(&format!(
        "apiVersion: kubeflow.org/v1
kind: Notebook
metadata: {{name: pages}}
spec: {{template: {{spec: {{containers: [{{name: pages, image: '{BUSYBOX}', command: [httpd, -f, -p, '8888']}}]}}}}}}
"
    ));
    home.run(["notebook", "start", "pages", "--wait"]).success();
    let path = format!("/notebook/{}/pages/", team.name());
    for way in WAYS {
        let terminal = started(&home, &["notebook", "open", "pages", "--no-browser"], "", &path);
        let screen = terminal.screen();
        let address = screen.split_once("http://localhost:").unwrap().1;
        let port = address.split('/').next().unwrap().parse().unwrap();
        assert_eq!(page::get(port, "/").unwrap().0, 404, "{screen}");
        end(terminal, way);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "{way:?} left {port} bound");
    }
}

#[test]
fn terminated_kf_cleans_up_and_keeps_workloads() {
    if skip_without_node("terminated_kf_cleans_up_and_keeps_workloads") {
        return;
    }
    let team = Team::with_node("killed");
    team.apply(SERVER);
    team.wait("condition=Ready", &["pod/server"]);
    thread::scope(|threads| {
        for part in [sessions, training, searching, opening] {
            let team = &team;
            threads.spawn(move || part(team));
        }
    });
    team.wait("condition=Ready", &["pods", "--all"]);
    let pods: Value = serde_json::from_str(&team.admin(&["get", "pods", "-o", "json"])).unwrap();
    let pods = pods["items"].as_array().unwrap();
    // Of the server, the notebook, the four jobs and the two trials.
    assert_eq!(pods.len(), 8, "{pods:#?}");
    for pod in pods {
        assert_eq!(pod["status"]["phase"], "Running", "{pod:#}");
        assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0, "{pod:#}");
        assert_eq!(pod["metadata"]["deletionTimestamp"], Value::Null, "{pod:#}");
    }
}
