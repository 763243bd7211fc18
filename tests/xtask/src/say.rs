//! What xtask tells the person who waits.

use std::io::Write;

/// A line on stderr; nobody can be told if that is gone.
pub fn line(text: &str) {
    let _gone = writeln!(std::io::stderr().lock(), "{text}");
}
