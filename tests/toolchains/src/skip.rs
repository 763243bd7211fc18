//! Tests that need what not every machine has.
//!
//! Such a test fails where it is missing, so that a run in which tests were left out does not look like one in
//! which they passed. Whoever wants to leave them out says so with [`ALLOW_SKIPS_VARIABLE`]: then the test is
//! named on stderr, past the capture of the test runner, and counts as passed to the test runner, which knows
//! no skip at run time. `cargo xtask test` collects the names, and does not count them as passed.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{self, Write as _};

/// `1` skips the tests that cannot run on this machine, instead of failing them.
pub const ALLOW_SKIPS_VARIABLE: &str = "KF_ALLOW_SKIPS";

/// What the line begins with that names a skipped test.
pub const MARK: &str = "SKIPPED ";

/// Whether skips are wanted.
#[must_use]
pub fn is_allowed() -> bool {
    allows(std::env::var_os(ALLOW_SKIPS_VARIABLE).as_deref())
}

/// Only `1` does: `0`, `false` and `no` are not meant to.
fn allows(value: Option<&OsStr>) -> bool {
    value.is_some_and(|value| value == "1")
}

/// Whether `test` is to be skipped, because something it needs is missing.
///
/// # Panics
///
/// If it is missing and skips are not wanted.
#[track_caller]
pub fn unless<E: Display>(needed: Result<(), E>, test: &str) -> bool {
    let Err(missing) = needed else { return false };
    let missing = missing.to_string().replace('\n', " ");
    if is_allowed() {
        let _ = writeln!(io::stderr().lock(), "{MARK}{test}: {missing}");
        return true;
    }
    fail(test, &missing)
}

#[track_caller]
#[expect(clippy::panic, reason = "it fails the test that called")]
fn fail(test: &str, missing: &str) -> ! {
    panic!(
        "{test} cannot run here: {missing}\nhint: {ALLOW_SKIPS_VARIABLE}=1 skips the tests that cannot run here"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_allows_skips() {
        assert!(allows(Some(OsStr::new("1"))));
        for value in [None, Some(""), Some("0"), Some("no"), Some("false"), Some("11")] {
            assert!(!allows(value.map(OsStr::new)), "{value:?}");
        }
    }

    #[test]
    fn a_test_that_has_what_it_needs_runs() {
        assert!(!unless(Ok::<_, String>(()), "any"));
    }

    #[test]
    #[should_panic(expected = "pods_run cannot run here: no root")]
    fn a_test_that_lacks_something_fails() {
        fail("pods_run", "no root");
    }
}
