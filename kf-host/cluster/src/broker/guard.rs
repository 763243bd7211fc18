//! Checks which fields of an existing object a write may change.
//!
//! The API server tracks field managers, and server-side apply can take over a field of another manager only with
//! `force`. Any other patch takes over every field it names. So the host reads the object first, and a command without
//! `force` cannot take over fields with any kind of write.
//!
//! The outcome of a write can also reveal the content of an object: an apply conflicts only if the value differs, and an
//! immutable field rejects every value but the current one. So if the grant does not show the object, the host decides,
//! independently of any value.

use kf_core::api::{ApiError, ErrorCode};
use kf_core::ownership::{self, Taken, Values};
use kf_core::request::Place;
use serde_json::{Value, json};

use super::Inner;
use super::redact::Visibility;
use super::writes::{Write, WriteKind, as_data};

/// A write that passed the checks.
#[derive(Debug, Default)]
pub(super) struct Guarded {
    /// Sent instead of the write's own body.
    pub(super) body: Option<Value>,
    /// Whether it is bound to the version of the object that was read, and conflicts with any other.
    pub(super) is_bound: bool,
}

impl Inner {
    pub(super) async fn guard(&self, write: &Write) -> Result<Guarded, ApiError> {
        let place = &write.request.place;
        let is_visible = self.visibility_by_any_verb(place) == Visibility::Full;
        let may_take = match write.kind {
            WriteKind::Create => return Ok(Guarded::default()),
            WriteKind::Apply { force } => force,
            WriteKind::Patch(_) => place.can_take_over(&self.grants),
        };
        let is_apply = matches!(write.kind, WriteKind::Apply { .. });
        if is_visible && (may_take || is_apply) {
            return Ok(Guarded::default());
        }
        // Subresources write fields of the object itself.
        let whole = Place { subresource: None, ..place.clone() };
        let Some(live) = self.live(&whole).await? else { return Ok(Guarded::default()) };
        if !is_visible && live.get("immutable") == Some(&true.into()) && reaches_data(write) {
            return Err(ApiError::invalid(format!("{} is immutable", place.words())));
        }
        if !may_take && let Some(taken) = self.taken(write, &live, is_visible).first() {
            return Err(self.takeover_refused(place, taken, is_apply, is_visible));
        }
        bind_to_version(write, &live)
    }

    fn taken(&self, write: &Write, live: &Value, is_visible: bool) -> Vec<Taken> {
        let values = if is_visible { Values::Compared } else { Values::Ignored };
        let mut body = write.body.clone();
        if write.request.place.is_secret() {
            as_data(&mut body);
        }
        let change = match write.kind {
            WriteKind::Patch(kind) => ownership::Write::Patch(kind, &body),
            WriteKind::Create | WriteKind::Apply { .. } => ownership::Write::Apply(&body),
        };
        let mut taken = ownership::taken(change, live, &self.field_manager, values);
        // Which field of a custom kind `scale` changes is only known from its definition.
        let is_scale = write.request.place.subresource.as_ref().is_some_and(|sub| sub.as_str() == "scale");
        if is_scale && live.pointer("/spec/replicas").is_none() {
            taken.push(Taken { path: "spec.replicas".into(), manager: "its owner".into() });
        }
        taken
    }

    fn takeover_refused(&self, place: &Place, taken: &Taken, is_apply: bool, is_visible: bool) -> ApiError {
        let owner = if is_visible { format!(", set by {}", taken.manager) } else { String::new() };
        let (command, path, object) = (&self.command.name, &taken.path, place.words());
        let message = format!("{command} is not allowed to take over {path} of {object}{owner}");
        let code = if is_apply { ErrorCode::Conflict } else { ErrorCode::Forbidden };
        ApiError::new(code, message).hint("the manifest's rule needs `force = true`")
    }
}

/// Whether a write sets fields that an immutable secret or config map protects.
fn reaches_data(write: &Write) -> bool {
    ["data", "stringData", "binaryData", "immutable"].iter().any(|field| write.body.get(field).is_some())
}

/// Binds a write to the version of the object that was read.
fn bind_to_version(write: &Write, live: &Value) -> Result<Guarded, ApiError> {
    let version = live.pointer("/metadata/resourceVersion").filter(|version| version.is_string());
    let Some(version) = version else {
        return Err(ApiError::new(ErrorCode::Internal, "the API server's object has no resourceVersion"));
    };
    let mut body = write.body.clone();
    match &mut body {
        Value::Array(operations) => {
            operations
                .insert(0, json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version}));
        }
        object => {
            let metadata = object.as_object_mut().map(|fields| fields.entry("metadata").or_insert(json!({})));
            let Some(Value::Object(metadata)) = metadata else {
                return Err(ApiError::invalid("the body's metadata is not an object"));
            };
            match metadata.get("resourceVersion") {
                None => drop(metadata.insert("resourceVersion".into(), version.clone())),
                Some(given) if given == version => {}
                Some(_) => {
                    let message = format!("{} has been modified", write.request.place.words());
                    return Err(ApiError::new(ErrorCode::Conflict, message));
                }
            }
        }
    }
    Ok(Guarded { body: Some(body), is_bound: true })
}
