//! Progress of builds.

use std::io::{self, Write as _};

/// Receives one short line for each long step, such as "building kubernetes".
pub type Progress = fn(&str);

/// Writes the steps to stderr, past the capture of the test runner.
pub fn to_stderr(step: &str) {
    let _ = writeln!(io::stderr().lock(), "cluster: {step}");
}

/// Prints nothing.
pub fn silent(_step: &str) {}
