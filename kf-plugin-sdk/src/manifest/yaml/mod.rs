//! YAML and JSON as Kubernetes reads them.
//!
//! kubectl and the API server decode YAML with sigs.k8s.io/yaml on top of go-yaml v2, which resolves plain
//! scalars mostly by YAML 1.1: `0400` is 256, `yes` and `off` are booleans and `1_000` is a number, but
//! `1:30` and `2026-01-01` are strings. A YAML 1.2 library silently reads the same file as other values. So
//! only the syntax is parsed by a library (granit-parser 2); [`scalar`] resolves scalars, and [`node`] handles
//! `<<`, duplicate keys, null keys and tags as Kubernetes does. For duplicate keys, kubectl is more lenient than
//! the strict decoder of the API server; the server's behavior is followed.
//!
//! JSON is a subset of YAML and is read the same way. JSON values can be concatenated without a separator, as
//! kubectl accepts.

mod node;
mod scalar;

use std::fmt;

use granit_parser::ScanError;
use serde::de::IgnoredAny;
use serde_json::Value;

use node::Reader;

/// The decoder whose behavior is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// kubectl and the API server: go-yaml v2.
    Kubernetes,
    /// Kubeflow Pipelines: go-yaml v3, in which `yes`, `no`, `on`, `off`, `y` and `n` are strings. PyYAML, which
    /// writes compiled pipelines, does not quote `y` and `n`.
    Pipelines,
}

/// An error from parsing a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct YamlError {
    /// Counted from 1.
    line: usize,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Syntax { column: usize, message: String },
    Meaning(String),
}

impl YamlError {
    fn at(line: usize, message: impl Into<String>) -> Self {
        Self { line, kind: Kind::Meaning(message.into()) }
    }

    fn syntax(error: &ScanError, lines_before: usize) -> Self {
        let place = error.marker();
        let column = place.col().saturating_add(1);
        Self { line: place.line() + lines_before, kind: Kind::Syntax { column, message: error.info() } }
    }
}

/// Formats as a suffix of the file name: ` line 5: …` or ` is not valid YAML: line 5 column 3: …`.
impl fmt::Display for YamlError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Syntax { column, message } => {
                write!(formatter, " is not valid YAML: line {} column {column}: {message}", self.line)
            }
            Kind::Meaning(message) => write!(formatter, " line {}: {message}", self.line),
        }
    }
}

/// Parses the documents of a file, skipping null ones.
pub(super) fn documents(text: &str, dialect: Dialect) -> Result<Vec<Value>, YamlError> {
    let mut reader = Reader::new(dialect);
    let mut found = Vec::new();
    let (mut rest, mut lines_before) = (text, 0);
    while let Some((value, after)) = json_value(rest) {
        reader.stream(value, lines_before, &mut found)?;
        lines_before += value.matches('\n').count();
        rest = after;
    }
    reader.stream(rest, lines_before, &mut found)?;
    found.retain(|document| !document.is_null());
    Ok(found)
}

/// Splits off the JSON object at the start of the text, if there is one.
fn json_value(text: &str) -> Option<(&str, &str)> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    text.split_at_checked(values.byte_offset())
}

/// Decodes UTF-8 or, with a byte order mark, UTF-16 as PowerShell writes it.
pub(super) fn decode(bytes: Vec<u8>) -> Option<String> {
    let (head, unit): (_, fn([u8; 2]) -> u16) = match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => (rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => (rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => return String::from_utf8(rest.to_vec()).ok(),
        _ => return String::from_utf8(bytes).ok(),
    };
    let (pairs, odd) = head.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    odd.is_empty().then(|| String::from_utf16(&units).ok()).flatten()
}

#[cfg(test)]
mod tests;
