//! The verbs of the fake cluster. `kf-core` checks names, bodies and permissions, as in kf; the rest simulates the API
//! server.

use kf_core::body;
use kf_core::grants::{Access, Verb};
use kf_core::kinds::{Served, selectable_fields};
use kf_core::names::{ContinueToken, Group, Namespace};
use kf_core::request::{Denial, Place, Question, Reference, Request, Review, Selectors, check_audience};
use kf_core::url;
use serde_json::{Map, Value};

use super::cluster::{FakeCluster, Key, Write};
use super::convert;
use crate::abi::{
    Access as AccessQuestion, DeleteOptions, Event, Kind, ObjectRef, Page, PatchKind, Selection, ServedKind,
    Verdict, WriteOptions,
};
use crate::error::{Error, ErrorCode, Result};
use crate::objects::Object;

/// The selection of a list or a watch.
#[derive(Clone)]
pub(super) struct Listing {
    request: Request,
    selectors: Selectors,
}

impl Listing {
    pub(super) fn kind(&self) -> &str {
        self.request.place.served.kind.as_str()
    }

    fn selects(&self, key: &Key, object: &Value) -> bool {
        let (group, kind, namespace, _) = key;
        let Place { served, namespace: wanted, .. } = &self.request.place;
        let object = Object::from(object.clone());
        let Selectors { labels, fields } = &self.selectors;
        group == served.group.as_str()
            && kind == served.kind.as_str()
            && wanted.as_ref().is_none_or(|wanted| wanted.as_str() == namespace)
            && labels.as_ref().is_none_or(|labels| labels.matches(|key| object.label(key)))
            && fields.as_ref().is_none_or(|fields| fields.matches(|path| field(&object, path)))
    }
}

/// Returns the value of a field for field selectors, as in the API server.
fn field(object: &Object, path: &str) -> String {
    let (path, absent) = match path {
        "source" => ("source.component", ""),
        "spec.hostNetwork" | "spec.unschedulable" => (path, "false"),
        "status.successful" => ("status.succeeded", "0"),
        _ => (path, ""),
    };
    match object.at(&format!("/{}", path.replace('.', "/"))) {
        None | Some(Value::Null) => absent.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn key(place: &Place) -> Key {
    let namespace = place.namespace.as_ref().map(ToString::to_string).unwrap_or_default();
    let name = place.name.as_ref().map(ToString::to_string).unwrap_or_default();
    (place.served.group.to_string(), place.served.kind.to_string(), namespace, name)
}

impl FakeCluster {
    // ---- checks ----

    fn place(&self, reference: Reference) -> Result<Place> {
        let environment = Namespace::parse(self.namespace.as_str())?;
        let served = self.resolve(&reference.group, reference.version.as_ref(), &reference.kind);
        let served = served.ok_or_else(|| reference.not_served())?;
        Ok(reference.place(served, &environment))
    }

    fn object_at(&self, object: &ObjectRef) -> Result<Place> {
        self.place(Reference::object(&convert::object(object))?)
    }

    fn whole(&self, object: &ObjectRef, body: Option<&Value>) -> Result<Place> {
        self.place(Reference::whole(&convert::object(object), body)?)
    }

    fn listing(&self, verb: Verb, what: &Selection) -> Result<Listing> {
        let what = convert::selection(what);
        let selectors = Selectors::parse(&what)?;
        let request = Request::select(self.place(Reference::selection(&what)?)?, verb, &selectors);
        Ok(Listing { request, selectors })
    }

    fn check_listing(&self, listing: &Listing) -> Result<()> {
        self.check(&listing.request)?;
        let Served { group, kind, .. } = &listing.request.place.served;
        let known = |path: &str| {
            matches!(path, "metadata.name" | "metadata.namespace")
                || selectable_fields(group, kind).contains(&path)
        };
        let mut paths = listing.selectors.fields.iter().flat_map(|fields| fields.paths());
        match paths.find(|path| !known(path)) {
            Some(path) => Err(Error::invalid(format!("field label not supported: {path}"))),
            None => Ok(()),
        }
    }

    /// Checks a stream into a pod, such as `exec`, against the manifest.
    pub(super) fn stream(&self, namespace: Option<&str>, pod: &str, subresource: &str) -> Result<Request> {
        let pod = self.place(Reference::pod(namespace, pod)?)?;
        let request = match subresource {
            "log" => Request::log(&pod)?,
            _ => Request::session(&pod, subresource)?,
        };
        self.decide(&request)?;
        Ok(request)
    }

    /// Checks a request for a token, which kf makes for the command.
    pub(super) fn token(&self, bearer: &kf_core::api::Bearer) -> Result<()> {
        let account = Reference::service_account(&bearer.service_account)?;
        check_audience(bearer)?;
        self.check(&Request::token(&self.place(account)?)?)
    }

    /// Checks a request against the manifest, then against the permissions of the user.
    fn check(&self, request: &Request) -> Result<()> {
        self.decide(request)?;
        self.permit(request)
    }

    fn decide(&self, request: &Request) -> Result<()> {
        if let Some(rights) = &self.rights {
            request.decide(&rights.grants).map_err(|denial| not_granted(denial, &request.place))?;
        }
        url::path(&request.target())?;
        Ok(())
    }

    pub(super) fn permit(&self, request: &Request) -> Result<()> {
        request.authorized().try_for_each(|access| self.permitted(access))?;
        let (verb, kind) = (request.access.verb.as_str(), request.place.served.kind.as_str());
        let below = request.access.resource.subresource.as_ref().map(|below| format!("{kind}/{below}"));
        let fits = |of: &str| of == kind || below.as_deref() == Some(of);
        match self.failures.iter().find(|(failing, of, _)| failing == verb && fits(of)) {
            Some((_, _, error)) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Fails dry runs or other writes, as webhooks would.
    fn check_dry_run(&self, place: &Place, options: WriteOptions) -> Result<()> {
        let kind = place.served.kind.as_str();
        let verb = if options.dry_run { "dry-run" } else { "store" };
        match self.failures.iter().find(|(failing, of, _)| failing == verb && of == kind) {
            Some((_, _, error)) => Err(error.clone()),
            None => Ok(()),
        }
    }

    fn permitted(&self, access: &Access) -> Result<()> {
        let rule = access.missing_rule();
        if !self.is_denied(&rule.verb, &rule.group, &rule.resource) {
            return Ok(());
        }
        let resource = rule.full_resource();
        Err(Error::forbidden(format!("you may not {} {resource} in {}", rule.verb, self.namespace)))
    }

    pub(super) fn is_denied(&self, verb: &str, group: &str, resource: &str) -> bool {
        self.denied.iter().any(|(denied, of, plural)| {
            (denied == "*" || denied == verb) && of == group && plural == resource
        })
    }

    // ---- reading ----

    /// kf reads an object before it changes fields that others may own, or that the command has no permission to read. This
    /// checks that permission of the user.
    fn check_readable(&self, place: &Place, is_apply: bool) -> Result<()> {
        let Some(rights) = &self.rights else { return Ok(()) };
        let is_seen = place.is_shown(&rights.grants) && !place.is_secret_without_data(&rights.grants);
        if is_seen && (is_apply || place.can_take_over(&rights.grants)) {
            return Ok(());
        }
        let whole = Place { subresource: None, ..place.clone() };
        self.permitted(&whole.access(Verb::Get))
    }

    /// Returns the response of a write: as much as the command has permission to read.
    fn answered(&self, place: &Place, is_new: bool, object: Value) -> Value {
        let is_shown = self.rights.as_ref().is_none_or(|rights| place.is_shown(&rights.grants));
        if is_shown || is_new {
            return self.shown(place, &place.access(Verb::Get), object);
        }
        let mut identity = Map::new();
        for field in ["apiVersion", "kind"] {
            identity.extend(object.get(field).map(|value| (field.to_owned(), value.clone())));
        }
        let metadata = object.get("metadata").and_then(Value::as_object).into_iter().flatten();
        let known = ["creationTimestamp", "name", "namespace", "resourceVersion", "uid"];
        let metadata = metadata.filter(|(name, _)| known.contains(&name.as_str()));
        let metadata: Map<_, _> = metadata.map(|(name, value)| (name.clone(), value.clone())).collect();
        identity.insert("metadata".into(), metadata.into());
        identity.into()
    }

    /// Redacts secrets unless the manifest requests their data.
    fn shown(&self, place: &Place, read: &Access, mut object: Value) -> Value {
        if self.rights.as_ref().is_some_and(|rights| place.hides_data(&rights.grants, read)) {
            redact(&mut object);
        }
        object
    }

    pub(super) fn get(&self, object: &ObjectRef) -> Result<Value> {
        let request = Request::get(self.object_at(object)?);
        self.check(&request)?;
        let place = &request.place;
        if let Some(subresource) = &object.subresource {
            let key = (place.served.kind.to_string(), object.name.clone(), subresource.clone());
            let found = self.below.get(&key).cloned();
            return found
                .ok_or_else(|| Error::not_found(format!("{subresource} of {} not found", place.words())));
        }
        self.live(place).map(|found| self.shown(place, &request.access, found))
    }

    /// Gets a pod as kf itself does.
    pub(super) fn pod(&self, namespace: Option<&str>, name: &str) -> Result<Object> {
        let key = self.key(&Kind::new("", "Pod"), namespace, name);
        let pod = self.objects.get(&key).cloned().map(Object::from);
        pod.ok_or_else(|| Error::not_found(format!("pods \"{name}\" not found")))
    }

    fn live(&self, place: &Place) -> Result<Value> {
        let found = self.objects.get(&key(place)).cloned();
        found.ok_or_else(|| Error::not_found(format!("{} not found", place.words())))
    }

    /// Lists a page. The continue token is the position.
    pub(super) fn list(&mut self, what: &Selection, limit: Option<u32>, next: Option<&str>) -> Result<Page> {
        let listing = self.listing(Verb::List, what)?;
        let next = next.map(ContinueToken::parse).transpose()?;
        self.check_listing(&listing)?;
        let position = |token: ContinueToken| {
            token.as_str().parse().map_err(|_| Error::invalid(format!("invalid continue token {token}")))
        };
        let start = next.map(position).transpose()?.unwrap_or(0);
        if let Some(left) = self.expired.get_mut(listing.kind()).filter(|left| start > 0 && **left > 0) {
            *left -= 1;
            return Err(Error::new(ErrorCode::Expired, "the continue token has expired"));
        }
        let limit = limit.filter(|limit| *limit > 0).map_or(usize::MAX, |limit| limit as usize);
        let Request { place, access, .. } = &listing.request;
        let mut rest = self
            .objects
            .iter()
            .filter(|(key, object)| listing.selects(key, object))
            .map(|(_, object)| self.shown(place, access, object.clone()))
            .skip(start);
        let items: Vec<_> = rest.by_ref().take(limit).collect();
        let next = rest.next().map(|_| (start + items.len()).to_string());
        Ok(Page { items, next, resource_version: self.version.to_string() })
    }

    pub(super) fn watched(&self, what: &Selection) -> Result<Listing> {
        let listing = self.listing(Verb::Watch, what)?;
        self.check_listing(&listing)?;
        Ok(listing)
    }

    /// Returns the changes after a version, and the current version.
    pub(super) fn changes(&self, listing: &Listing, after: u64) -> (Vec<Event>, u64) {
        let Request { place, access, .. } = &listing.request;
        let changes = self
            .changes
            .iter()
            .filter(|(version, key, event)| *version > after && listing.selects(key, &event.object))
            .map(|(_, _, event)| Event {
                kind: event.kind,
                object: self.shown(place, access, event.object.clone()),
            })
            .collect();
        (changes, self.version)
    }

    /// Returns the error that broke a watch after a version, if any.
    pub(super) fn break_of(&self, listing: &Listing, after: u64) -> Option<Error> {
        let broken = self.broken.iter().find(|(version, kind, _)| *version > after && kind == listing.kind());
        broken.map(|(_, _, error)| error.clone())
    }

    pub(super) fn can_i(&self, questions: &[AccessQuestion]) -> Result<Vec<Verdict>> {
        let environment = Namespace::parse(self.namespace.as_str())?;
        let questions: Vec<_> = questions.iter().map(convert::question).collect();
        let questions = Question::parse_all(&questions, &environment)?;
        self.may_ask(Review::Access(&questions))?;
        let verdict = |question: &Question| {
            let Question { verb, group, resource, .. } = question;
            let allowed = !self.is_denied(verb, group.as_str(), &resource.to_string());
            Verdict { allowed, reason: None }
        };
        Ok(questions.iter().map(verdict).collect())
    }

    /// Checks that the manifest permits questions about the user.
    pub(super) fn may_ask(&self, review: Review<'_>) -> Result<()> {
        let Some(rights) = &self.rights else { return Ok(()) };
        let environment = Namespace::parse(self.namespace.as_str())?;
        let Err((_, refusal)) = review.decide(&rights.grants, &environment) else { return Ok(()) };
        Err(Error::forbidden(format!("the manifest has no rule for `{}`", refusal.rule))
            .hint("add the rule to plugin.toml, or remove the question"))
    }

    pub(super) fn discover(&self, group: &str) -> Result<Vec<ServedKind>> {
        Group::parse(group)?;
        Ok(self.served.iter().filter(|served| served.group == group).cloned().collect())
    }

    // ---- writing ----

    pub(super) fn create(
        &mut self,
        object: &ObjectRef,
        body: &Value,
        options: WriteOptions,
    ) -> Result<Value> {
        let mut fitted = body.clone();
        let request = Request::create(self.whole(object, Some(body))?, &mut fitted)?;
        self.check(&request)?;
        self.wrote("create", object, body, options.dry_run);
        self.check_fields(&request.place, body)?;
        self.check_dry_run(&request.place, options)?;
        if self.objects.contains_key(&key(&request.place)) {
            let message = format!("{} already exists", request.place.words());
            return Err(Error::new(ErrorCode::Conflict, message));
        }
        Ok(self.write(&request.place, fitted, options.dry_run, true))
    }

    pub(super) fn apply(&mut self, object: &ObjectRef, body: &Value, options: WriteOptions) -> Result<Value> {
        let mut fitted = body.clone();
        let request = Request::apply(self.whole(object, Some(body))?, &mut fitted, options.force)?;
        self.check(&request)?;
        self.wrote("apply", object, body, options.dry_run);
        self.check_fields(&request.place, body)?;
        self.check_dry_run(&request.place, options)?;
        self.check_readable(&request.place, true)?;
        let live = self.objects.get(&key(&request.place)).cloned();
        if live.is_none() {
            self.permitted(&request.place.access(Verb::Create))?;
        }
        let mut merged = live.unwrap_or_default();
        check_version(&merged, &fitted)?;
        merge(&mut merged, &fitted);
        Ok(self.write(&request.place, merged, options.dry_run, false))
    }

    pub(super) fn patch(
        &mut self,
        object: &ObjectRef,
        kind: PatchKind,
        body: &Value,
        options: WriteOptions,
    ) -> Result<Value> {
        let request = Request::patch(self.object_at(object)?, convert::patch_kind(kind), body)?;
        self.check(&request)?;
        let Request { place, .. } = request;
        self.check_readable(&place, false)?;
        if kind == PatchKind::Json {
            return Err(Error::unsupported("the fake cluster supports merge patches only"));
        }
        if kind == PatchKind::Strategic && !is_built_in(&place.served) {
            let what = &place.served.kind;
            return Err(Error::invalid(format!(
                "{what} is a custom resource and does not support strategic merge patches"
            )));
        }
        self.wrote("patch", object, body, options.dry_run);
        self.check_fields(&place, body)?;
        // A patch of a subresource changes the object.
        let place = Place { subresource: None, ..place };
        let mut merged = self.live(&place)?;
        check_version(&merged, body)?;
        merge(&mut merged, body);
        Ok(self.write(&place, merged, options.dry_run, false))
    }

    pub(super) fn delete(&mut self, object: &ObjectRef, options: &DeleteOptions) -> Result<()> {
        let request = Request::delete(self.whole(object, None)?);
        self.decide(&request)?;
        body::delete_options(&convert::delete_options(options), options.dry_run)?;
        self.permit(&request)?;
        let Request { place, .. } = request;
        let live = Object::from(self.live(&place)?);
        if options.uid.as_deref().is_some_and(|uid| live.uid() != Some(uid)) {
            let message = format!("{} is now another object of the same name", place.words());
            return Err(Error::new(ErrorCode::Conflict, message));
        }
        self.wrote("delete", object, &Value::Null, options.dry_run);
        if !options.dry_run {
            self.deletions.push(options.clone());
            self.forget(&key(&place));
        }
        Ok(())
    }

    fn check_fields(&self, place: &Place, body: &Value) -> Result<()> {
        let kind = place.served.kind.as_str();
        let wrong = self.fields.iter().find(|(of, at, _)| of == kind && body.pointer(at).is_some());
        wrong.map_or(Ok(()), |(_, _, error)| Err(error.clone()))
    }

    fn wrote(&mut self, verb: &'static str, object: &ObjectRef, body: &Value, dry_run: bool) {
        self.writes.push(Write { verb, object: object.clone(), body: body.clone(), dry_run });
    }

    fn write(&mut self, place: &Place, object: Value, dry_run: bool, is_new: bool) -> Value {
        let key = key(place);
        let mut object = Object::from(object);
        self.webhooks.iter().filter(|(kind, _)| *kind == key.1).for_each(|(_, webhook)| webhook(&mut object));
        let object = object.into_value();
        if dry_run {
            let mut answer = self.answered(place, is_new, object);
            body::mark_dry_run(&mut answer);
            return answer;
        }
        self.store(key.clone(), object);
        let answer = self.objects.get(&key).cloned().unwrap_or_default();
        self.answered(place, is_new, answer)
    }
}

/// Returns an error that names the missing rule of the manifest.
fn not_granted(denial: Denial, place: &Place) -> Error {
    let Denial::Access(_, refusal) = denial else { return denial.error("the command", place).into() };
    let rule = refusal.rule;
    let name = rule.name.as_ref().map(|name| format!(" named {name}")).unwrap_or_default();
    let (verb, resource, place) = (&rule.verb, rule.full_resource(), rule.place());
    Error::forbidden(format!("the manifest has no rule for `{verb} {resource}`{name} {place}"))
        .hint("add the rule to plugin.toml, or remove the call")
}

/// Returns whether a kind is built in, so that strategic merge patches are supported.
fn is_built_in(served: &Served) -> bool {
    let group = served.group.as_str();
    !group.contains('.') || (group.ends_with(".k8s.io") && !group.ends_with(".x-k8s.io"))
}

/// Returns a conflict if the body has another resource version.
fn check_version(live: &Value, body: &Value) -> Result<()> {
    let version = |value: &Value| value.pointer("/metadata/resourceVersion").cloned();
    match version(body) {
        Some(meant) if version(live).is_some_and(|now| now != meant) => {
            Err(Error::new(ErrorCode::Conflict, "the object has been modified"))
        }
        _ => Ok(()),
    }
}

/// Redacts the values of the data and annotations of a secret.
fn redact(secret: &mut Value) {
    for path in ["/data", "/stringData", "/metadata/annotations"] {
        let entries = secret.pointer_mut(path).and_then(Value::as_object_mut);
        entries.into_iter().flat_map(Map::values_mut).for_each(|value| *value = "redacted".into());
    }
}

/// Applies a JSON merge patch (RFC 7386).
fn merge(target: &mut Value, patch: &Value) {
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
