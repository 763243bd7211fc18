//! A failure as people and scripts get to see it.
//!
//! Libraries have error enums of their own. Where one leaves kf it becomes a [`Failure`]: a kind (the exit
//! code), a message (what failed, which value), further lines, and hints (the next command to type).

use std::error::Error as StdError;
use std::fmt;

use serde_json::{Value, json};

use crate::api::ApiError;
use crate::exit::Kind;
use crate::format::FormatError;
use crate::manifest::ManifestError;
use crate::names::NameError;

/// What is shown and what a script reads; see the [module](self).
#[derive(Debug)]
pub struct Failure(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    message: String,
    details: Vec<String>,
    hints: Vec<String>,
    fields: serde_json::Map<String, Value>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            details: Vec::new(),
            hints: Vec::new(),
            fields: serde_json::Map::new(),
            source: None,
        }))
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    pub fn untrusted(message: impl Into<String>) -> Self {
        Self::new(Kind::Untrusted, message)
    }

    /// The error it comes from, for whoever wants to see more than the message.
    #[must_use]
    pub fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    /// The errors it comes from, the nearest first.
    pub fn causes(&self) -> impl Iterator<Item = &(dyn StdError + 'static)> {
        let first = self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static));
        std::iter::successors(first, next_cause)
    }

    /// Lines below the message, indented.
    #[must_use]
    pub fn details(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.0.details.extend(lines);
        self
    }

    /// The next command to type, complete and correct. Said once, however often it is added.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        if !self.0.hints.contains(&hint) {
            self.0.hints.push(hint);
        }
        self
    }

    #[must_use]
    pub fn maybe_hint(self, hint: Option<String>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// A field of the error's JSON form, beside `code`, `message` and `hint`.
    #[must_use]
    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.0.fields.insert(name.to_owned(), value);
        self
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn first_hint(&self) -> Option<&str> {
        self.0.hints.first().map(String::as_str)
    }

    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The lines for stderr; the first begins with `error:`.
    pub fn lines(&self) -> Vec<String> {
        self.lines_and(&[])
    }

    /// The same with a line for each cause that the message does not tell already.
    pub fn lines_with_causes(&self) -> Vec<String> {
        self.lines_and(&self.further_causes())
    }

    fn lines_and(&self, causes: &[String]) -> Vec<String> {
        let mut lines = vec![format!("error: {}", self.0.message)];
        lines.extend(self.0.details.iter().map(|line| format!("  {line}")));
        for cause in causes {
            let heads = std::iter::once("  caused by: ").chain(std::iter::repeat("    "));
            lines.extend(heads.zip(cause.lines()).map(|(head, line)| format!("{head}{line}")));
        }
        lines.extend(self.0.hints.iter().map(|hint| format!("hint: {hint}")));
        lines
    }

    fn further_causes(&self) -> Vec<String> {
        let causes = self.causes().map(ToString::to_string);
        causes.filter(|cause| !self.0.message.contains(cause.as_str())).collect()
    }

    pub fn json(&self) -> Value {
        json!({ "error": self.fields() })
    }

    /// The same with a field `causes`, the nearest first.
    pub fn json_with_causes(&self) -> Value {
        let mut error = self.fields();
        error.insert("causes".into(), json!(self.further_causes()));
        json!({ "error": error })
    }

    fn fields(&self) -> serde_json::Map<String, Value> {
        let mut error = serde_json::Map::new();
        error.insert("code".into(), json!(self.0.kind.code()));
        error.insert("message".into(), json!(self.0.message));
        error.extend(self.0.fields.clone());
        if let Some(hint) = self.0.hints.first() {
            error.insert("hint".into(), json!(hint));
        }
        error
    }
}

fn next_cause<'e>(error: &&'e (dyn StdError + 'static)) -> Option<&'e (dyn StdError + 'static)> {
    (**error).source()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// Says what was being done when a library failed.
pub trait Context<T> {
    fn context(self, kind: Kind, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: StdError + Send + Sync + 'static> Context<T> for std::result::Result<T, E> {
    fn context(self, kind: Kind, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Failure::new(kind, format!("{}: {error}", doing())).caused_by(error))
    }
}

/// Of the local disk or the terminal; `fs_err` has put the path into it.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error.to_string()).caused_by(error)
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::new(error.code.into(), error.message.clone()).maybe_hint(error.hint.clone()).caused_by(error)
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Self::usage(error.to_string()).caused_by(error)
    }
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Self {
        let hint = match &error {
            ManifestError::Format(error) => FormatError::hint(error),
            ManifestError::Version(_) => None,
        };
        Self::usage(error.to_string()).maybe_hint(hint).caused_by(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_unless_the_message_has_them() {
        #[derive(Debug, thiserror::Error)]
        #[error("the outer one")]
        struct Outer(#[source] std::io::Error);
        let failure = || Failure::failed("no file").caused_by(Outer(std::io::Error::other("first\nsecond")));
        let failure = failure().details(["of two".to_owned()]).hint("look again");
        assert_eq!(failure.lines(), ["error: no file", "  of two", "hint: look again"]);
        assert_eq!(
            failure.lines_with_causes(),
            [
                "error: no file",
                "  of two",
                "  caused by: the outer one",
                "  caused by: first",
                "    second",
                "hint: look again"
            ]
        );
        assert_eq!(failure.json()["error"].get("causes"), None);
        assert_eq!(failure.json_with_causes()["error"]["causes"], json!(["the outer one", "first\nsecond"]));
        let told: Failure = std::io::Error::other("disk full").into();
        assert_eq!(told.lines_with_causes(), ["error: disk full"]);
    }

    #[test]
    fn failure_keeps_what_it_comes_from() {
        let error: std::result::Result<(), _> =
            Err(std::io::Error::other(NameError { kind: "name", value: "x".into(), why: "is odd" }));
        let failure = error.context(Kind::Failed, || "cannot read x".into()).unwrap_err();
        assert_eq!(failure.to_string(), "cannot read x: name `x` is odd");
        assert_eq!(failure.causes().count(), 1);
        assert_eq!(Failure::usage("x").causes().count(), 0);
    }

    #[test]
    fn hint_is_said_once() {
        let failure = Failure::usage("x").hint("kf a").hint("kf b").hint("kf a");
        assert_eq!(failure.lines(), ["error: x", "hint: kf a", "hint: kf b"]);
        assert_eq!(failure.json()["error"]["hint"], "kf a");
        assert_eq!(failure.json()["error"]["code"], "usage");
    }
}
