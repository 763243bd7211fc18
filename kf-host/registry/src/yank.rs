//! Yanked versions: they are not chosen any more, and users who have one keep it.

use std::fmt;

use kf_core::text;
use semver::Version;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A yanked version in the reviewed text and in the index: `"0.1.0"` or, with a reason,
/// `{ version = "0.1.0", reason = "it loses data" }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Yank {
    pub version: Version,
    /// Why, in one line for users.
    pub reason: Option<String>,
}

impl From<Version> for Yank {
    fn from(version: Version) -> Self {
        Self { version, reason: None }
    }
}

/// That a version is yanked, and why if the admins gave a reason. It reads as in messages: `yanked by its registry: it
/// loses data`, always in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Yanked {
    pub reason: Option<String>,
}

impl Yanked {
    /// Whether the version is among those that are yanked.
    pub(crate) fn find(yanks: &[Yank], version: &Version) -> Option<Self> {
        let yank = yanks.iter().find(|yank| yank.version == *version)?;
        Some(Self { reason: yank.reason.clone() })
    }
}

impl fmt::Display for Yanked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("yanked by its registry")?;
        match &self.reason {
            Some(reason) => write!(f, ": {}", text::escaped_line(reason)),
            None => Ok(()),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WithReason {
    version: Version,
    reason: String,
}

impl Serialize for Yank {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.reason.clone() {
            None => self.version.serialize(serializer),
            Some(reason) => WithReason { version: self.version.clone(), reason }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Yank {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EitherForm)
    }
}

/// An untagged enum could not name what is wrong.
struct EitherForm;

impl<'de> Visitor<'de> for EitherForm {
    type Value = Yank;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a version, or a version with a reason")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Yank, E> {
        Version::parse(text).map(Yank::from).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Yank, A::Error> {
        let WithReason { version, reason } = WithReason::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Yank { version, reason: Some(reason) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_without_reason_is_a_string() {
        let json = r#"["0.1.0",{"version":"0.2.0","reason":"it loses data"}]"#;
        let yanks: Vec<Yank> = serde_json::from_str(json).unwrap();
        let reasons: Vec<Option<&str>> = yanks.iter().map(|yank| yank.reason.as_deref()).collect();
        assert_eq!(reasons, [None, Some("it loses data")]);
        assert_eq!(serde_json::to_string(&yanks).unwrap(), json);
    }

    #[test]
    fn malformed_yank_is_refused_with_what_is_wrong() {
        for (json, words) in [
            (r#"{"reason":"it loses data"}"#, "missing field `version`"),
            (r#"{"version":"0.1.0"}"#, "missing field `reason`"),
            (r#"{"version":"0.1.0","reason":null}"#, "invalid type: null, expected a string"),
            (r#"{"version":"0.1.0","reason":"x","until":"0.2.0"}"#, "unknown field `until`"),
            (r#"{"version":"0.1.0","version":"0.2.0","reason":"x"}"#, "duplicate field `version`"),
            (r#"{"version":"0.1","reason":"x"}"#, "unexpected end of input"),
            (r#""0.1""#, "unexpected end of input"),
            ("true", "expected a version, or a version with a reason"),
            (r#"["0.1.0"]"#, "expected a version, or a version with a reason"),
        ] {
            let error = serde_json::from_str::<Yank>(json).unwrap_err().to_string();
            assert!(error.contains(words), "{json}: {error}");
        }
    }

    #[test]
    fn reason_is_shown_in_one_line_without_controls() {
        let yanked = |reason: &str| Yanked { reason: Some(reason.to_owned()) }.to_string();
        assert_eq!(Yanked::default().to_string(), "yanked by its registry");
        assert_eq!(yanked("it loses data"), "yanked by its registry: it loses data");
        assert_eq!(
            yanked("x\u{1b}[2J\nhint: \u{202e}"),
            "yanked by its registry: x\\u{1b}[2J hint: \\u{202e}"
        );
    }
}
