//! Create, apply, patch, delete, and what they would do in a dry run.
//!
//! What a write answers is as much as the grant lets the command read, and so is what a failed one says.
//! Before a write goes out, [`guard`](super::guard) sees whether it may change those fields.

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
use super::redact::{Sight, clean, clean_both};
use super::report::{Action, Change};

/// A write that has been checked.
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

    /// Sends the write again where the object changed between the look at its fields and the write.
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
        clean(&mut answer, self.answer_sight(place, *kind));
        if dry_run {
            mark_dry_run(&mut answer);
        }
        Ok(answer)
    }

    /// Answers to writes show what a read would. What a command created it may see in any case.
    fn answer_sight(&self, place: &Place, kind: WriteKind) -> Sight {
        match self.shown(place) {
            Sight::Identity if kind == WriteKind::Create && place.is_secret() => Sight::WithoutData,
            Sight::Identity if kind == WriteKind::Create => Sight::Whole,
            sight => sight,
        }
    }

    /// The object as it is, with the managers of its fields, for the diff of a dry run and for the guard. The guest
    /// never sees it.
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

    /// A diff lands in terminals and logs: the data of secrets is never shown, whatever the grant.
    fn difference(
        &self,
        place: &Place,
        before: Result<Option<Value>, ApiError>,
        mut sent: Value,
        mut answer: Value,
    ) -> Change {
        let sight = if place.is_secret() { Sight::WithoutData } else { Sight::Whole };
        if place.is_secret() {
            as_data(&mut sent);
        }
        clean(&mut sent, sight);
        match before {
            Ok(None) => {
                clean(&mut answer, sight);
                let change = self.change(place, Action::Create, diff::created(&sent, &answer), None);
                Change { document: diff::document(&answer), ..change }
            }
            Ok(Some(mut before)) => {
                if place.is_secret() {
                    clean_both(&mut before, &mut answer);
                } else {
                    clean(&mut before, sight);
                    clean(&mut answer, sight);
                }
                let lines = diff::changed(&before, &sent, &answer);
                let action = if lines.is_empty() { Action::Nothing } else { Action::Change };
                Change { document: diff::document(&answer), ..self.change(place, action, lines, None) }
            }
            Err(error) => {
                clean(&mut answer, sight);
                let note = format!("what is there could not be read: {}", error.message);
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

/// Which object it is, as a document.
fn identity(place: &Place) -> Value {
    let namespace = place.namespace.as_ref().map(|namespace| ("namespace", namespace.to_string()));
    let name = place.name.as_ref().map(|name| ("name", name.to_string()));
    let metadata: BTreeMap<_, _> = name.into_iter().chain(namespace).collect();
    json!({ "apiVersion": place.served.api_version(), "kind": place.served.kind.as_str(), "metadata": metadata })
}

/// Names what a body sets in a secret as the API server stores it: `stringData` becomes `data`. Its owners are told
/// by `data` alone, and even an apply is not held to them where it says `stringData`.
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
