//! Checks that bodies match their requests.
//!
//! The grant is checked against the URL, so the body must have the same kind, version, name and
//! namespace. Owner references and finalizers, which affect other objects or the deletion of this
//! one, need an additional grant, `update` on `<resource>/finalizers`, as in Kubernetes' own
//! admission; `status` needs `patch` on `<resource>/status`. Managed fields are set by the server.
//!
//! The result of a dry run has a mark, see [`mark_dry_run`], which is removed from bodies.

use serde_json::{Map, Value, json};

use crate::api::{ApiError, DeleteOptions, PatchKind, Propagation};
use crate::kinds::Served;
use crate::names::{Namespace, ObjectName, Uid};

/// The metadata field that marks an object as not stored. No object in a cluster has it.
pub const DRY_RUN_MARK: &str = "dryRun";

/// Marks the result of a dry run, so that a command can distinguish it from a stored object.
pub fn mark_dry_run(answer: &mut Value) {
    if let Some(metadata) = answer.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert(DRY_RUN_MARK.to_owned(), true.into());
    }
}

/// A part of a body that needs an additional grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extra {
    /// `metadata.finalizers` and `metadata.ownerReferences`.
    Finalizers,
    Status,
}

/// Checks that a whole object matches the request, and fills in what is missing. Returns the parts
/// that need an additional grant.
pub fn fit_object(
    body: &mut Value,
    served: &Served,
    namespace: Option<&Namespace>,
    name: &ObjectName,
) -> Result<Vec<Extra>, ApiError> {
    let object = body.as_object_mut().ok_or_else(|| ApiError::invalid("the body is not an object"))?;
    equal_or_set(object, "apiVersion", &served.api_version())?;
    equal_or_set(object, "kind", served.kind.as_str())?;
    let metadata = object
        .entry("metadata")
        .or_insert_with(|| json!({}))
        .as_object_mut()
        .ok_or_else(|| ApiError::invalid("the body's metadata is not an object"))?;
    metadata.remove(DRY_RUN_MARK);
    equal_or_set(metadata, "name", name.as_str())?;
    match namespace {
        Some(namespace) => equal_or_set(metadata, "namespace", namespace.as_str())?,
        None => absent(metadata, "namespace", "the kind is not namespaced")?,
    }
    absent(metadata, "generateName", "the request names the object")?;
    extras(object)
}

fn equal_or_set(object: &mut Map<String, Value>, field: &str, expected: &str) -> Result<(), ApiError> {
    match object.get(field) {
        None => {
            object.insert(field.to_owned(), expected.into());
            Ok(())
        }
        Some(Value::String(text)) if text == expected => Ok(()),
        Some(other) => {
            Err(ApiError::invalid(format!("the body has {field} {other}, the request has \"{expected}\"")))
        }
    }
}

fn absent(object: &Map<String, Value>, field: &str, why: &str) -> Result<(), ApiError> {
    if object.contains_key(field) {
        Err(ApiError::invalid(format!("the body has {field}, but {why}")))
    } else {
        Ok(())
    }
}

fn extras(object: &Map<String, Value>) -> Result<Vec<Extra>, ApiError> {
    let mut found = Vec::new();
    if object.contains_key("status") {
        found.push(Extra::Status);
    }
    if let Some(metadata) = object.get("metadata") {
        let metadata =
            metadata.as_object().ok_or_else(|| ApiError::invalid("the body's metadata is not an object"))?;
        absent(metadata, "managedFields", "the server sets them")?;
        if metadata.contains_key("finalizers") || metadata.contains_key("ownerReferences") {
            found.push(Extra::Finalizers);
        }
    }
    Ok(found)
}

/// The same for a patch, in which everything is optional.
pub fn check_patch(
    kind: PatchKind,
    body: &Value,
    served: &Served,
    namespace: Option<&Namespace>,
    name: &ObjectName,
) -> Result<Vec<Extra>, ApiError> {
    if kind == PatchKind::Json {
        return check_operations(body);
    }
    let object = body.as_object().ok_or_else(|| ApiError::invalid("the patch is not an object"))?;
    no_directives(object)?;
    // Filling in a copy finds contradictions; the patch itself stays unchanged.
    let mut copy = Map::new();
    for field in ["apiVersion", "kind"] {
        if let Some(value) = object.get(field) {
            copy.insert(field.into(), value.clone());
        }
    }
    if let Some(metadata) = object.get("metadata") {
        no_directives(
            metadata.as_object().ok_or_else(|| ApiError::invalid("the patch's metadata is not an object"))?,
        )?;
        copy.insert("metadata".into(), metadata.clone());
    }
    if let Some(status) = object.get("status") {
        copy.insert("status".into(), status.clone());
    }
    fit_object(&mut Value::Object(copy), served, namespace, name)
}

/// Refuses strategic merge directives (`$patch`, `$deleteFromPrimitiveList/finalizers`) at the top or
/// in the metadata, which could bypass the checks of the fields.
fn no_directives(object: &Map<String, Value>) -> Result<(), ApiError> {
    match object.keys().find(|key| key.starts_with('$')) {
        Some(key) => Err(ApiError::invalid(format!(
            "directive {key} is not allowed at the top or in the metadata of a patch"
        ))),
        None => Ok(()),
    }
}

fn check_operations(body: &Value) -> Result<Vec<Extra>, ApiError> {
    let operations =
        body.as_array().ok_or_else(|| ApiError::invalid("the JSON patch is not a list of operations"))?;
    let mut found = Vec::new();
    for operation in operations {
        for field in ["path", "from"] {
            match operation.get(field) {
                None if field == "from" => {}
                Some(Value::String(pointer)) => found.extend(pointed_at(pointer)?),
                _ => return Err(ApiError::invalid(format!("an operation of the JSON patch has no {field}"))),
            }
        }
    }
    Ok(found)
}

/// What a JSON pointer refers to, decided by its first two steps.
fn pointed_at(pointer: &str) -> Result<Option<Extra>, ApiError> {
    let steps: Vec<String> =
        pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
    let mut steps = steps.iter().map(String::as_str);
    match (steps.next(), steps.next()) {
        (Some("status"), _) => Ok(Some(Extra::Status)),
        (Some("metadata"), Some("finalizers" | "ownerReferences")) => Ok(Some(Extra::Finalizers)),
        (Some("metadata"), Some("labels" | "annotations")) => Ok(None),
        (None | Some("" | "metadata" | "apiVersion" | "kind"), _) => Err(ApiError::invalid(format!(
            "the JSON patch refers to {pointer:?}, which identifies the object"
        ))),
        _ => Ok(None),
    }
}

/// The body of a delete.
pub fn delete_options(options: &DeleteOptions, dry_run: bool) -> Result<Value, ApiError> {
    if options.grace_period_seconds == Some(0) {
        return Err(ApiError::invalid("a grace period of 0 s is not allowed: containers may keep running"));
    }
    let propagation = match options.propagation {
        Propagation::Background => "Background",
        Propagation::Foreground => "Foreground",
        Propagation::Orphan => "Orphan",
    };
    let uid = options.uid.as_deref().map(Uid::parse).transpose()?;
    Ok(json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": propagation,
        "gracePeriodSeconds": options.grace_period_seconds,
        "preconditions": uid.map(|uid| json!({"uid": uid})),
        "dryRun": if dry_run { json!(["All"]) } else { json!([]) },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ErrorCode;
    use crate::names::{Group, KindName, Plural, Version};

    fn served() -> Served {
        Served {
            group: Group::parse("batch").unwrap(),
            version: Version::parse("v1").unwrap(),
            kind: KindName::parse("Job").unwrap(),
            plural: Plural::parse("jobs").unwrap(),
            namespaced: true,
        }
    }

    fn fit(body: &mut Value) -> Result<Vec<Extra>, ApiError> {
        let (namespace, name) = (Namespace::parse("team-a").unwrap(), ObjectName::parse("mnist").unwrap());
        fit_object(body, &served(), Some(&namespace), &name)
    }

    fn patch(kind: PatchKind, body: &Value) -> Result<Vec<Extra>, ApiError> {
        let (namespace, name) = (Namespace::parse("team-a").unwrap(), ObjectName::parse("mnist").unwrap());
        check_patch(kind, body, &served(), Some(&namespace), &name)
    }

    #[test]
    fn missing_fields_are_filled_in_from_request() {
        let mut body = json!({"spec": {}});
        assert_eq!(fit(&mut body), Ok(vec![]));
        assert_eq!(
            body,
            json!({"apiVersion": "batch/v1", "kind": "Job",
                   "metadata": {"name": "mnist", "namespace": "team-a"}, "spec": {}})
        );
    }

    #[test]
    fn body_that_contradicts_request_is_refused() {
        for mut body in [
            json!({"metadata": {"namespace": "kube-system"}}),
            json!({"metadata": {"namespace": null}}),
            json!({"metadata": {"name": "other"}}),
            json!({"metadata": {"generateName": "x-"}}),
            json!({"metadata": {"managedFields": []}}),
            json!({"metadata": []}),
            json!({"kind": "Pod"}),
            json!({"apiVersion": "v1"}),
            json!({"apiVersion": "batch/v1beta1"}),
            json!([]),
            json!(null),
            json!("x"),
        ] {
            let shown = body.to_string();
            assert_eq!(fit(&mut body).unwrap_err().code, ErrorCode::Invalid, "{shown}");
        }
    }

    #[test]
    fn finalizers_and_status_are_extras() {
        assert_eq!(fit(&mut json!({"metadata": {"ownerReferences": []}})), Ok(vec![Extra::Finalizers]));
        assert_eq!(fit(&mut json!({"metadata": {"finalizers": ["x"]}})), Ok(vec![Extra::Finalizers]));
        assert_eq!(fit(&mut json!({"status": {}})), Ok(vec![Extra::Status]));
        for kind in [PatchKind::Merge, PatchKind::Strategic] {
            assert_eq!(patch(kind, &json!({"metadata": {"finalizers": null}})), Ok(vec![Extra::Finalizers]));
            assert_eq!(patch(kind, &json!({"status": null})), Ok(vec![Extra::Status]));
            assert_eq!(patch(kind, &json!({"spec": {"suspend": true}})), Ok(vec![]));
        }
    }

    #[test]
    fn patch_cannot_bypass_field_checks() {
        for body in [
            json!({"metadata": null}),
            json!({"metadata": {"namespace": "kube-system"}}),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["x"]}}),
            json!({"$patch": "replace"}),
            json!([]),
        ] {
            for kind in [PatchKind::Merge, PatchKind::Strategic] {
                assert!(patch(kind, &body).is_err(), "{body}");
            }
        }
        let operation =
            |op: &str, path: &str| json!([{"op": op, "path": path, "from": "/spec/x", "value": 1}]);
        for path in [
            "",
            "/",
            "/metadata",
            "/metadata/name",
            "/metadata/namespace",
            "/metadata/managedFields/0",
            "/metadata/uid",
            "/kind",
            "/apiVersion",
        ] {
            assert!(patch(PatchKind::Json, &operation("replace", path)).is_err(), "{path}");
        }
        assert_eq!(
            patch(PatchKind::Json, &operation("add", "/metadata/finalizers/-")),
            Ok(vec![Extra::Finalizers])
        );
        assert_eq!(patch(PatchKind::Json, &operation("remove", "/status/x")), Ok(vec![Extra::Status]));
        assert_eq!(patch(PatchKind::Json, &operation("add", "/metadata/labels/a~1b")), Ok(vec![]));
        assert_eq!(patch(PatchKind::Json, &operation("add", "/spec/suspend")), Ok(vec![]));
        let copied = json!([{"op": "copy", "from": "/metadata/ownerReferences", "path": "/spec/x"}]);
        assert_eq!(patch(PatchKind::Json, &copied), Ok(vec![Extra::Finalizers]));
        for bad in
            [json!([{"op": "add"}]), json!([{"op": "add", "path": 1}]), json!({"path": "/spec"}), json!([1])]
        {
            assert!(patch(PatchKind::Json, &bad).is_err(), "{bad}");
        }
    }
}
