//! What a command asks for, what its user accepted, and the most its registry allows: one shape for all three.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::pod_http::{MAX_NAMED_HEADERS, PodHeader};

/// Nothing, unless it says so. Unknown fields are refused: a grant that is not understood must not be ignored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permissions {
    /// Rules on the cluster's objects.
    #[serde(default)]
    pub kubernetes: Vec<serde_json::Value>,
    /// To change which namespace later commands use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub selection: bool,
    /// To hand the user's terminal and stdin to what runs in a pod.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub terminal: bool,
    /// Headers it may send to pods beside the plain ones.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty", deserialize_with = "few")]
    pub headers: BTreeSet<PodHeader>,
}

fn few<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<PodHeader>, D::Error> {
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
    fn headers_are_named_one_by_one_and_few() {
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
