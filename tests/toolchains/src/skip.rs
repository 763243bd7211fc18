//! Tests with requirements that not every machine meets.
//!
//! By default such a test fails if a requirement is missing, so that a run with skipped tests does not look like
//! one in which they passed. With [`ALLOW_SKIPS_VARIABLE`] it is skipped: the test is named on stderr, past the
//! capture of the test runner, and passes, because the test runner has no skips at run time. `cargo xtask test`
//! collects the names and does not count them as passed.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{self, Write as _};

/// `1` skips the tests that cannot run on this machine, instead of failing them.
pub const ALLOW_SKIPS_VARIABLE: &str = "KF_ALLOW_SKIPS";

/// The prefix of the line that names a skipped test.
pub const MARK: &str = "SKIPPED ";

/// Whether skips are allowed.
#[must_use]
pub fn is_allowed() -> bool {
    allows(std::env::var_os(ALLOW_SKIPS_VARIABLE).as_deref())
}

/// Only `1` allows skips, so `0`, `false` and `no` do not.
fn allows(value: Option<&OsStr>) -> bool {
    value.is_some_and(|value| value == "1")
}

/// Whether to skip `test` because a requirement is missing.
///
/// # Panics
///
/// If a requirement is missing and skips are not allowed.
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
#[expect(clippy::panic, reason = "it fails the calling test")]
fn fail(test: &str, missing: &str) -> ! {
    panic!(
        "{test} cannot run here: {missing}\nhint: {ALLOW_SKIPS_VARIABLE}=1 skips the tests that cannot run here"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_1_allows_skips() {
        assert!(allows(Some(OsStr::new("1"))));
        for value in [None, Some(""), Some("0"), Some("no"), Some("false"), Some("11")] {
            assert!(!allows(value.map(OsStr::new)), "{value:?}");
        }
    }

    #[test]
    fn test_with_requirements_met_runs() {
        assert!(!unless(Ok::<_, String>(()), "any"));
    }

    #[test]
    #[should_panic(expected = "pods_run cannot run here: no root")]
    fn test_with_missing_requirement_fails() {
        fail("pods_run", "no root");
    }
}
