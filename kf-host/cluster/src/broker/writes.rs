//! Create, apply, patch, delete, and what they would do in a dry run.

use http::Method;
use kf_core::api::{ApiError, DeleteOptions, ErrorCode, ObjectRef, PatchKind, WriteOptions};
use kf_core::body::delete_options;
use kf_core::grants::Verb;
use kf_core::request::{Place, Reference, Request};
use kf_core::url::Query;
use serde_json::Value;

use super::Inner;
use super::diff;
use super::redact::{Sight, clean};
use super::report::{Action, Change};

/// A write that has been checked.
struct Write {
    request: Request,
    rule: usize,
    method: Method,
    content_type: &'static str,
    body: Value,
    force: bool,
    dry_run: bool,
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
            method: Method::POST,
            content_type: "application/json",
            body,
            force: false,
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
            method: Method::PATCH,
            content_type: "application/apply-patch+yaml",
            body,
            force: options.force,
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
            method: Method::PATCH,
            content_type: match kind {
                PatchKind::Merge => "application/merge-patch+json",
                PatchKind::Json => "application/json-patch+json",
                PatchKind::Strategic => "application/strategic-merge-patch+json",
            },
            body,
            force: false,
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
        self.json(&call).await?;
        if self.dry_run {
            self.recorder.change(self.change(&place, Action::Delete, Vec::new(), None));
        }
        Ok(())
    }

    async fn write(&self, write: Write) -> Result<Value, ApiError> {
        let Write { request, rule, method, content_type, body, force, dry_run } = write;
        let target = request.target();
        let Request { place, access, .. } = request;
        // Answers to writes show what a read would.
        let sight = self.sight(&place, &place.access(Verb::Get));
        let before = if self.dry_run { Some(self.live(&place).await) } else { None };
        let mut query = Query::default();
        query.set("fieldManager", &self.field_manager);
        query.set("fieldValidation", "Strict");
        if force {
            query.set("force", true);
        }
        if self.dry_run || dry_run {
            query.set("dryRun", "All");
        }
        let mut call = self.call(&place, access, Some(rule), method, &target, &query)?;
        call.content_type = Some(content_type);
        call.body = bytes(&body);
        let mut answer = self.json(&call).await?;
        clean(&mut answer, sight);
        if let Some(before) = before {
            self.recorder.change(self.difference(&place, before, body, &answer));
        }
        Ok(answer)
    }

    /// The object as it is, for the diff of a dry run. The host asks for the user's eyes; the
    /// guest never sees it.
    async fn live(&self, place: &Place) -> Result<Option<Value>, ApiError> {
        let access = place.access(Verb::Get);
        let target = place.object();
        let call = self.call(place, access, None, Method::GET, &target, &Query::default())?;
        match self.json(&call).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.code == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn difference(
        &self,
        place: &Place,
        before: Result<Option<Value>, ApiError>,
        mut sent: Value,
        answer: &Value,
    ) -> Change {
        // A diff lands in terminals and logs: secrets are never shown, whatever the grant.
        let sight = if place.is_secret() { Sight::WithoutData } else { Sight::Whole };
        let shown = |mut object: Value| {
            clean(&mut object, sight);
            object
        };
        clean(&mut sent, sight);
        let answer = shown(answer.clone());
        match before {
            Ok(None) => self.change(place, Action::Create, diff::created(&sent, &answer), None),
            Ok(Some(before)) => {
                let lines = diff::changed(&shown(before), &sent, &answer);
                // Redacted values look alike, so an empty diff of a secret proves nothing.
                let nothing = lines.is_empty() && !place.is_secret();
                let action = if nothing { Action::Nothing } else { Action::Change };
                let note =
                    (lines.is_empty() && !nothing).then(|| "the data of secrets is not shown".to_owned());
                self.change(place, action, lines, note)
            }
            Err(error) => {
                let note = format!("what is there could not be read: {}", error.message);
                self.change(place, Action::Change, diff::created(&sent, &answer), Some(note))
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
            note,
        }
    }
}

fn bytes(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}
