//! Attacks on the machine: time, memory, and what the host keeps for a guest.

use std::time::Duration;

use kf_sandbox::{Fault, Granted, Limits};

use crate::guests;
use crate::host::{Given, patient, run, run_with, soon};

pub(crate) fn spin() {
    let attacked = run_with("spin", Given { limits: soon(), ..Given::default() });
    assert_eq!(attacked.limit(), "run.time");
    let Err(fault) = attacked.result else { unreachable!() };
    assert_eq!(fault.to_string(), "it ran for 300 ms without an answer (limit run.time)");
}

pub(crate) fn recursion() {
    assert!(run("recursion").trap().contains("stack"));
}

pub(crate) fn grow_memory() {
    let limits = Limits { memory: 64 << 20, ..patient(Limits::default()) };
    let attacked = run_with("grow_memory", Given { limits, ..Given::default() });
    assert_eq!(attacked.limit(), "run.memory");
}

pub(crate) fn born_large() {
    let limits = Limits { memory: 32 << 20, ..patient(Limits::default()) };
    let attacked = run_with("born_large", Given { limits, ..Given::default() });
    assert_eq!(attacked.limit(), "run.memory");
    assert!(run("born_large").result.is_ok(), "with enough memory it runs");
}

pub(crate) fn host_call_loop() {
    let limits = Limits { calls: 10_000, ..patient(Limits::default()) };
    assert_eq!(run_with("host_call_loop", Given { limits, ..Given::default() }).limit(), "run.calls");
    // Without that limit, the time of the calls counts as the guest's.
    let limits = Limits { calls: u64::MAX, ..soon() };
    assert_eq!(run_with("host_call_loop", Given { limits, ..Given::default() }).limit(), "run.time");
}

pub(crate) fn poll_loop() {
    let limits = Limits { calls: u64::MAX, ..soon() };
    assert_eq!(run_with("poll_loop", Given { limits, ..Given::default() }).limit(), "run.time");
}

/// Each one would allocate a future in the host; the engine limits borrowed handles.
pub(crate) fn poll_flood() {
    assert!(run("poll_flood").trap().contains("handle"));
}

/// Waiting is not computing, so only the wall clock ends it, together with the host call.
pub(crate) fn sleep_for_ever() {
    let limits = Limits { wall: Duration::from_millis(600), ..patient(Limits::default()) };
    assert_eq!(run_with("sleep_for_ever", Given { limits, ..Given::default() }).limit(), "run.wall");
}

/// A wait pays back only its own share of computing.
pub(crate) fn sleep_a_little() {
    let limits = Limits { time: Duration::from_millis(1_500), ..patient(Limits::default()) };
    assert_eq!(run_with("sleep_a_little", Given { limits, ..Given::default() }).limit(), "run.time");
}

/// The memory that it makes the host use is measured with kf itself, in `tests/it/memory.rs`. Here it has no rights,
/// so it does not start.
pub(crate) fn hungry() {
    assert!(matches!(run("hungry").result, Err(Fault::Undeclared(_))));
}

pub(crate) fn many_handles() {
    let attacked = run_with("many_handles", Given::default());
    // The limit of the engine ends it, or that of the host.
    match &attacked.result {
        Err(Fault::Limit { limit }) => assert_eq!(limit.which.name(), "run.handles"),
        Err(Fault::Trap { message, .. }) => assert!(message.contains("handle"), "{message}"),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn huge_argument() {
    let attacked = run_with("huge_argument", Given::default());
    assert!(attacked.trap().contains("fuel"), "{}", attacked.trap());
    assert!(attacked.screen.notes.is_empty());
}

pub(crate) fn deep_json() {
    let error = run("deep_json").result.unwrap().exit.unwrap_err();
    assert_eq!(error.code, kf_core::api::ErrorCode::Invalid);
}

/// A body that is too large for the API server is not parsed.
pub(crate) fn json_flood() {
    let granted = Granted { kube: true, ..Granted::default() };
    let attacked = run_with("json_flood", Given { granted, ..Given::default() });
    assert_eq!(attacked.result.unwrap().exit, Ok(0));
    assert!(attacked.calls.is_empty());
}

pub(crate) fn random_flood() {
    let attacked = run("random_flood");
    assert!(!attacked.trap().is_empty());
}

pub(crate) fn watch_flood() {
    let granted = Granted { kube: true, ..Granted::default() };
    let limits = Limits { streams: 20, ..patient(Limits::default()) };
    let attacked = run_with("watch_flood", Given { granted, limits, ..Given::default() });
    assert_eq!(attacked.result.unwrap().exit, Ok(0), "a stream over the limit was opened");
    assert_eq!(attacked.calls.len(), 21, "20, and one more after one was closed");
}

pub(crate) fn describe_spins() {
    let fault = kf_sandbox::describe(guests::code("describe_spins"), guests::ABI).unwrap_err();
    assert!(matches!(fault, Fault::Limit { .. }), "{fault}");
}

fn sessions() -> Given {
    Given { granted: Granted { sessions: true, ..Granted::default() }, ..Given::default() }
}

/// The host reads only as much from the pod as fits into the buffer.
pub(crate) fn process_flood() {
    let attacked = run_with("process_flood", sessions());
    assert_eq!(attacked.result.unwrap().exit, Ok(0), "a chunk was too large");
    let chunks = attacked.calls.iter().filter(|call| *call == "chunk").count();
    assert!(chunks < 10, "{chunks} chunks of 200 KiB were read");
}

pub(crate) fn process_stuffing() {
    let limits = Limits { wall: Duration::from_millis(600), ..patient(Limits::default()) };
    let given = Given { limits, ..sessions() };
    assert_eq!(run_with("process_stuffing", given).limit(), "run.wall");
}

pub(crate) fn session_flood() {
    let limits = Limits { streams: 20, ..patient(Limits::default()) };
    let attacked = run_with("session_flood", Given { limits, ..sessions() });
    assert_eq!(attacked.result.unwrap().exit, Ok(20));
}

pub(crate) fn page_flood() {
    let attacked = run_with("page_flood", sessions());
    assert_eq!(attacked.result.unwrap().exit, Ok(10));
    let pages = attacked.screen.words.iter().filter(|word| word.starts_with("page "));
    assert_eq!(pages.count(), 10);
}

/// The run owns the ports. Tests with a real cluster check that they close with it.
pub(crate) fn held_ports() {
    // Enough time for both lines.
    let limits = Limits { wall: Duration::from_secs(10), ..patient(Limits::default()) };
    let attacked = run_with("held_ports", Given { limits, ..sessions() });
    assert_eq!(attacked.limit(), "run.wall");
    assert_eq!(attacked.screen.stdout, b"8080\n8080\n");
}
