//! The channels of a session, `v5.channel.k8s.io`, and the status at its end.

use bytes::{BufMut as _, Bytes, BytesMut};
use kf_core::api::{ApiError, ErrorCode, TerminalSize};
use kf_core::text::one_line;
use kube::core::Status;
use kube::core::response::StatusSummary;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
/// Says that another channel has ended; new in version 5.
const CLOSE: u8 = 255;

/// What the server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Stdout(Bytes),
    Stderr(Bytes),
    /// A `Status` as JSON.
    Status(Bytes),
}

/// A message's channel and bytes; none for what says nothing.
pub(super) fn decode(mut message: Bytes) -> Option<Piece> {
    if message.len() < 2 {
        // Every channel is opened with an empty message.
        return None;
    }
    match message.split_to(1).first() {
        Some(&STDOUT) => Some(Piece::Stdout(message)),
        Some(&STDERR) => Some(Piece::Stderr(message)),
        Some(&STATUS) => Some(Piece::Status(message)),
        _ => None,
    }
}

pub(super) fn stdin(data: &[u8]) -> Bytes {
    on(STDIN, data)
}

pub(super) fn end_of_stdin() -> Bytes {
    on(CLOSE, &[STDIN])
}

pub(super) fn resize(size: TerminalSize) -> Bytes {
    let json = serde_json::json!({"Width": size.columns, "Height": size.rows});
    on(RESIZE, json.to_string().as_bytes())
}

/// Bytes on a channel.
pub(super) fn on(channel: u8, data: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(data.len() + 1);
    message.put_u8(channel);
    message.put_slice(data);
    message.freeze()
}

/// The exit code that a status tells, or why there is none. `program` is the command's first word.
pub(super) fn exit_code(status: &[u8], program: Option<&str>) -> Result<i32, ApiError> {
    let Ok(status) = serde_json::from_slice::<Status>(status) else {
        return Err(ApiError::new(ErrorCode::Internal, "the session's status cannot be read"));
    };
    if status.status == Some(StatusSummary::Success) {
        return Ok(0);
    }
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let code = causes
        .filter(|cause| status.reason == "NonZeroExitCode" && cause.reason == "ExitCode")
        .find_map(|cause| cause.message.parse().ok());
    code.ok_or_else(|| not_started(&status.message, program))
}

/// A command that did not run. The runtime's words are long; the plain cases have their own.
pub(super) fn not_started(words: &str, program: Option<&str>) -> ApiError {
    let program = program.map(|program| format!("`{}`", program.escape_debug()));
    let missing = ["executable file not found", "no such file or directory"];
    match program {
        Some(program) if missing.iter().any(|sign| words.contains(sign)) => {
            ApiError::new(ErrorCode::NotFound, format!("there is no program {program} in the container"))
        }
        Some(program) if words.contains("permission denied") => {
            ApiError::new(ErrorCode::Failed, format!("{program} may not be executed in the container"))
        }
        _ => ApiError::new(ErrorCode::Failed, format!("the session failed: {}", one_line(words))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn told(status: &serde_json::Value, program: Option<&str>) -> Result<i32, ApiError> {
        exit_code(status.to_string().as_bytes(), program)
    }

    fn failure(reason: &str, message: &str, code: &str) -> serde_json::Value {
        json!({"status": "Failure", "reason": reason, "message": message,
               "details": {"causes": [{"reason": "ExitCode", "message": code}]}})
    }

    #[test]
    fn the_exit_code_is_the_status_s() {
        assert_eq!(told(&json!({"status": "Success"}), None), Ok(0));
        assert_eq!(told(&failure("NonZeroExitCode", "exit code 7", "7"), None), Ok(7));
        assert_eq!(told(&failure("NonZeroExitCode", "killed", "137"), None), Ok(137));
    }

    #[test]
    fn no_exit_code_is_never_a_success() {
        for status in [
            json!({}),
            json!({"status": "Failure"}),
            failure("NonZeroExitCode", "x", "seven"),
            failure("InternalError", "x", "0"),
        ] {
            assert!(told(&status, None).is_err(), "{status}");
        }
        assert!(exit_code(b"", None).is_err());
        assert!(exit_code(b"<html>", None).is_err());
    }

    #[test]
    fn a_missing_program_is_named() {
        let words = "error executing command in container: failed to exec in container: failed to start exec \
                     \"f0\": OCI runtime exec failed: exec failed: unable to start container process: exec: \
                     \"bash\": executable file not found in $PATH: unknown";
        let error = told(&failure("InternalError", words, ""), Some("bash")).unwrap_err();
        assert_eq!(error.code, ErrorCode::NotFound);
        assert_eq!(error.message, "there is no program `bash` in the container");
        let error = told(&failure("InternalError", "no\n\u{1b}[2Jway", ""), Some("x\n")).unwrap_err();
        assert_eq!(error.message, "the session failed: no [2Jway");
    }

    #[test]
    fn opening_messages_and_unknown_channels_say_nothing() {
        for message in [&b""[..], b"\x01", b"\x00hello", b"\x04{}", b"\xff\x00"] {
            assert_eq!(decode(Bytes::copy_from_slice(message)), None);
        }
    }

    #[test]
    fn a_size_is_width_by_height() {
        let message = resize(TerminalSize { columns: 120, rows: 40 });
        assert_eq!(&message[..1], b"\x04");
        let size: serde_json::Value = serde_json::from_slice(&message[1..]).unwrap();
        assert_eq!(size, json!({"Width": 120, "Height": 40}));
    }

    proptest! {
        #[test]
        fn bytes_arrive_as_they_were_said(data in prop::collection::vec(any::<u8>(), 1..300)) {
            let data = Bytes::from(data);
            prop_assert_eq!(decode(on(STDOUT, &data)), Some(Piece::Stdout(data.clone())));
            prop_assert_eq!(decode(on(STDERR, &data)), Some(Piece::Stderr(data)));
        }
    }
}
