//! The channels of a session, `v5.channel.k8s.io`, and its final status.

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
/// Closes another channel; new in version 5.
const CLOSE: u8 = 255;

/// A message of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ServerMessage {
    Stdout(Bytes),
    Stderr(Bytes),
    /// A `Status` as JSON.
    Status(Bytes),
}

/// Decodes a message; `None` if it is empty or of an unknown channel.
pub(super) fn decode(mut message: Bytes) -> Option<ServerMessage> {
    if message.len() < 2 {
        // The server opens every channel with an empty message.
        return None;
    }
    match message.split_to(1).first() {
        Some(&STDOUT) => Some(ServerMessage::Stdout(message)),
        Some(&STDERR) => Some(ServerMessage::Stderr(message)),
        Some(&STATUS) => Some(ServerMessage::Status(message)),
        _ => None,
    }
}

pub(super) fn stdin(data: &[u8]) -> Bytes {
    channel_message(STDIN, data)
}

pub(super) fn close_stdin() -> Bytes {
    channel_message(CLOSE, &[STDIN])
}

pub(super) fn resize(size: TerminalSize) -> Bytes {
    let json = serde_json::json!({"Width": size.columns, "Height": size.rows});
    channel_message(RESIZE, json.to_string().as_bytes())
}

/// A message with bytes on a channel.
pub(super) fn channel_message(channel: u8, data: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(data.len() + 1);
    message.put_u8(channel);
    message.put_slice(data);
    message.freeze()
}

/// The exit code in a status, or why there is none. `program` is the first word of the command.
pub(super) fn exit_code(status: &[u8], program: Option<&str>) -> Result<i32, ApiError> {
    let Ok(status) = serde_json::from_slice::<Status>(status) else {
        return Err(ApiError::new(ErrorCode::Internal, "invalid session status"));
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

/// The error for a command that did not start. The runtime's messages are long, so common cases have their own.
pub(super) fn not_started(message: &str, program: Option<&str>) -> ApiError {
    let program = program.map(|program| format!("`{}`", program.escape_debug()));
    let missing = ["executable file not found", "no such file or directory"];
    match program {
        Some(program) if missing.iter().any(|sign| message.contains(sign)) => {
            ApiError::new(ErrorCode::NotFound, format!("program {program} not found in the container"))
        }
        Some(program) if message.contains("permission denied") => ApiError::new(
            ErrorCode::Failed,
            format!("cannot execute {program} in the container: permission denied"),
        ),
        _ => ApiError::new(ErrorCode::Failed, format!("the session failed: {}", one_line(message))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn code_of(status: &serde_json::Value, program: Option<&str>) -> Result<i32, ApiError> {
        exit_code(status.to_string().as_bytes(), program)
    }

    fn failure(reason: &str, message: &str, code: &str) -> serde_json::Value {
        json!({"status": "Failure", "reason": reason, "message": message,
               "details": {"causes": [{"reason": "ExitCode", "message": code}]}})
    }

    #[test]
    fn exit_code_is_read_from_status() {
        assert_eq!(code_of(&json!({"status": "Success"}), None), Ok(0));
        assert_eq!(code_of(&failure("NonZeroExitCode", "exit code 7", "7"), None), Ok(7));
        assert_eq!(code_of(&failure("NonZeroExitCode", "killed", "137"), None), Ok(137));
    }

    #[test]
    fn status_without_exit_code_is_an_error() {
        for status in [
            json!({}),
            json!({"status": "Failure"}),
            failure("NonZeroExitCode", "x", "seven"),
            failure("InternalError", "x", "0"),
        ] {
            assert!(code_of(&status, None).is_err(), "{status}");
        }
        assert!(exit_code(b"", None).is_err());
        assert!(exit_code(b"<html>", None).is_err());
    }

    #[test]
    fn missing_program_is_named() {
        let words = "error executing command in container: failed to exec in container: failed to start exec \
                     \"f0\": OCI runtime exec failed: exec failed: unable to start container process: exec: \
                     \"bash\": executable file not found in $PATH: unknown";
        let error = code_of(&failure("InternalError", words, ""), Some("bash")).unwrap_err();
        assert_eq!(error.code, ErrorCode::NotFound);
        assert_eq!(error.message, "program `bash` not found in the container");
        let error = code_of(&failure("InternalError", "no\n\u{1b}[2Jway", ""), Some("x\n")).unwrap_err();
        assert_eq!(error.message, "the session failed: no [2Jway");
    }

    #[test]
    fn empty_messages_and_unknown_channels_are_ignored() {
        for message in [&b""[..], b"\x01", b"\x00hello", b"\x04{}", b"\xff\x00"] {
            assert_eq!(decode(Bytes::copy_from_slice(message)), None);
        }
    }

    #[test]
    fn terminal_size_is_encoded_as_width_and_height() {
        let message = resize(TerminalSize { columns: 120, rows: 40 });
        assert_eq!(&message[..1], b"\x04");
        let size: serde_json::Value = serde_json::from_slice(&message[1..]).unwrap();
        assert_eq!(size, json!({"Width": 120, "Height": 40}));
    }

    proptest! {
        #[test]
        fn output_is_decoded_unchanged(data in prop::collection::vec(any::<u8>(), 1..300)) {
            let data = Bytes::from(data);
            prop_assert_eq!(decode(channel_message(STDOUT, &data)), Some(ServerMessage::Stdout(data.clone())));
            prop_assert_eq!(decode(channel_message(STDERR, &data)), Some(ServerMessage::Stderr(data)));
        }
    }
}
