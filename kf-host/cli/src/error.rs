//! The one error that leaves a command of the host.
//!
//! Libraries have error enums of their own; here each becomes a kind (the exit code), a message
//! (what failed, which value), further lines, and hints (the next command to type).

use std::fmt::Display;

use kf_core::Kind;
use kf_core::names::NameError;
use serde_json::{Value, json};

/// A failure as people and scripts get to see it.
#[derive(Debug)]
pub struct CliError {
    kind: Kind,
    message: String,
    details: Vec<String>,
    hints: Vec<String>,
    fields: serde_json::Map<String, Value>,
}

pub type Result<T, E = CliError> = std::result::Result<T, E>;

impl CliError {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            details: Vec::new(),
            hints: Vec::new(),
            fields: serde_json::Map::new(),
        }
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

    /// Lines below the message, indented.
    pub fn details(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(lines);
        self
    }

    /// The next command to type, complete and correct. Said once, however often it is added.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        if !self.hints.contains(&hint) {
            self.hints.push(hint);
        }
        self
    }

    pub fn maybe_hint(self, hint: Option<String>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// A field of the error's JSON form, beside `code`, `message` and `hint`.
    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.fields.insert(name.to_owned(), value);
        self
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn first_hint(&self) -> Option<&str> {
        self.hints.first().map(String::as_str)
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The lines for stderr; the first begins with `error:`.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("error: {}", self.message)];
        lines.extend(self.details.iter().map(|line| format!("  {line}")));
        lines.extend(self.hints.iter().map(|hint| format!("hint: {hint}")));
        lines
    }

    pub fn json(&self) -> Value {
        let mut error = serde_json::Map::new();
        error.insert("code".into(), json!(self.kind.code()));
        error.insert("message".into(), json!(self.message));
        error.extend(self.fields.clone());
        if let Some(hint) = self.hints.first() {
            error.insert("hint".into(), json!(hint));
        }
        json!({ "error": error })
    }
}

/// Says what was being done when a library failed.
pub trait Context<T> {
    fn context(self, kind: Kind, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Display> Context<T> for std::result::Result<T, E> {
    fn context(self, kind: Kind, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| CliError::new(kind, format!("{}: {error}", doing())))
    }
}

impl From<kf_registry::Error> for CliError {
    fn from(error: kf_registry::Error) -> Self {
        Self::new(error.kind(), error.to_string()).maybe_hint(error.hint())
    }
}

impl From<kf_home::Error> for CliError {
    fn from(error: kf_home::Error) -> Self {
        Self::new(error.kind(), error.to_string()).maybe_hint(error.hint())
    }
}

impl From<NameError> for CliError {
    fn from(error: NameError) -> Self {
        Self::usage(error.to_string())
    }
}

/// Of the local disk or the terminal; `fs_err` has put the path into it.
impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<kf_core::api::ApiError> for CliError {
    fn from(error: kf_core::api::ApiError) -> Self {
        Self::new(error.code.into(), error.message).maybe_hint(error.hint)
    }
}
