//! Create, apply, patch and delete, and their changes in a dry run.
//!
//! The response to a write, and its error, show only as much as the grant allows the command to read. Before a write is
//! sent, [`guard`](super::guard) checks whether it may change those fields.

use std::collections::BTreeMap;

use http::Method;
use kf_core::api::{ApiError, DeleteOptions, ErrorCode, ObjectRef, PatchKind, WriteOptions};
use kf_core::body::{delete_options, mark_dry_run};
use kf_core::grants::Verb;
use kf_core::request::{Place, Reference, Request};
use kf_core::url::Query;
use serde_json::{Value, json};

use super::Inner;
use super::body::Received;
use super::diff;
use super::guard::Guarded;
use super::redact::{Visibility, clean, clean_both};
use super::report::{Action, Change};

/// A write that has been authorized.
pub(super) struct Write {
    pub(super) request: Request,
    rule: usize,
    pub(super) kind: WriteKind,
    pub(super) body: Value,
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteKind {
    Create,
    Apply { force: bool },
    Patch(PatchKind),
}

impl WriteKind {
    fn method(self) -> Method {
        if self == Self::Create { Method::POST } else { Method::PATCH }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Create => "application/json",
            Self::Apply { .. } => "application/apply-patch+yaml",
            Self::Patch(PatchKind::Merge) => "application/merge-patch+json",
            Self::Patch(PatchKind::Json) => "application/json-patch+json",
            Self::Patch(PatchKind::Strategic) => "application/strategic-merge-patch+json",
        }
    }
}

impl Inner {
    pub(super) async fn create(
        &self,
        object: ObjectRef,
        mut body: Value,
        options: WriteOptions,
    ) -> Result<Value, ApiError> {
        let place = self.place(Reference::whole(&object, Some(&body))?).await?;
        let request = Request::create(place, &mut body)?;
        self.write(Write {
            rule: self.check(&request)?,
            request,
            kind: WriteKind::Create,
            body,
            dry_run: options.dry_run,
        })
        .await
    }

    pub(super) async fn apply(
        &self,
        object: ObjectRef,
        mut body: Value,
        options: WriteOptions,
    ) -> Result<Value, ApiError> {
        let place = self.place(Reference::whole(&object, Some(&body))?).await?;
        let request = Request::apply(place, &mut body, options.force)?;
        self.write(Write {
            rule: self.check(&request)?,
            request,
            kind: WriteKind::Apply { force: options.force },
            body,
            dry_run: options.dry_run,
        })
        .await
    }

    pub(super) async fn patch(
        &self,
        object: ObjectRef,
        kind: PatchKind,
        body: Value,
        options: WriteOptions,
    ) -> Result<Value, ApiError> {
        let place = self.place(Reference::object(&object)?).await?;
        let request = Request::patch(place, kind, &body)?;
        self.write(Write {
            rule: self.check(&request)?,
            request,
            kind: WriteKind::Patch(kind),
            body,
            dry_run: options.dry_run,
        })
        .await
    }

    pub(super) async fn delete(&self, object: ObjectRef, options: DeleteOptions) -> Result<(), ApiError> {
        let request = Request::delete(self.place(Reference::whole(&object, None)?).await?);
        let rule = self.check(&request)?;
        let Request { place, access, .. } = request;
        let dry_run = self.dry_run || options.dry_run;
        let body = delete_options(&options, dry_run)?;
        let target = place.object();
        let mut call = self.call(&place, access, Some(rule), Method::DELETE, &target, &Query::default())?;
        call.content_type = Some("application/json");
        call.body = bytes(&body);
        call.about.dry_run = dry_run;
        self.json(&call).await?;
        if self.dry_run {
            let change = self.change(&place, Action::Delete, Vec::new(), None);
            self.recorder.change(Change { document: identity(&place).to_string(), ..change });
        }
        Ok(())
    }

    /// Sends a write, and retries it if the object changed since the guard read it.
    async fn write(&self, write: Write) -> Result<Value, ApiError> {
        const MAX_TRIES: u32 = 5;
        let mut tries = 0;
        loop {
            tries += 1;
            let guarded = self.guard(&write).await?;
            let is_bound = guarded.is_bound;
            match self.send(&write, guarded).await {
                Err(error) if is_bound && error.code == ErrorCode::Conflict && tries < MAX_TRIES => {}
                answer => return answer,
            }
        }
    }

    async fn send(&self, write: &Write, guarded: Guarded) -> Result<Value, ApiError> {
        let Write { request, rule, kind, body, dry_run } = write;
        let target = request.target();
        let Request { place, access, .. } = request;
        let before = if self.dry_run { Some(self.live(place).await) } else { None };
        let mut query = Query::default();
        query.set("fieldManager", &self.field_manager);
        query.set("fieldValidation", "Strict");
        if *kind == (WriteKind::Apply { force: true }) {
            query.set("force", true);
        }
        let dry_run = self.dry_run || *dry_run;
        if dry_run {
            query.set("dryRun", "All");
        }
        let mut call = self.call(place, access.clone(), Some(*rule), kind.method(), &target, &query)?;
        call.content_type = Some(kind.content_type());
        call.about.dry_run = dry_run;
        call.body = bytes(guarded.body.as_ref().unwrap_or(body));
        let mut answer = self.json(&call).await?;
        if let Some(before) = before {
            self.recorder.change(self.difference(place, before, body.clone(), answer.clone()));
        }
        clean(&mut answer, self.answer_visibility(place, *kind));
        if dry_run {
            mark_dry_run(&mut answer);
        }
        Ok(answer)
    }

    /// Responses to writes show what a read would. A created object is always visible to the command.
    fn answer_visibility(&self, place: &Place, kind: WriteKind) -> Visibility {
        match self.visibility_by_any_verb(place) {
            Visibility::Identity if kind == WriteKind::Create && place.is_secret() => Visibility::WithoutData,
            Visibility::Identity if kind == WriteKind::Create => Visibility::Full,
            visibility => visibility,
        }
    }

    /// The current object with its managed fields, for the guard and for the diff of a dry run. It is never shown to the
    /// guest.
    pub(super) async fn live(&self, place: &Place) -> Result<Option<Value>, ApiError> {
        let access = place.access(Verb::Get);
        let target = place.object();
        let call = self.call(place, access, None, Method::GET, &target, &Query::default())?;
        match self.document(&call, Received::object_with_managers).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.code == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The data of secrets is never shown, regardless of the grant, as diffs end up in terminals and logs.
    fn difference(
        &self,
        place: &Place,
        before: Result<Option<Value>, ApiError>,
        mut sent: Value,
        mut answer: Value,
    ) -> Change {
        let visibility = if place.is_secret() { Visibility::WithoutData } else { Visibility::Full };
        if place.is_secret() {
            as_data(&mut sent);
        }
        clean(&mut sent, visibility);
        match before {
            Ok(None) => {
                clean(&mut answer, visibility);
                let change = self.change(place, Action::Create, diff::created(&sent, &answer), None);
                Change { document: diff::document(&answer), ..change }
            }
            Ok(Some(mut before)) => {
                if place.is_secret() {
                    clean_both(&mut before, &mut answer);
                } else {
                    clean(&mut before, visibility);
                    clean(&mut answer, visibility);
                }
                let lines = diff::changed(&before, &sent, &answer);
                let action = if lines.is_empty() { Action::Nothing } else { Action::Change };
                Change { document: diff::document(&answer), ..self.change(place, action, lines, None) }
            }
            Err(error) => {
                clean(&mut answer, visibility);
                let note = format!("cannot read the current object: {}", error.message);
                let lines = diff::created(&sent, &answer);
                let document = diff::document(&answer);
                Change { document, ..self.change(place, Action::Change, lines, Some(note)) }
            }
        }
    }

    fn change(
        &self,
        place: &Place,
        action: Action,
        lines: Vec<diff::DiffLine>,
        note: Option<String>,
    ) -> Change {
        Change {
            action,
            kind: place.served.kind.as_str().to_ascii_lowercase(),
            namespace: place.namespace.as_ref().map(ToString::to_string),
            name: place.name.as_ref().map(ToString::to_string).unwrap_or_default(),
            lines,
            document: String::new(),
            note,
        }
    }
}

/// The identity of an object, as a document.
fn identity(place: &Place) -> Value {
    let namespace = place.namespace.as_ref().map(|namespace| ("namespace", namespace.to_string()));
    let name = place.name.as_ref().map(|name| ("name", name.to_string()));
    let metadata: BTreeMap<_, _> = name.into_iter().chain(namespace).collect();
    json!({ "apiVersion": place.served.api_version(), "kind": place.served.kind.as_str(), "metadata": metadata })
}

/// Renames `stringData` in the body of a secret to `data`, as the API server stores it. Managed fields only list `data`,
/// and even an apply does not check them for `stringData`.
pub(super) fn as_data(body: &mut Value) {
    if let Value::Array(operations) = body {
        for operation in operations {
            for field in ["path", "from"] {
                let pointer = operation.get(field).and_then(Value::as_str);
                let below = pointer.and_then(|pointer| pointer.strip_prefix("/stringData"));
                if let Some(stored) = below.map(|below| format!("/data{below}")) {
                    operation[field] = stored.into();
                }
            }
        }
        return;
    }
    let Some(secret) = body.as_object_mut() else { return };
    match secret.remove("stringData") {
        Some(Value::Object(entries)) => {
            let data = secret.entry("data").or_insert_with(|| Value::Object(serde_json::Map::new()));
            if let Some(data) = data.as_object_mut() {
                data.extend(entries);
            }
        }
        Some(other) => drop(secret.insert("data".into(), other)),
        None => {}
    }
}

fn bytes(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}
