//! Removes what a guest must not see of an object.

use serde_json::{Map, Value};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// How much of an object a guest sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visibility {
    Full,
    /// A secret: keys are kept, values become `redacted`.
    WithoutData,
    /// Only the object's identity: the response to a write of a command without the right to read.
    Identity,
}

/// The fields of a secret that are not data.
const PLAIN_FIELDS: [&str; 5] = ["apiVersion", "kind", "metadata", "type", "immutable"];

/// The metadata of a secret that are not data.
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

/// The metadata that identify an object and its version. Without `generation`, which reveals in a dry run whether the
/// spec would change.
const IDENTITY: [&str; 5] = ["creationTimestamp", "name", "namespace", "resourceVersion", "uid"];

/// The replacement of a value.
const REDACTED: &str = "redacted";

/// Removes everything that is not visible, and managed fields and the last-applied annotation, which repeat the content
/// of an object.
pub(super) fn clean(object: &mut Value, visibility: Visibility) {
    if let Some(metadata) = metadata(object) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    match visibility {
        Visibility::Full => {}
        Visibility::WithoutData => without_data(object),
        Visibility::Identity => {
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

/// Values of annotations are redacted too, as controllers store what they applied there.
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

/// Redacts two states of a secret for a diff. Changed values stay distinguishable.
pub(super) fn clean_both(before: &mut Value, after: &mut Value) {
    let mut changed = Vec::new();
    for place in ["/data", "/stringData", "/metadata/annotations"] {
        let values = |object: &Value| object.pointer(place).and_then(Value::as_object).cloned();
        let (Some(old), Some(new)) = (values(before), values(after)) else { continue };
        let differs = |(key, value): &(String, Value)| old.get(key).is_some_and(|old| old != value);
        changed.extend(new.into_iter().filter(differs).map(|(key, _)| (place, key)));
    }
    clean(before, Visibility::WithoutData);
    clean(after, Visibility::WithoutData);
    for (place, key) in changed {
        if let Some(value) = after.pointer_mut(place).and_then(|values| values.get_mut(key)) {
            *value = format!("{REDACTED} (changed)").into();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn redacted_secret_keeps_keys_only() {
        let mut secret = json!({
            "metadata": {"name": "s", "managedFields": [{"fieldsV1": {"f:data": {}}}],
                         "labels": {"l": "m"},
                         "annotations": {LAST_APPLIED: "{\"data\":{\"password\":\"aHVudGVyMg==\"}}",
                                         "kapp.k14s.io/original": "{\"data\":{\"password\":\"aHVudGVyMg==\"}}"}},
            "data": {"password": "aHVudGVyMg=="}, "stringData": {"x": "hunter2"}, "type": "Opaque",
        });
        clean(&mut secret, Visibility::WithoutData);
        assert_eq!(
            secret,
            json!({"metadata": {"name": "s", "labels": {"l": "m"},
                                "annotations": {"kapp.k14s.io/original": "redacted"}},
                   "data": {"password": "redacted"}, "stringData": {"x": "redacted"}, "type": "Opaque"})
        );
    }

    #[test]
    fn data_of_other_kinds_is_not_redacted() {
        let mut map = json!({"metadata": {"annotations": {LAST_APPLIED: "{}"}}, "data": {"a": "b"}});
        clean(&mut map, Visibility::Full);
        assert_eq!(map, json!({"metadata": {}, "data": {"a": "b"}}));
    }

    #[test]
    fn unknown_fields_of_secret_are_redacted() {
        let mut secret = json!({"metadata": {"name": "s", "new": {"a": "hunter2"}}, "spec": ["hunter2"],
                                "immutable": true, "binaryData": "hunter2"});
        clean(&mut secret, Visibility::WithoutData);
        assert_eq!(
            secret,
            json!({"metadata": {"name": "s", "new": {"a": "redacted"}}, "spec": "redacted",
                   "immutable": true, "binaryData": "redacted"})
        );
    }

    #[test]
    fn write_without_read_right_returns_identity() {
        let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}, "status": {},
            "metadata": {"name": "c", "uid": "1", "resourceVersion": "7", "generation": 2, "labels": {"a": "b"}, "annotations": {}}});
        clean(&mut object, Visibility::Identity);
        assert_eq!(
            object,
            json!({"apiVersion": "v1", "kind": "ConfigMap",
                   "metadata": {"name": "c", "uid": "1", "resourceVersion": "7"}})
        );
        let mut odd = json!("text");
        clean(&mut odd, Visibility::Identity);
    }

    #[test]
    fn changed_values_of_secret_are_distinguishable() {
        let mut before = json!({"data": {"a": "MQ==", "b": "Mg=="}, "metadata": {"annotations": {"n": "1"}}});
        let mut after = json!({"data": {"a": "MQ==", "b": "Mw==", "c": "NA=="},
                               "metadata": {"annotations": {"n": "2"}}});
        clean_both(&mut before, &mut after);
        assert_eq!(before["data"], json!({"a": "redacted", "b": "redacted"}));
        assert_eq!(after["data"], json!({"a": "redacted", "b": "redacted (changed)", "c": "redacted"}));
        assert_eq!(after["metadata"]["annotations"]["n"], "redacted (changed)");
    }
}
