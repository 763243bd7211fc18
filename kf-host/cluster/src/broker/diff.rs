//! The changes of a dry run as readable lines.

use std::collections::BTreeMap;
use std::fmt;

use kf_core::text::truncated;
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_saphyr::{FlowMap, FlowSeq};

/// What happens to a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Added,
    Removed,
    Changed,
}

/// One line, without colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffLine {
    pub mark: Mark,
    /// YAML for a new object, `path: value` or `path: old → new` for a field of one.
    pub text: String,
    /// Not requested by the command: a default, set by admission, or derived from another field.
    pub by_server: bool,
}

impl DiffLine {
    /// `+`, `-` or `~`.
    pub fn sign(&self) -> char {
        match self.mark {
            Mark::Added => '+',
            Mark::Removed => '-',
            Mark::Changed => '~',
        }
    }
}

/// A new object: what was sent as YAML, then what the server made of it.
pub(super) fn created(sent: &Value, after: &Value) -> Vec<DiffLine> {
    let (sent, after) = (without_noise(sent), without_noise(after));
    let mut lines: Vec<DiffLine> = match yaml(&sent) {
        Some(yaml) => yaml
            .lines()
            .map(|text| DiffLine { mark: Mark::Added, text: text.to_owned(), by_server: false })
            .collect(),
        None => vec![truncation_mark()],
    };
    lines.extend(fields(&sent, &after).into_iter().map(|line| DiffLine {
        by_server: true,
        mark: Mark::Changed,
        ..line
    }));
    lines
}

/// An existing object. `sent` distinguishes the command's changes from the server's.
pub(super) fn changed(before: &Value, sent: &Value, after: &Value) -> Vec<DiffLine> {
    let (before, after) = (without_noise(before), without_noise(after));
    let asked = leaves(sent);
    let mut lines = fields(&before, &after);
    for line in &mut lines {
        let path = line.text.split_once(": ").map_or(line.text.as_str(), |(path, _)| path);
        let is_asked = |key: &String| key == path || path.starts_with(&format!("{key}."));
        line.by_server = asked.is_whole && !asked.by_path.keys().any(is_asked);
    }
    lines
}

/// The resulting object as JSON.
pub(super) fn document(after: &Value) -> String {
    without_noise(after).to_string()
}

/// Compares two objects leaf by leaf.
fn fields(before: &Value, after: &Value) -> Vec<DiffLine> {
    let (old, new) = (leaves(before), leaves(after));
    let is_whole = old.is_whole && new.is_whole;
    let (old, new) = (old.by_path, new.by_path);
    let mut paths: Vec<&String> = old.keys().chain(new.keys()).collect();
    paths.sort();
    paths.dedup();
    let mut lines: Vec<DiffLine> = paths
        .into_iter()
        .filter_map(|path| {
            let (mark, text) = match (old.get(path), new.get(path)) {
                (Some(old), Some(new)) if old == new => return None,
                (Some(old), Some(new)) => {
                    (Mark::Changed, format!("{path}: {} → {}", inline(old), inline(new)))
                }
                (None, Some(new)) => (Mark::Added, format!("{path}: {}", inline(new))),
                (Some(old), None) => (Mark::Removed, format!("{path}: {}", inline(old))),
                (None, None) => return None,
            };
            Some(DiffLine { mark, text, by_server: false })
        })
        .take(MAX_SHOWN_LINES + 1)
        .collect();
    if !is_whole || lines.len() > MAX_SHOWN_LINES {
        lines.truncate(MAX_SHOWN_LINES);
        lines.push(truncation_mark());
    }
    lines
}

/// Removes metadata that the server maintains.
fn without_noise(object: &Value) -> Value {
    const NOISE: [&str; 6] =
        ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"];
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in NOISE {
            metadata.remove(field);
        }
    }
    object
}

/// The maximum size of a rendered object, in bytes and in lines. Paths of fields repeat the keys of their parents, and
/// YAML is indented, so either can be a hundred times as long as the object.
const MAX_SHOWN_BYTES: usize = 4 << 20;
const MAX_SHOWN_LINES: usize = 20_000;

/// The maximum size of a value that is shown in full, in bytes.
const MAX_VALUE_BYTES: usize = 64 << 10;

/// The line that marks truncated lines.
fn truncation_mark() -> DiffLine {
    let text = "… truncated: the object is too large to show in full".to_owned();
    DiffLine { mark: Mark::Changed, text, by_server: false }
}

/// Scalars and empty collections by their paths: `spec.containers[0].image`.
struct Leaves<'v> {
    by_path: BTreeMap<String, &'v Value>,
    /// Whether these are all leaves.
    is_whole: bool,
}

fn leaves(value: &Value) -> Leaves<'_> {
    fn walk<'v>(path: String, value: &'v Value, left: &mut usize, leaves: &mut BTreeMap<String, &'v Value>) {
        let Some(rest) = left.checked_sub(path.len()) else {
            *left = 0;
            return;
        };
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for (key, value) in fields {
                    let is_plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
                    let path = match (path.is_empty(), is_plain) {
                        (true, true) => key.clone(),
                        (false, true) => format!("{path}.{key}"),
                        (_, false) => format!("{path}[{key}]"),
                    };
                    walk(path, value, left, leaves);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                for (at, value) in items.iter().enumerate() {
                    walk(format!("{path}[{at}]"), value, left, leaves);
                }
            }
            leaf => {
                *left = rest;
                leaves.insert(path, leaf);
            }
        }
    }
    let (mut by_path, mut left) = (BTreeMap::new(), MAX_SHOWN_BYTES);
    walk(String::new(), value, &mut left, &mut by_path);
    Leaves { by_path, is_whole: left > 0 }
}

/// Block YAML with small collections inline; `None` if it is too long.
fn yaml(object: &Value) -> Option<String> {
    struct Bounded(String);
    impl fmt::Write for Bounded {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.push_str(text);
            if self.0.len() > MAX_SHOWN_BYTES { Err(fmt::Error) } else { Ok(()) }
        }
    }
    let mut text = Bounded(String::new());
    serde_saphyr::to_fmt_writer(&mut text, &Compact(object)).ok()?;
    Some(text.0).filter(|text| text.lines().count() <= MAX_SHOWN_LINES)
}

struct Compact<'v>(&'v Value);

impl Serialize for Compact<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(fields) if fits_on_a_line(self.0) => FlowMap(fields).serialize(serializer),
            Value::Object(fields) => {
                serializer.collect_map(fields.iter().map(|(key, value)| (key, Compact(value))))
            }
            Value::Array(items) if fits_on_a_line(self.0) => FlowSeq(items).serialize(serializer),
            Value::Array(items) => serializer.collect_seq(items.iter().map(Compact)),
            scalar => scalar.serialize(serializer),
        }
    }
}

/// Whether a collection is short enough for one line.
fn fits_on_a_line(collection: &Value) -> bool {
    const MAX_WIDTH: usize = 60;
    const MAX_FIELDS: usize = 3;
    let is_scalar = |value: &Value| !value.is_object() && !value.is_array();
    let scalars = match collection {
        Value::Object(fields) => fields.len() <= MAX_FIELDS && fields.values().all(is_scalar),
        Value::Array(items) => items.iter().all(is_scalar),
        _ => true,
    };
    scalars && collection.to_string().len() <= MAX_WIDTH
}

/// One scalar or empty collection, as YAML on one line. Very long strings are truncated and shown with their length.
fn inline(leaf: &Value) -> String {
    match leaf {
        Value::String(text) if text.len() > MAX_VALUE_BYTES => {
            let beginning = truncated(text.clone(), MAX_VALUE_BYTES);
            format!("{} ({} bytes)", scalar(&beginning.into()), text.len())
        }
        leaf => scalar(leaf),
    }
}

fn scalar(leaf: &Value) -> String {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let text = serde_saphyr::to_string_with_options(leaf, options);
    text.map_or_else(|_| leaf.to_string(), |text| text.trim_end_matches('\n').to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn shown(lines: &[DiffLine]) -> Vec<String> {
        lines
            .iter()
            .map(|l| {
                format!("{} {}{}", l.sign(), l.text, if l.by_server { "  set by the server" } else { "" })
            })
            .collect()
    }

    #[test]
    fn created_object_is_yaml_with_server_set_fields() {
        let sent = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
            "spec": {"containers": [{"name": "c", "image": "busybox:1", "args": ["sleep", "1"], "env": []}]}});
        let mut after = sent.clone();
        after["metadata"]["uid"] = json!("u");
        after["spec"]["restartPolicy"] = json!("Always");
        assert_eq!(
            shown(&created(&sent, &after)),
            [
                "+ apiVersion: v1",
                "+ kind: Pod",
                "+ metadata: {name: web}",
                "+ spec:",
                "+   containers:",
                "+   - args: [sleep, \"1\"]",
                "+     env: []",
                "+     image: busybox:1",
                "+     name: c",
                "~ spec.restartPolicy: Always  set by the server",
            ]
        );
    }

    #[test]
    fn changes_of_command_and_server_are_distinguished() {
        let before = json!({"metadata": {"resourceVersion": "1"}, "spec": {"n": 1, "old": true}});
        let after =
            json!({"metadata": {"resourceVersion": "2"}, "spec": {"n": 2, "hash": "x", "m": {"a": 1}}});
        let sent = json!({"spec": {"n": 2, "old": null, "m": {"a": 1}}});
        assert_eq!(
            shown(&changed(&before, &sent, &after)),
            ["+ spec.hash: x  set by the server", "+ spec.m.a: 1", "~ spec.n: 1 → 2", "- spec.old: true",]
        );
    }

    #[test]
    fn trailing_white_space_of_value_is_kept() {
        let value = json!({"spec": "no-break space\u{a0}"});
        let lines = changed(&json!({"spec": null}), &value, &value);
        assert_eq!(shown(&lines), ["~ spec: null → no-break space\u{a0}"]);
    }

    fn is_truncated(lines: &[DiffLine]) -> bool {
        let bytes: usize = lines.iter().map(|line| line.text.len()).sum();
        assert!(bytes < 32 << 20, "{bytes} bytes in {} lines", lines.len());
        assert!(lines.len() <= 2 * MAX_SHOWN_LINES + 2);
        lines.last() == Some(&DiffLine { by_server: lines.last().unwrap().by_server, ..truncation_mark() })
    }

    /// Each would render to gigabytes.
    #[test]
    fn too_large_object_is_truncated() {
        let fields: serde_json::Map<String, Value> = (0..20_000).map(|n| (n.to_string(), json!(n))).collect();
        let long_key = json!({"spec": {"k".repeat(1 << 20): fields}});
        assert!(is_truncated(&changed(&json!({}), &long_key, &long_key)));
        assert!(is_truncated(&created(&json!({}), &long_key)));
        let many = json!({"spec": vec![1; 30_000]});
        assert!(is_truncated(&changed(&json!({}), &many, &many)));
        let mut deep = json!("\n".repeat(3 << 20));
        for _ in 0..100 {
            deep = json!([deep]);
        }
        assert!(is_truncated(&created(&json!({"spec": deep}), &json!({"spec": deep}))));
    }

    #[test]
    fn change_beyond_truncation_is_still_a_change() {
        let with = |end: &str| json!({"spec": {"a".repeat(5 << 20): 1, "z": end}});
        assert!(is_truncated(&changed(&with("x"), &json!({}), &with("y"))));
    }

    #[test]
    fn very_long_string_is_truncated_with_length() {
        let lines = changed(&json!({"spec": "short"}), &json!({}), &json!({"spec": "\u{1}".repeat(1 << 20)}));
        assert!(lines[0].text.ends_with(" (1048576 bytes)"), "{:.100}", lines[0].text);
        assert!(lines[0].text.len() < 1 << 20);
    }

    fn trees() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            "\\PC{0,5}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 16, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-c.]{1,2}", inner, 0..3)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn lines_are_empty_only_without_change(a in trees(), b in trees()) {
            let (a, b) = (json!({"spec": a}), json!({"spec": b}));
            prop_assert!(changed(&a, &a, &a).is_empty());
            prop_assert_eq!(changed(&a, &b, &b).is_empty(), a == b);
        }

        #[test]
        fn yaml_parses_back_to_object(tree in trees()) {
            let object = json!({"spec": {"x": tree}});
            let shown: Vec<String> = created(&object, &object).into_iter().map(|line| line.text).collect();
            let back: Value = serde_saphyr::from_str(&shown.join("\n")).unwrap();
            prop_assert_eq!(back, object);
        }

        #[test]
        fn field_is_one_line_that_parses_back_to_value(text in ".{0,200}|(?s).{0,9}\n.{0,9}") {
            let (before, after) = (json!({"spec": null}), json!({"spec": text}));
            let lines = changed(&before, &after, &after);
            let value = lines[0].text.strip_prefix("spec: null → ").unwrap();
            prop_assert!(!value.contains('\n'));
            prop_assert_eq!(serde_saphyr::from_str::<Value>(value).unwrap(), after["spec"].clone());
        }
    }
}
