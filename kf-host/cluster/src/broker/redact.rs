//! What a guest does not get to see of an object.

use serde_json::Value;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Whether objects are shown whole or without the data of secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    Whole,
    /// Keys stay, values become `redacted`.
    WithoutData,
}

/// Removes managed fields and the last-applied annotation, which repeat an object's content, and
/// the data of secrets.
pub(super) fn clean(object: &mut Value, sight: Sight) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    if sight == Sight::WithoutData {
        for field in ["data", "stringData"] {
            if let Some(data) = object.get_mut(field) {
                redact(data);
            }
        }
    }
}

fn redact(data: &mut Value) {
    match data {
        Value::Object(entries) => {
            for value in entries.values_mut() {
                *value = "redacted".into();
            }
        }
        Value::Null => {}
        other => *other = "redacted".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_keeps_its_keys_and_loses_its_values() {
        let mut secret = json!({
            "metadata": {"name": "s", "managedFields": [{"fieldsV1": {"f:data": {}}}],
                         "annotations": {LAST_APPLIED: "{\"data\":{\"password\":\"aHVudGVyMg==\"}}", "a": "b"}},
            "data": {"password": "aHVudGVyMg=="}, "stringData": {"x": "hunter2"}, "type": "Opaque",
        });
        clean(&mut secret, Sight::WithoutData);
        assert_eq!(
            secret,
            json!({"metadata": {"name": "s", "annotations": {"a": "b"}},
                   "data": {"password": "redacted"}, "stringData": {"x": "redacted"}, "type": "Opaque"})
        );
    }

    #[test]
    fn data_of_other_kinds_is_theirs() {
        let mut map = json!({"metadata": {"annotations": {LAST_APPLIED: "{}"}}, "data": {"a": "b"}});
        clean(&mut map, Sight::Whole);
        assert_eq!(map, json!({"metadata": {}, "data": {"a": "b"}}));
    }
}
