//! Summarises test results from the output of test programs.

use kf_toolchains::skip;

use crate::report;

/// The prefix of the reason of an ignored test that another test runs as a process.
const RUN_BY_ANOTHER: &str = "run by ";

/// Counts and names over all test programs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Summary {
    passed: usize,
    failed: usize,
    ignored: usize,
    /// Ignored tests that another test runs. They are neither skipped nor counted.
    parts: usize,
    /// Names of tests that failed.
    failures: Vec<String>,
    /// Tests that cannot run here, with the reason. Their programs count them as passed.
    skipped: Vec<String>,
}

impl Summary {
    /// Parses a line of a test program's stdout or stderr.
    pub fn read_line(&mut self, line: &str) {
        let line = without_colour(line);
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += count(counts, "passed");
            self.failed += count(counts, "failed");
            self.ignored += count(counts, "ignored");
        } else if let Some(name) =
            line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.failures.push(name.to_owned());
        } else if let Some((_, skipped)) = line.split_once(skip::MARK) {
            self.skipped.push(skipped.to_owned());
        } else if let Some((name, reason)) =
            line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ignored"))
        {
            let reason = reason.trim_start_matches([',', ' ']);
            if reason.starts_with(RUN_BY_ANOTHER) {
                self.parts += 1;
                return;
            }
            self.skipped.push(format!("{name}: {}", if reason.is_empty() { "ignored" } else { reason }));
        }
    }

    /// Adds the results of another summary.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.parts += other.parts;
        self.failures.extend(other.failures);
        self.skipped.extend(other.skipped);
    }

    /// `N passed, N failed, N skipped`.
    pub fn counts(&self) -> String {
        let ignored = self.ignored.saturating_sub(self.parts);
        let skipped = self.skipped.len().max(ignored);
        let passed = (self.passed + ignored).saturating_sub(skipped);
        format!("{passed} passed, {} failed, {skipped} skipped", self.failed)
    }

    /// Prints the skipped and failed tests, and the counts as the last line.
    pub fn print(&self) {
        report::line("");
        for skipped in &self.skipped {
            report::line(&format!("skipped: {skipped}"));
        }
        for failed in &self.failures {
            report::line(&format!("failed: {failed}"));
        }
        report::line(&self.counts());
    }
}

/// The number before a word of `ok. 3 passed; 0 failed; 1 ignored; …`.
fn count(counts: &str, what: &str) -> usize {
    let number =
        counts.split(['.', ';']).find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok());
    number.unwrap_or(0)
}

/// The line without the escape sequences of colours.
fn without_colour(line: &str) -> String {
    let mut parts = line.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once('m').map_or("", |(_, text)| text));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn test_run_by_another_is_not_counted_as_skipped() {
        let summary = heard(&[
            "test stuck::interrupted ... ignored, run by ctrl_c_ends_a_run",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
        ]);
        assert_eq!(summary.counts(), "3 passed, 0 failed, 0 skipped");
    }

    fn heard(lines: &[&str]) -> Summary {
        let mut summary = Summary::default();
        for line in lines {
            summary.read_line(line);
        }
        summary
    }

    #[test]
    fn results_of_programs_are_added_up() {
        let summary = heard(&[
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.20s",
            "test grants::holds ... FAILED",
            "test result: FAILED. 4 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 9s",
        ]);
        assert_eq!(summary.counts(), "16 passed, 1 failed, 0 skipped");
        assert_eq!(summary.failures, ["grants::holds"]);
    }

    #[test]
    fn skipped_test_is_named_and_not_counted_as_passed() {
        let summary = heard(&[
            "SKIPPED pods_run: this machine cannot run a Kubernetes node: root is needed",
            "test pods_run ... ok",
            "test slow ... ignored, takes an hour",
            "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0s",
        ]);
        assert_eq!(summary.counts(), "1 passed, 0 failed, 2 skipped");
        assert_eq!(
            summary.skipped,
            ["pods_run: this machine cannot run a Kubernetes node: root is needed", "slow: takes an hour"]
        );
    }

    #[test]
    fn coloured_results_are_counted() {
        let summary = heard(&[
            "test a ... \x1b[31mFAILED\x1b[m",
            "test result: \x1b[31mFAILED\x1b[m. 4 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
        ]);
        assert_eq!(summary.counts(), "4 passed, 1 failed, 0 skipped");
        assert_eq!(summary.failures, ["a"]);
    }
}
