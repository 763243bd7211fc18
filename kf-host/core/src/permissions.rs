//! The permissions that a command asks for, that its user accepted, and that its registry allows at most.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::pod_http::{MAX_NAMED_HEADERS, PodHeader};

/// A set of permissions, empty by default. Unknown fields are errors: a permission that kf does not know must not
/// be ignored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permissions {
    /// Rules for objects of the cluster.
    #[serde(default)]
    pub kubernetes: Vec<serde_json::Value>,
    /// To change the namespace that later commands use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub selection: bool,
    /// To connect the user's terminal and stdin to a process in a pod.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub terminal: bool,
    /// Headers it can send to pods in addition to those that every command can send.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty", deserialize_with = "bounded_headers")]
    pub headers: BTreeSet<PodHeader>,
}

fn bounded_headers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<PodHeader>, D::Error> {
    let headers = BTreeSet::deserialize(deserializer)?;
    if headers.len() > MAX_NAMED_HEADERS {
        return Err(de::Error::custom(format_args!("more than {MAX_NAMED_HEADERS} headers")));
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_or_too_many_headers_are_refused() {
        let parse = |text: &str| toml::from_str::<Permissions>(text);
        let read = parse("headers = [\"x-b\", \"x-a\", \"x-a\"]").unwrap();
        assert_eq!(read.headers.iter().map(PodHeader::as_str).collect::<Vec<_>>(), ["x-a", "x-b"]);
        assert!(parse("").unwrap().headers.is_empty());
        let many: Vec<String> = (0..=MAX_NAMED_HEADERS).map(|n| format!("\"x-{n}\"")).collect();
        for refused in [
            "headers = [\"*\"]",
            "headers = [\"host\"]",
            "headers = \"x-a\"",
            &format!("headers = [{}]", many.join(",")),
        ] {
            assert!(parse(refused).is_err(), "{refused}");
        }
    }
}
