//! Bodies say what their requests say, as kf holds them to it.

use serde_json::{Map, Value};

use crate::border::ServedKind;
use crate::error::{Error, ErrorCode, Result};

/// Subresources that are no documents.
const STREAMS: [&str; 8] = ["attach", "binding", "eviction", "exec", "log", "portforward", "proxy", "token"];

/// A part of a body that needs a right of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extra {
    /// `metadata.finalizers` and `metadata.ownerReferences`.
    Finalizers,
    Status,
}

impl Extra {
    /// The verb and the subresource that allow it.
    pub(super) fn right(self) -> (&'static str, &'static str) {
        match self {
            Self::Finalizers => ("update", "finalizers"),
            Self::Status => ("patch", "status"),
        }
    }
}

/// `v1` or `batch/v1`.
pub(super) fn api_version(served: &ServedKind) -> String {
    match served.group.as_str() {
        "" => served.version.clone(),
        group => format!("{group}/{}", served.version),
    }
}

/// Refuses a name that could lead elsewhere in a URL.
pub(super) fn check_name(name: &str) -> Result<()> {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"/%?#\\".contains(&byte);
    if name.is_empty() || name.len() > 253 || matches!(name, "." | "..") || !name.bytes().all(fits) {
        return Err(Error::invalid(format!("`{name}` is no name of an object")));
    }
    Ok(())
}

pub(super) fn check_subresource(subresource: Option<&str>) -> Result<()> {
    match subresource.filter(|name| STREAMS.contains(name)) {
        Some(name) => Err(Error::invalid(format!("the subresource {name} is no document"))),
        None => Ok(()),
    }
}

/// The parts of a whole object, or of a merge patch of one, that need a right of their own. An error
/// if it contradicts the request.
pub(super) fn check_body(
    body: &Value,
    served: &ServedKind,
    namespace: Option<&str>,
    name: &str,
) -> Result<Vec<Extra>> {
    let nothing = Map::new();
    let object = body.as_object().ok_or_else(|| Error::invalid("the body is not an object"))?;
    let metadata = match object.get("metadata") {
        None => &nothing,
        Some(metadata) => {
            metadata.as_object().ok_or_else(|| Error::invalid("the body's metadata is not an object"))?
        }
    };
    equal(object, "apiVersion", &api_version(served))?;
    equal(object, "kind", &served.kind)?;
    equal(metadata, "name", name)?;
    match namespace {
        Some(namespace) => equal(metadata, "namespace", namespace)?,
        None => absent(metadata, "namespace", "the kind has no namespaces")?,
    }
    absent(metadata, "generateName", "the request names the object")?;
    absent(metadata, "managedFields", "those are the server's")?;
    let status = object.contains_key("status").then_some(Extra::Status);
    let finalizers = metadata.contains_key("finalizers") || metadata.contains_key("ownerReferences");
    Ok(status.into_iter().chain(finalizers.then_some(Extra::Finalizers)).collect())
}

fn equal(object: &Map<String, Value>, field: &str, expected: &str) -> Result<()> {
    match object.get(field) {
        None => Ok(()),
        Some(value) if value.as_str() == Some(expected) => Ok(()),
        Some(other) => {
            Err(Error::invalid(format!("the body says {field} {other}, the request says \"{expected}\"")))
        }
    }
}

fn absent(object: &Map<String, Value>, field: &str, why: &str) -> Result<()> {
    match object.contains_key(field) {
        true => Err(Error::invalid(format!("the body has {field}, but {why}"))),
        false => Ok(()),
    }
}

/// Whether the API server itself serves the kind, and knows how its lists merge.
pub(super) fn is_built_in(served: &ServedKind) -> bool {
    let group = served.group.as_str();
    !group.contains('.') || (group.ends_with(".k8s.io") && !group.ends_with(".x-k8s.io"))
}

/// Who names a version means that one.
pub(super) fn check_version(live: &Value, body: &Value) -> Result<()> {
    let version = |value: &Value| value.pointer("/metadata/resourceVersion").cloned();
    match version(body) {
        Some(meant) if version(live).is_some_and(|now| now != meant) => {
            Err(Error::new(ErrorCode::Conflict, "the object has been modified"))
        }
        _ => Ok(()),
    }
}

/// Keeps the keys of a secret's data, and nothing of its values.
pub(super) fn redact(secret: &mut Value) {
    for field in ["data", "stringData"] {
        let entries = secret.get_mut(field).and_then(Value::as_object_mut);
        entries.into_iter().flat_map(Map::values_mut).for_each(|value| *value = "redacted".into());
    }
}

/// RFC 7386.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}
