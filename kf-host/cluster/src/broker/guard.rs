//! What a write may change of an object that is there.
//!
//! The API server knows who set which field, and lets server-side apply take it over only by `force`. A patch of any
//! other kind takes whatever it names. So the host reads the object first, and a command without the right to take
//! fields over takes none, however it writes.
//!
//! The outcome of a write can also tell what the object holds: an apply conflicts only where the value is another, and
//! an immutable field refuses every value but its own. So where the grant does not show the object, the verdict is the
//! host's and depends on no value.

use kf_core::api::{ApiError, ErrorCode};
use kf_core::ownership::{self, Taken, Values};
use kf_core::request::Place;
use serde_json::{Value, json};

use super::Inner;
use super::redact::Sight;
use super::writes::{Write, WriteKind, as_data};

/// A write that may go out.
#[derive(Debug, Default)]
pub(super) struct Guarded {
    /// What is sent in place of the write's own body.
    pub(super) body: Option<Value>,
    /// It holds for the version of the object that was looked at, and conflicts with any other.
    pub(super) is_bound: bool,
}

impl Inner {
    pub(super) async fn guard(&self, write: &Write) -> Result<Guarded, ApiError> {
        let place = &write.request.place;
        let is_seen = self.shown(place) == Sight::Whole;
        let may_take = match write.kind {
            WriteKind::Create => return Ok(Guarded::default()),
            WriteKind::Apply { force } => force,
            WriteKind::Patch(_) => place.may_take_over(&self.grants),
        };
        let is_apply = matches!(write.kind, WriteKind::Apply { .. });
        if is_seen && (may_take || is_apply) {
            return Ok(Guarded::default());
        }
        // What is written below an object belongs to its fields.
        let whole = Place { subresource: None, ..place.clone() };
        let Some(live) = self.live(&whole).await? else { return Ok(Guarded::default()) };
        if !is_seen && live.get("immutable") == Some(&true.into()) && reaches_data(write) {
            return Err(ApiError::invalid(format!("{} is immutable", place.words())));
        }
        if !may_take && let Some(taken) = self.taken(write, &live, is_seen).first() {
            return Err(self.not_taken(place, taken, is_apply, is_seen));
        }
        bound(write, &live)
    }

    fn taken(&self, write: &Write, live: &Value, is_seen: bool) -> Vec<Taken> {
        let values = if is_seen { Values::Compared } else { Values::Ignored };
        let mut body = write.body.clone();
        if write.request.place.is_secret() {
            as_data(&mut body);
        }
        let change = match write.kind {
            WriteKind::Patch(kind) => ownership::Write::Patch(kind, &body),
            WriteKind::Create | WriteKind::Apply { .. } => ownership::Write::Apply(&body),
        };
        let mut taken = ownership::taken(change, live, &self.field_manager, values);
        // Which field a scale is of a custom kind, only its definition tells.
        let is_scale = write.request.place.subresource.as_ref().is_some_and(|sub| sub.as_str() == "scale");
        if is_scale && live.pointer("/spec/replicas").is_none() {
            taken.push(Taken { path: "spec.replicas".into(), manager: "its owner".into() });
        }
        taken
    }

    fn not_taken(&self, place: &Place, taken: &Taken, is_apply: bool, is_seen: bool) -> ApiError {
        let owner = if is_seen { format!(", set by {}", taken.manager) } else { String::new() };
        let (command, path, object) = (&self.command.name, &taken.path, place.words());
        let message = format!("{command} may not take over {path} of {object}{owner}");
        let code = if is_apply { ErrorCode::Conflict } else { ErrorCode::Forbidden };
        ApiError::new(code, message).hint("the manifest's rule needs `force = true`")
    }
}

/// Whether a write names what an immutable secret or config map keeps.
fn reaches_data(write: &Write) -> bool {
    ["data", "stringData", "binaryData", "immutable"].iter().any(|field| write.body.get(field).is_some())
}

/// Binds a write to the version of the object that was looked at.
fn bound(write: &Write, live: &Value) -> Result<Guarded, ApiError> {
    let version = live.pointer("/metadata/resourceVersion").filter(|version| version.is_string());
    let Some(version) = version else {
        return Err(ApiError::new(ErrorCode::Internal, "the API server's object has no version"));
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
                Some(meant) if meant == version => {}
                Some(_) => {
                    let message = format!("{} has been modified", write.request.place.words());
                    return Err(ApiError::new(ErrorCode::Conflict, message));
                }
            }
        }
    }
    Ok(Guarded { body: Some(body), is_bound: true })
}
