//! Attacks on the user's terminal, and on the meaning of exit codes.

use kf_core::api::ErrorCode;
use kf_core::exit;
use kf_sandbox::{Fault, Granted, Limits};

use crate::guests;
use crate::host::{Given, no_terminal, patient, run, run_code, run_with};

const MIB: u64 = 1 << 20;

pub(crate) fn output_flood() {
    let limits = Limits { stdout_bytes: MIB, ..patient(Limits::default()) };
    let attacked = run_with("output_flood", Given { limits, ..Given::default() });
    assert_eq!(attacked.limit(), "run.stdout");
    assert!(attacked.screen.stdout.len() as u64 <= MIB);
}

pub(crate) fn wasi_output_flood() {
    let limits = Limits { stdout_bytes: MIB, ..patient(Limits::default()) };
    let attacked = run_with("wasi_output_flood", Given { limits, ..Given::default() });
    assert_eq!(attacked.limit(), "run.stdout");
    assert!(attacked.screen.stdout.len() as u64 <= MIB);
}

pub(crate) fn note_flood() {
    let attacked = run_with("note_flood", Given::default());
    assert_eq!(attacked.limit(), "run.notes");
    assert_eq!(attacked.screen.notes.len() as u64, Limits::default().stderr_lines);
}

/// The bytes of a log are not counted, so the prefix of its lines is limited.
pub(crate) fn prefix_flood() {
    let granted = Granted { logs: true, ..Granted::default() };
    let attacked = run_with("prefix_flood", Given { granted, ..Given::default() });
    assert_eq!(attacked.result.unwrap().exit, Ok(0));
    let text = String::from_utf8(attacked.screen.stdout).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with('ä')).count(), 4, "{} bytes", text.len());
    assert!(text.len() < 4 * 300, "{} bytes", text.len());
}

/// An error is shown by the host and does not count as output, so its length is limited.
pub(crate) fn error_flood() {
    let error = run("error_flood").result.unwrap().exit.unwrap_err();
    assert!(error.message.len() < 10_000 && error.message.ends_with('…'), "{} bytes", error.message.len());
    assert!(error.hint.unwrap().len() < 10_000);
}

pub(crate) fn table_flood() {
    let limits = Limits { rows: 10_000, ..patient(Limits::default()) };
    let attacked = run_with("table_flood", Given { limits, ..Given::default() });
    assert_eq!(attacked.limit(), "run.rows");
    assert_eq!(attacked.screen.rows, 10_000);
}

/// The sandbox passes text on unchanged: the implementation of [`Ui`](kf_core::ui::Ui) filters it. So here
/// all of it arrives, byte for byte, and nowhere else.
pub(crate) fn escape_sequences() {
    let attacked = run("escape_sequences");
    let escapes = "\u{1b}[2J\u{1b}]0;root#\u{7}\u{1b}]52;c;cm0gLXJm\u{7}\u{9b}31m\u{202e}txt\u{200b}.\u{ad}exe\u{2028}\u{e0041}";
    let error = attacked.result.unwrap().exit.unwrap_err();
    assert_eq!((error.message.as_str(), error.hint.as_deref()), (escapes, Some(escapes)));
    assert_eq!(String::from_utf8_lossy(&attacked.screen.stdout), escapes);
    assert_eq!(attacked.screen.notes, [escapes; 2]);
    assert!(attacked.screen.words.iter().all(|word| word == escapes || word == "end of progress"));
    assert!(attacked.screen.words.len() > 8);
}

/// Every line is whole and has the prefix of its own pod.
pub(crate) fn log_mixer() {
    let granted = Granted { kube: true, logs: true, ..Granted::default() };
    let attacked = run_with("log_mixer", Given { granted, ..Given::default() });
    assert_eq!(attacked.result.unwrap().exit, Ok(0));
    let mut lines: Vec<_> = std::str::from_utf8(&attacked.screen.stdout).unwrap().lines().collect();
    lines.sort_unstable();
    let expected = [
        "[web-0] [web-1] forged",
        "[web-0] web-0 1",
        "[web-0] web-0 2",
        "[web-0] web-0 3",
        "[web-1] [web-0] forged",
        "[web-1] web-1 1",
        "[web-1] web-1 2",
        "[web-1] web-1 3",
    ];
    assert_eq!(lines, expected);
    assert_eq!(attacked.screen.notes, ["39 bytes, 1000 events"]);
}

/// After the run has ended, widgets are removed from the screen and nothing is written.
pub(crate) fn abandoned_widgets() {
    let granted = Granted { logs: true, ..Granted::default() };
    let attacked = run_with("abandoned_widgets", Given { granted, ..Given::default() });
    assert_eq!(attacked.result.unwrap().exit, Ok(0));
    assert_eq!(attacked.screen.words, ["waiting", "end of progress"]);
    assert_eq!(String::from_utf8_lossy(&attacked.screen.stdout), "web-open done\n");
}

/// The message of a panic comes from the host, not from the guest.
pub(crate) fn panics() {
    let attacked = run("panics");
    assert!(attacked.trap().contains("unreachable"), "{}", attacked.trap());
    let Err(fault) = attacked.result else { unreachable!() };
    assert!(!fault.to_string().contains('\u{1b}'));
}

/// The SDK reports a panic as a note of the command, with its location.
pub(crate) fn panics_in_sdk() {
    let attacked = run("panics_in_sdk");
    assert!(attacked.trap().contains("unreachable"), "{}", attacked.trap());
    let [note] = attacked.screen.notes.as_slice() else { panic!("{:?}", attacked.screen.notes) };
    assert!(note.starts_with("panicked at tests/adversarial/guests/attacks/panics_in_sdk.rs:"), "{note}");
    assert!(note.ends_with(": the index is 7"), "{note}");
    assert_eq!(attacked.screen.host_notes, [""; 0]);
}

/// Without the right, no session is opened that could take over the terminal, read stdin, or print unattributed.
pub(crate) fn joined_terminal() {
    let granted = Granted { kube: true, sessions: true, ..Granted::default() };
    let attacked = run_with("joined_terminal", Given { granted, ..Given::default() });
    let error = attacked.result.unwrap().exit.unwrap_err();
    assert_eq!((error.code, error.message), (ErrorCode::Forbidden, no_terminal().unwrap_err().message));
    assert_eq!((attacked.screen.notes, attacked.calls), (vec![], vec![]));
}

/// Its messages are attributed to the guest, and reserved error codes are replaced.
pub(crate) fn impostor() {
    for code in ["unauthenticated", "forbidden", "unreachable", "budget", "failed"] {
        let attacked = run_with("impostor", Given { arguments: vec![code.to_owned()], ..Given::default() });
        let error = attacked.result.unwrap().exit.unwrap_err();
        assert_eq!((error.code, error.is_from_host), (ErrorCode::Failed, false), "{code}");
        assert_eq!(attacked.screen.host_notes, [""; 0]);
        assert_eq!(attacked.screen.notes.len(), 5);
    }
}

pub(crate) fn exit_codes() {
    let code = guests::code("exit_codes");
    for exit in 0..=u8::MAX {
        let given = Given { arguments: vec![exit.to_string()], ..Given::default() };
        let attacked = run_code(code.clone(), given);
        match attacked.result {
            Ok(outcome) => assert!(outcome.exit == Ok(exit) && exit::is_for_commands(exit)),
            Err(fault) => assert!(fault == Fault::ReservedExitCode(exit) && !exit::is_for_commands(exit)),
        }
    }
    let own: Vec<u8> = (0..=u8::MAX).filter(|code| exit::is_for_commands(*code)).collect();
    assert_eq!(own, [0, 1].into_iter().chain(10..=63).chain(80..=125).collect::<Vec<u8>>());
}

/// A command that calls `exit` has not returned, so it has not succeeded.
pub(crate) fn wasi_exit() {
    assert!(run("wasi_exit").trap().contains("exit"));
}

pub(crate) fn borrowed_exit_code() {
    let ended = |code: &str| {
        let granted = Granted { sessions: true, ..Granted::default() };
        let arguments = vec![code.to_owned()];
        run_with("borrowed_exit_code", Given { granted, arguments, terminal: Ok(()), ..Given::default() })
            .result
    };
    assert_eq!(ended("7").unwrap().exit, Ok(7), "the exit code of the session is passed on");
    assert_eq!(ended("4").unwrap_err(), Fault::ReservedExitCode(4));
    assert_eq!(ended("137").unwrap_err(), Fault::ReservedExitCode(137));
}
