//! What kf's exit codes mean.
//!
//! A command's own codes pass through unchanged; they are 0, 1, 10–63 and 80–125, so they never
//! collide with these. Codes above 125 belong to the shell. A command that ran something in a
//! container ends with that one's code, whatever it is, as `ssh` and `kubectl exec` do.

/// All is well.
pub const OK: u8 = 0;
/// The workload or check failed, or the cluster refused the object.
pub const FAILED: u8 = 1;
/// The command line or a file does not fit.
pub const USAGE: u8 = 2;
/// The cluster does not know who asks.
pub const UNAUTHENTICATED: u8 = 3;
/// A layer of the grant, or the user's RBAC, says no.
pub const FORBIDDEN: u8 = 4;
/// There is no such object, or no such command is installed.
pub const NOT_FOUND: u8 = 5;
/// It took too long.
pub const TIMED_OUT: u8 = 6;
/// The API server or the registry does not answer.
pub const UNREACHABLE: u8 = 7;
/// The registry's signatures, or the user's consent, do not cover it.
pub const UNTRUSTED: u8 = 8;
/// A command broke the rules of its sandbox.
pub const PLUGIN_FAULT: u8 = 9;
/// Ended by Ctrl-C, as shells number it.
pub const INTERRUPTED: u8 = 130;
/// Nobody reads stdout any more, as with `| head`; what a shell shows for SIGPIPE.
pub const OUTPUT_CLOSED: u8 = 141;

/// What a shell shows for a process that a signal ended.
pub fn killed_by(signal: u8) -> u8 {
    128 + (signal & 0x7f)
}
