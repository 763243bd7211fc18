//! What a guest does not get to see of an object.

use serde_json::{Map, Value};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// How much of an object is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    Whole,
    /// A secret: keys stay, values become `redacted`.
    WithoutData,
    /// Only which object it is: what a write answers to a command that may not read it.
    Identity,
}

/// The fields of a secret that hold no data.
const PLAIN_FIELDS: [&str; 5] = ["apiVersion", "kind", "metadata", "type", "immutable"];

/// The metadata of a secret that hold none.
const PLAIN_METADATA: [&str; 12] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "uid",
];

/// The metadata that say which object it is, and which version of it. Not its generation, which tells after a dry
/// run whether the spec would be another.
const IDENTITY: [&str; 5] = ["creationTimestamp", "name", "namespace", "resourceVersion", "uid"];

/// What replaces a value.
const REDACTED: &str = "redacted";

/// Removes managed fields and the last-applied annotation, which repeat an object's content, and
/// what the sight does not show.
pub(super) fn clean(object: &mut Value, sight: Sight) {
    if let Some(metadata) = metadata(object) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    match sight {
        Sight::Whole => {}
        Sight::WithoutData => without_data(object),
        Sight::Identity => {
            keep(object.as_object_mut(), &["apiVersion", "kind", "metadata"]);
            keep(metadata(object), &IDENTITY);
        }
    }
}

fn metadata(object: &mut Value) -> Option<&mut Map<String, Value>> {
    object.get_mut("metadata").and_then(Value::as_object_mut)
}

fn keep(fields: Option<&mut Map<String, Value>>, names: &[&str]) {
    if let Some(fields) = fields {
        fields.retain(|name, _| names.contains(&name.as_str()));
    }
}

/// Controllers note in annotations what they applied, so their values may be data as well.
fn without_data(secret: &mut Value) {
    for (field, value) in secret.as_object_mut().into_iter().flatten() {
        if !PLAIN_FIELDS.contains(&field.as_str()) {
            redact(value);
        }
    }
    for (field, value) in metadata(secret).into_iter().flatten() {
        if !PLAIN_METADATA.contains(&field.as_str()) {
            redact(value);
        }
    }
}

fn redact(data: &mut Value) {
    match data {
        Value::Object(entries) => {
            for value in entries.values_mut() {
                *value = REDACTED.into();
            }
        }
        Value::Null => {}
        other => *other = REDACTED.into(),
    }
}

/// Two states of a secret without their data, for a difference between them: where a value is another, so is
/// what stands for it.
pub(super) fn clean_both(before: &mut Value, after: &mut Value) {
    let mut changed = Vec::new();
    for place in ["/data", "/stringData", "/metadata/annotations"] {
        let values = |object: &Value| object.pointer(place).and_then(Value::as_object).cloned();
        let (Some(old), Some(new)) = (values(before), values(after)) else { continue };
        let differs = |(key, value): &(String, Value)| old.get(key).is_some_and(|old| old != value);
        changed.extend(new.into_iter().filter(differs).map(|(key, _)| (place, key)));
    }
    clean(before, Sight::WithoutData);
    clean(after, Sight::WithoutData);
    for (place, key) in changed {
        if let Some(value) = after.pointer_mut(place).and_then(|values| values.get_mut(key)) {
            *value = format!("{REDACTED}, another value").into();
        }
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
                         "labels": {"l": "m"},
                         "annotations": {LAST_APPLIED: "{\"data\":{\"password\":\"aHVudGVyMg==\"}}",
                                         "kapp.k14s.io/original": "{\"data\":{\"password\":\"aHVudGVyMg==\"}}"}},
            "data": {"password": "aHVudGVyMg=="}, "stringData": {"x": "hunter2"}, "type": "Opaque",
        });
        clean(&mut secret, Sight::WithoutData);
        assert_eq!(
            secret,
            json!({"metadata": {"name": "s", "labels": {"l": "m"},
                                "annotations": {"kapp.k14s.io/original": "redacted"}},
                   "data": {"password": "redacted"}, "stringData": {"x": "redacted"}, "type": "Opaque"})
        );
    }

    #[test]
    fn data_of_other_kinds_is_theirs() {
        let mut map = json!({"metadata": {"annotations": {LAST_APPLIED: "{}"}}, "data": {"a": "b"}});
        clean(&mut map, Sight::Whole);
        assert_eq!(map, json!({"metadata": {}, "data": {"a": "b"}}));
    }

    #[test]
    fn secret_fields_nobody_knows_count_as_data() {
        let mut secret = json!({"metadata": {"name": "s", "new": {"a": "hunter2"}}, "spec": ["hunter2"],
                                "immutable": true, "binaryData": "hunter2"});
        clean(&mut secret, Sight::WithoutData);
        assert_eq!(
            secret,
            json!({"metadata": {"name": "s", "new": {"a": "redacted"}}, "spec": "redacted",
                   "immutable": true, "binaryData": "redacted"})
        );
    }

    #[test]
    fn identity_is_what_a_write_answers_without_a_right_to_read() {
        let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}, "status": {},
            "metadata": {"name": "c", "uid": "1", "resourceVersion": "7", "generation": 2, "labels": {"a": "b"}, "annotations": {}}});
        clean(&mut object, Sight::Identity);
        assert_eq!(
            object,
            json!({"apiVersion": "v1", "kind": "ConfigMap",
                   "metadata": {"name": "c", "uid": "1", "resourceVersion": "7"}})
        );
        let mut odd = json!("text");
        clean(&mut odd, Sight::Identity);
    }

    #[test]
    fn two_states_show_which_values_differ() {
        let mut before = json!({"data": {"a": "MQ==", "b": "Mg=="}, "metadata": {"annotations": {"n": "1"}}});
        let mut after = json!({"data": {"a": "MQ==", "b": "Mw==", "c": "NA=="},
                               "metadata": {"annotations": {"n": "2"}}});
        clean_both(&mut before, &mut after);
        assert_eq!(before["data"], json!({"a": "redacted", "b": "redacted"}));
        assert_eq!(after["data"], json!({"a": "redacted", "b": "redacted, another value", "c": "redacted"}));
        assert_eq!(after["metadata"]["annotations"]["n"], "redacted, another value");
    }
}
