//! Create, apply, patch, delete, and what they would do in a dry run.

use http::Method;
use kf_core::api::{ApiError, DeleteOptions, ErrorCode, ObjectRef, PatchKind, Propagation, WriteOptions};
use kf_core::body::{Extra, check_patch, fit_object};
use kf_core::grants::{Access, Verb, Want};
use kf_core::names::{Resource, Subresource, Uid};
use kf_core::url::Query;
use serde_json::{Value, json};

use super::Inner;
use super::calls::Place;
use super::diff;
use super::redact::{Sight, clean};
use super::report::{Action, Change};

/// A write that has been checked.
struct Write {
    place: Place,
    access: Access,
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
        let (place, extras) = self.fitted(&object, &mut body).await?;
        // A POST names no object, and RBAC's rules with names never match it. One that makes a
        // namespace is in none.
        let access =
            Access { name: None, namespace: place.namespace.clone(), ..place.access(self, Verb::Create) };
        let rule = self.check(&access)?;
        self.check_extras(&place, &extras)?;
        self.write(Write {
            place,
            access,
            rule,
            method: Method::POST,
            content_type: "application/json",
            body,
            force: false,
            dry_run: options.dry_run,
        })
        .await
    }

    /// Server-side apply makes the object if it is not there, so it needs both verbs.
    pub(super) async fn apply(
        &self,
        object: ObjectRef,
        mut body: Value,
        options: WriteOptions,
    ) -> Result<Value, ApiError> {
        let (place, extras) = self.fitted(&object, &mut body).await?;
        let access = place.access(self, Verb::Patch);
        let rule = self.check(&access)?;
        self.check(&place.access(self, Verb::Create))?;
        if options.force && !self.also(&access, Want::Force) {
            return Err(ApiError::new(
                ErrorCode::Forbidden,
                format!("{} may not take over fields of {}", self.command.name, place.words()),
            )
            .hint("the manifest's rule needs `force = true`"));
        }
        self.check_extras(&place, &extras)?;
        self.write(Write {
            access,
            rule,
            method: Method::PATCH,
            place,
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
        let place = self.object(&object, None).await?;
        let name = place.name.clone().ok_or_else(|| ApiError::invalid("a patch needs a name"))?;
        let extras = check_patch(kind, &body, &place.served, place.namespace.as_ref(), &name)?;
        let access = place.access(self, Verb::Patch);
        let rule = self.check(&access)?;
        self.check_extras(&place, &extras)?;
        // `copy` moves data into what is shown, and `test` tells whether a guess is right.
        if kind == PatchKind::Json && place.is_secret() && self.secret_sight(&place) == Sight::WithoutData {
            return Err(ApiError::invalid(
                "secrets take no JSON patch from a command that may not read their data",
            ));
        }
        self.write(Write {
            place,
            access,
            rule,
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
        whole(&object)?;
        let place = self.object(&object, None).await?;
        let access = place.access(self, Verb::Delete);
        let rule = self.check(&access)?;
        let dry_run = self.dry_run || options.dry_run;
        let body = delete_options(options, dry_run)?;
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

    /// Finds the place of a whole object and makes the body say the same.
    async fn fitted(&self, object: &ObjectRef, body: &mut Value) -> Result<(Place, Vec<Extra>), ApiError> {
        whole(object)?;
        let version = body
            .get("apiVersion")
            .and_then(Value::as_str)
            .map(|text| text.rsplit_once('/').map_or(text, |(_, version)| version).to_owned());
        let place = self.object(object, version.as_deref()).await?;
        let name = place.name.as_ref().ok_or_else(|| ApiError::invalid("a write needs a name"))?;
        let extras = fit_object(body, &place.served, place.namespace.as_ref(), name)?;
        Ok((place, extras))
    }

    fn check_extras(&self, place: &Place, extras: &[Extra]) -> Result<(), ApiError> {
        for extra in extras {
            let (verb, subresource) = match extra {
                Extra::Finalizers => (Verb::Update, "finalizers"),
                Extra::Status => (Verb::Patch, "status"),
            };
            let resource = Resource {
                plural: place.served.plural.clone(),
                subresource: Some(Subresource::parse(subresource)?),
            };
            self.check(&Access { resource, ..place.access(self, verb) })?;
        }
        Ok(())
    }

    /// Answers to writes show what a read would.
    fn secret_sight(&self, place: &Place) -> Sight {
        place.sight(self, &place.access(self, Verb::Get))
    }

    async fn write(&self, write: Write) -> Result<Value, ApiError> {
        let Write { place, access, rule, method, content_type, body, force, dry_run } = write;
        let sight = self.secret_sight(&place);
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
        let target = if method == Method::POST { place.collection() } else { place.object() };
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
        let access = place.access(self, Verb::Get);
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

/// Only a whole object is made, applied or deleted.
fn whole(object: &ObjectRef) -> Result<(), ApiError> {
    match &object.subresource {
        None => Ok(()),
        Some(subresource) => {
            Err(ApiError::invalid(format!("the subresource {subresource} can be read and patched only")))
        }
    }
}

fn delete_options(options: DeleteOptions, dry_run: bool) -> Result<Value, ApiError> {
    if options.grace_period_seconds == Some(0) {
        return Err(ApiError::invalid("a grace period of 0 s can leave containers running unseen"));
    }
    let propagation = match options.propagation {
        Propagation::Background => "Background",
        Propagation::Foreground => "Foreground",
        Propagation::Orphan => "Orphan",
    };
    let uid = options.uid.map(Uid::parse).transpose()?;
    Ok(json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": propagation,
        "gracePeriodSeconds": options.grace_period_seconds,
        "preconditions": uid.map(|uid| json!({"uid": uid})),
        "dryRun": if dry_run { json!(["All"]) } else { json!([]) },
    }))
}

fn bytes(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}
