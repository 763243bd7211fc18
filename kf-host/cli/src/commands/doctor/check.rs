//! The results of checks, for users and for programs.

use kf_core::Failure;
use kf_core::format::Format;
use serde::Serialize;
use serde_json::{Map, Value};

/// The version of the report's JSON format. It is raised by incompatible changes; new checks and facts are
/// compatible.
const FORMAT: u64 = 1;

/// The result of a check, in order of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// Not checked, because another check failed.
    Skipped,
    /// It works, but the user should know.
    Warning,
    /// It prevents runs.
    Failed,
}

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub state: State,
    pub value: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The next command to type, or what to do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// The same results for programs.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub facts: Map<String, Value>,
    /// Lines that only the user should see.
    #[serde(skip)]
    pub private: Vec<String>,
}

impl Check {
    fn new(name: &'static str, state: State, value: impl Into<String>) -> Self {
        let (notes, hints, private) = (Vec::new(), Vec::new(), Vec::new());
        Self { name, state, value: value.into(), notes, hints, facts: Map::new(), private }
    }

    pub fn ok(name: &'static str, value: impl Into<String>) -> Self {
        Self::new(name, State::Ok, value)
    }

    pub fn warning(name: &'static str, value: impl Into<String>) -> Self {
        Self::new(name, State::Warning, value)
    }

    pub fn failed(name: &'static str, value: impl Into<String>) -> Self {
        Self::new(name, State::Failed, value)
    }

    pub fn skipped(name: &'static str, why: impl std::fmt::Display) -> Self {
        Self::new(name, State::Skipped, format!("not checked: {why}"))
    }

    /// A check that failed with an error.
    pub fn from_failure(name: &'static str, error: &Failure) -> Self {
        Self::failed(name, error.message()).hint(error.first_hint())
    }

    #[must_use]
    pub fn hint(mut self, hint: Option<impl Into<String>>) -> Self {
        if let Some(hint) = hint.map(Into::into).filter(|hint| !self.hints.contains(hint)) {
            self.hints.push(hint);
        }
        self
    }

    #[must_use]
    pub fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a problem. The check takes the state of its worst problem.
    #[must_use]
    pub fn problem(mut self, state: State, note: impl Into<String>, hint: Option<String>) -> Self {
        self.state = self.state.max(state);
        self.notes.push(note.into());
        self.hint(hint)
    }
}

/// All checks, as `-o json` prints them.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    format: Format<FORMAT>,
    /// No check failed.
    ok: bool,
    pub checks: Vec<Check>,
}

impl Report {
    pub fn new(checks: Vec<Check>) -> Self {
        Self { format: Format, ok: checks.iter().all(|check| check.state != State::Failed), checks }
    }

    pub fn count(&self, state: State) -> usize {
        self.checks.iter().filter(|check| check.state == state).count()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn check_state_is_that_of_worst_problem() {
        let check = Check::ok("home", "/x")
            .problem(State::Failed, "open to others", Some("chmod go-w /x".into()))
            .problem(State::Warning, "read only", None);
        assert_eq!(check.state, State::Failed);
        assert_eq!(check.notes, ["open to others", "read only"]);
        assert_eq!(check.hints, ["chmod go-w /x"]);
    }

    #[test]
    fn report_has_format_and_no_private_lines() {
        let mut check = Check::skipped("server", "no kubeconfig").fact("url", "https://lab.example");
        check.private.push("hunter2".to_owned());
        let report = Report::new(vec![check, Check::warning("home", "read only")]);
        assert_eq!(
            serde_json::to_value(&report).unwrap(),
            json!({ "format": 1, "ok": true, "checks": [
                { "name": "server", "state": "skipped", "value": "not checked: no kubeconfig",
                  "facts": { "url": "https://lab.example" } },
                { "name": "home", "state": "warning", "value": "read only" },
            ] })
        );
    }

    #[test]
    fn report_without_failed_check_is_ok() {
        let json = |report: Report| serde_json::to_value(report).unwrap()["ok"].clone();
        assert_eq!(json(Report::new(vec![Check::warning("home", "x"), Check::ok("kf", "x")])), true);
        assert_eq!(json(Report::new(vec![Check::ok("kf", "x"), Check::failed("home", "x")])), false);
    }
}
