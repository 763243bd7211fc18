//! What is said while something is built.

use std::io::{self, Write as _};

/// Receives one short line for each step that takes time, such as "building kubernetes".
pub type Progress = fn(&str);

/// Writes the steps to stderr, past the capture of the test runner.
pub fn to_stderr(step: &str) {
    let _ = writeln!(io::stderr().lock(), "cluster: {step}");
}

/// Says nothing.
pub fn silent(_step: &str) {}
