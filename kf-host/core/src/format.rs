//! Versions of file formats.
//!
//! Every file that kf reads back has a `format`, a whole number. A newer format is a separate error, no matter
//! what else changed in the file, so that an old kf reports it and does not touch the file.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text;

/// Why a document is invalid. `what` names it: a path, or `plugin.toml`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    #[error("cannot read {what}: {reason}")]
    Invalid { what: String, reason: String, source: Option<ParserMessage> },
    #[error("{what} was written by a newer kf: format {found}, this kf supports {supported}")]
    Newer { what: String, found: u64, supported: u64 },
}

/// A parser repeats values of any length.
const MAX_PARSER_MESSAGE_BYTES: usize = 4096;

/// The message of a parser, with its excerpt of the document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParserMessage(String);

impl FormatError {
    pub fn invalid(what: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        let message = reason.to_string().trim().to_owned();
        Self::Invalid {
            what: what.into(),
            reason: text::shortened_line(&on_one_line(&message)),
            source: message
                .contains('\n')
                .then(|| ParserMessage(text::truncated(message, MAX_PARSER_MESSAGE_BYTES))),
        }
    }

    /// What to do next, if something helps.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Invalid { .. } => None,
            Self::Newer { .. } => Some("upgrade kf".to_owned()),
        }
    }
}

/// A parser's message without the excerpt between its first and its last line.
fn on_one_line(message: &str) -> String {
    let mut lines = message.lines().map(str::trim);
    match (lines.next(), lines.next_back()) {
        (Some(first), Some(last)) => format!("{first}: {last}"),
        (first, _) => first.unwrap_or_default().to_owned(),
    }
}

#[derive(Deserialize)]
struct Envelope {
    format: u64,
}

/// Parses JSON that carries `"format": supported`.
pub fn parse_json<T: DeserializeOwned>(what: &str, bytes: &[u8], supported: u64) -> Result<T, FormatError> {
    // The supported format is the common case and takes one pass; only a failure takes a second one.
    serde_json::from_slice::<T>(bytes).map_err(|error| {
        let found = serde_json::from_slice(bytes).ok().map(|Envelope { format }| format);
        newer_or_invalid(what, found, supported, error)
    })
}

/// Parses TOML that carries `format = supported`.
pub fn parse_toml<T: DeserializeOwned>(what: &str, text: &str, supported: u64) -> Result<T, FormatError> {
    toml::from_str::<T>(text).map_err(|error| {
        let found = toml::from_str(text).ok().map(|Envelope { format }| format);
        newer_or_invalid(what, found, supported, error)
    })
}

fn newer_or_invalid(
    what: &str,
    found: Option<u64>,
    supported: u64,
    error: impl std::fmt::Display,
) -> FormatError {
    match found.filter(|found| *found > supported) {
        Some(found) => FormatError::Newer { what: what.to_owned(), found, supported },
        None => FormatError::invalid(what, error),
    }
}

/// A `format` field with a fixed number: `Format<1>` reads and writes `1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Format<const N: u64>;

impl<const N: u64> Serialize for Format<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(N)
    }
}

impl<'de, const N: u64> Deserialize<'de> for Format<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = u64::deserialize(deserializer)?;
        if found == N {
            Ok(Self)
        } else {
            Err(serde::de::Error::custom(format!("format {found} is not supported, only {N}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document {
        format: Format<2>,
        name: String,
    }

    #[test]
    fn error_is_one_line_and_its_source_has_the_excerpt() {
        use std::error::Error as _;
        let error = parse_toml::<Document>("x.toml", "format = 2\nnam = 'a'", 2).unwrap_err();
        let line = error.to_string();
        assert!(
            line.starts_with("cannot read x.toml: ") && line.ends_with("expected `format` or `name`"),
            "{line}"
        );
        assert!(!line.contains('\n'));
        assert!(error.source().unwrap().to_string().contains("2 | nam = 'a'"));
        assert!(parse_json::<Document>("x.json", b"{", 2).unwrap_err().source().is_none());
    }

    #[test]
    fn long_value_is_not_repeated_in_full() {
        use std::error::Error as _;
        let name = "n".repeat(100_000);
        let json = parse_json::<Document>("x.json", format!("{{\"{name}\":1}}").as_bytes(), 2).unwrap_err();
        assert!(json.to_string().len() < 2000, "{}", json.to_string().len());
        let toml = parse_toml::<Document>("x.toml", &format!("{name} = 1"), 2).unwrap_err();
        assert!(toml.to_string().len() < 2000, "{}", toml.to_string().len());
        assert!(toml.source().unwrap().to_string().len() < 5000);
    }

    #[test]
    fn newer_format_is_distinguished_from_invalid_document() {
        let json = |text: &str| parse_json::<Document>("x.json", text.as_bytes(), 2);
        assert_eq!(json(r#"{"format":2,"name":"a"}"#).unwrap().name, "a");
        assert!(matches!(
            json(r#"{"format":3,"other":1}"#),
            Err(FormatError::Newer { found: 3, supported: 2, .. })
        ));
        for invalid in ["", "{}", r#"{"format":1,"name":"a"}"#, r#"{"name":"a"}"#, r#"{"format":2}"#] {
            assert!(matches!(json(invalid), Err(FormatError::Invalid { .. })), "{invalid}");
        }
        let toml = |text: &str| parse_toml::<Document>("x.toml", text, 2);
        assert_eq!(toml("format = 2\nname = 'a'").unwrap().name, "a");
        assert!(matches!(toml("format = 9"), Err(FormatError::Newer { found: 9, .. })));
        assert!(matches!(toml("format = 2"), Err(FormatError::Invalid { .. })));
    }
}
