//! What the fake cluster answers, and refuses.

use serde_json::Value;

use super::bodies::{self, Extra, check_body, check_name, check_subresource, merge};
use super::cluster::{FakeCluster, Key, Write};
use super::rights::{Access, Want, in_group};
use super::selectors::{fields_fit, labels_fit, selected_name};
use crate::border::{
    Access as Question, DeleteOptions, Event, Kind, ObjectRef, Page, PatchKind, Selection, ServedKind,
    Verdict, WriteOptions,
};
use crate::error::{Error, ErrorCode, Result};
use crate::objects::Object;

/// A kind that was found, and where in the cluster.
#[derive(Clone)]
pub(super) struct Place {
    served: ServedKind,
    /// Absent for cluster-scoped kinds and all namespaces.
    namespace: Option<String>,
    name: Option<String>,
    subresource: Option<String>,
}

impl Place {
    fn resource(&self) -> String {
        match &self.subresource {
            Some(subresource) => format!("{}/{subresource}", self.served.plural),
            None => self.served.plural.clone(),
        }
    }

    fn key(&self) -> Key {
        let namespace = self.namespace.clone().unwrap_or_default();
        let name = self.name.clone().unwrap_or_default();
        (self.served.group.clone(), self.served.kind.clone(), namespace, name)
    }

    fn is_secret(&self) -> bool {
        self.served.group.is_empty() && self.served.kind == "Secret"
    }

    fn below(self, subresource: &str) -> Self {
        Self { subresource: Some(subresource.into()), ..self }
    }

    /// `Pod `web` in team-a`
    fn words(&self) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        let place = self.namespace.as_ref().map(|namespace| format!(" in {namespace}")).unwrap_or_default();
        format!("{} `{name}`{place}", self.served.kind)
    }
}

impl FakeCluster {
    // ---- where, and whether ----

    /// An unknown kind is not found.
    fn place(&self, kind: &Kind, namespace: Option<&str>, everywhere: bool) -> Result<Place> {
        let served = self.find_served(&kind.group, &kind.kind).cloned();
        let served = served.filter(|served| kind.version.as_ref().is_none_or(|it| *it == served.version));
        let served = served.ok_or_else(|| {
            let group = if kind.group.is_empty() { "core" } else { &kind.group };
            Error::not_found(format!("the cluster does not serve {} of {group}", kind.kind))
        })?;
        let namespace = match served.namespaced && !everywhere {
            true => Some(namespace.unwrap_or(&self.namespace).to_owned()),
            false => None,
        };
        Ok(Place { served, namespace, name: None, subresource: None })
    }

    fn object_at(&self, object: &ObjectRef) -> Result<Place> {
        check_name(&object.name)?;
        check_subresource(object.subresource.as_deref())?;
        let place = self.place(&object.kind, object.namespace.as_deref(), false)?;
        Ok(Place { name: Some(object.name.clone()), subresource: object.subresource.clone(), ..place })
    }

    /// What a list or a watch reads.
    pub(super) fn selected(&self, verb: &str, what: &Selection) -> Result<Place> {
        let place = self.place(&what.kind, what.namespace.as_deref(), what.everywhere)?;
        // A malformed selector is refused however few objects there are.
        labels_fit(&Object::default(), what.labels.as_deref().unwrap_or_default())?;
        let mut sample = Object::default();
        sample.set("/kind", place.served.kind.as_str());
        fields_fit(&sample, what.fields.as_deref().unwrap_or_default())?;
        // The authorizer takes a selected name for the request's.
        let name = what.fields.as_deref().and_then(selected_name).map(str::to_owned);
        self.check(verb, &Place { name, ..place.clone() })?;
        Ok(place)
    }

    /// A stream of a pod, such as `exec`; it takes both verbs to open a door.
    pub(super) fn door(&self, namespace: Option<&str>, pod: &str, subresource: &str) -> Result<()> {
        let reference = ObjectRef {
            kind: Kind::new("", "Pod"),
            namespace: namespace.map(str::to_owned),
            name: pod.into(),
            subresource: None,
        };
        let place = self.object_at(&reference)?;
        let below = place.clone().below(subresource);
        if subresource != "log" {
            self.check("create", &below)?;
        }
        self.check("get", &below)?;
        Ok(())
    }

    /// A token that kf asks for in the command's place.
    pub(super) fn token(&self, service_account: &str) -> Result<()> {
        check_name(service_account)?;
        let served = ServedKind {
            group: String::new(),
            version: "v1".into(),
            kind: "ServiceAccount".into(),
            plural: "serviceaccounts".into(),
            namespaced: true,
            verbs: Vec::new(),
        };
        let (namespace, name) = (Some(self.namespace.clone()), Some(service_account.to_owned()));
        self.check("create", &Place { served, namespace, name, subresource: Some("token".into()) })
    }

    /// What the manifest does not ask for is refused first, then what the user may not.
    fn check(&self, verb: &str, place: &Place) -> Result<()> {
        self.granted(verb, place, Want::Plain)?;
        self.permitted(verb, place)?;
        let kind = &place.served.kind;
        match self.failures.iter().find(|(failing, of, _)| failing == verb && of == kind) {
            Some((_, _, error)) => Err(error.clone()),
            None => Ok(()),
        }
    }

    fn permitted(&self, verb: &str, place: &Place) -> Result<()> {
        let (group, resource) = (&place.served.group, place.resource());
        if !self.is_denied(verb, group, &resource) {
            return Ok(());
        }
        let resource = in_group(&resource, group);
        Err(Error::forbidden(format!("you may not {verb} {resource} in {}", self.namespace)))
    }

    fn granted(&self, verb: &str, place: &Place, want: Want) -> Result<()> {
        let Some(rights) = &self.rights else { return Ok(()) };
        let resource = place.resource();
        // A POST names no object.
        let name = place.name.as_deref().filter(|_| verb != "create" || place.subresource.is_some());
        // A role in a namespace can show the namespace itself.
        let own = name.filter(|_| place.served.group.is_empty() && place.served.plural == "namespaces");
        let access = Access {
            verb,
            group: &place.served.group,
            resource: &resource,
            namespace: place.namespace.as_deref().or(own),
            name,
            want,
        };
        rights.check(access, &self.namespace)
    }

    fn check_extras(&self, place: &Place, extras: &[Extra]) -> Result<()> {
        extras.iter().try_for_each(|extra| {
            let (verb, subresource) = extra.right();
            self.granted(verb, &place.clone().below(subresource), Want::Plain)
        })
    }

    pub(super) fn is_denied(&self, verb: &str, group: &str, resource: &str) -> bool {
        self.denied.iter().any(|(denied, of, plural)| {
            (denied == "*" || denied == verb) && of == group && plural == resource
        })
    }

    // ---- reading ----

    /// Secrets arrive without their data unless the manifest asks for it.
    fn shown(&self, place: &Place, verb: &str, mut object: Value) -> Value {
        if place.is_secret() && self.granted(verb, place, Want::Data).is_err() {
            bodies::redact(&mut object);
        }
        object
    }

    pub(super) fn get(&self, object: &ObjectRef) -> Result<Value> {
        let place = self.object_at(object)?;
        self.check("get", &place)?;
        if let Some(subresource) = &object.subresource {
            let key = (object.kind.kind.clone(), object.name.clone(), subresource.clone());
            let found = self.below.get(&key).cloned();
            return found.ok_or_else(|| {
                Error::not_found(format!("no {subresource} of {} `{}`", object.kind.kind, object.name))
            });
        }
        self.live(&place).map(|found| self.shown(&place, "get", found))
    }

    /// A pod as kf itself looks at it.
    pub(super) fn pod(&self, namespace: Option<&str>, name: &str) -> Result<Object> {
        let key = self.key(&Kind::new("", "Pod"), namespace, name);
        let pod = self.objects.get(&key).cloned().map(Object::from);
        pod.ok_or_else(|| Error::not_found(format!("pods \"{name}\" not found")))
    }

    fn live(&self, place: &Place) -> Result<Value> {
        let found = self.objects.get(&place.key()).cloned();
        found.ok_or_else(|| Error::not_found(format!("no {}", place.words())))
    }

    /// Pages as the API server does; the token is the position.
    pub(super) fn list(&self, what: &Selection, limit: Option<u32>, next: Option<&str>) -> Result<Page> {
        let place = self.selected("list", what)?;
        let start = next.and_then(|token| token.parse().ok()).unwrap_or(0);
        let limit = limit.map_or(usize::MAX, |limit| limit as usize);
        let mut rest = self
            .objects
            .iter()
            .filter(|(key, object)| self.selects(what, key, object))
            .map(|(_, object)| self.shown(&place, "list", object.clone()))
            .skip(start);
        let items: Vec<_> = rest.by_ref().take(limit).collect();
        let next = rest.next().map(|_| (start + items.len()).to_string());
        Ok(Page { items, next, resource_version: self.version.to_string() })
    }

    /// The changes after a version, and the version they lead to.
    pub(super) fn changes(&self, what: &Selection, after: u64) -> (Vec<Event>, u64) {
        let place = self.place(&what.kind, what.namespace.as_deref(), what.everywhere);
        let changes = self
            .changes
            .iter()
            .filter(|(version, key, event)| *version > after && self.selects(what, key, &event.object))
            .map(|(_, _, event)| match &place {
                Ok(place) => {
                    Event { kind: event.kind, object: self.shown(place, "watch", event.object.clone()) }
                }
                Err(_) => event.clone(),
            })
            .collect();
        (changes, self.version)
    }

    /// How a watch that has seen so much broke, if it did.
    pub(super) fn break_of(&self, what: &Selection, after: u64) -> Option<Error> {
        let broken =
            self.broken.iter().find(|(version, kind, _)| *version > after && *kind == what.kind.kind);
        broken.map(|(_, _, error)| error.clone())
    }

    fn selects(&self, what: &Selection, key: &Key, object: &Value) -> bool {
        let (group, kind, namespace, _) = key;
        let wanted = what.namespace.as_deref().unwrap_or(&self.namespace);
        let object = Object::from(object.clone());
        *group == what.kind.group
            && *kind == what.kind.kind
            && (namespace.is_empty() || what.everywhere || namespace == wanted)
            && labels_fit(&object, what.labels.as_deref().unwrap_or_default()) == Ok(true)
            && fields_fit(&object, what.fields.as_deref().unwrap_or_default()) == Ok(true)
    }

    pub(super) fn can_i(&self, questions: &[Question]) -> Vec<Verdict> {
        questions
            .iter()
            .map(|question| Verdict {
                allowed: !self.is_denied(&question.verb, &question.group, &question.resource),
                reason: None,
            })
            .collect()
    }

    pub(super) fn discover(&self, group: &str) -> Vec<ServedKind> {
        self.served.iter().filter(|served| served.group == group).cloned().collect()
    }

    // ---- writing ----

    pub(super) fn create(
        &mut self,
        object: &ObjectRef,
        body: &Value,
        options: WriteOptions,
    ) -> Result<Value> {
        let place = self.fitted(object, body, "create")?;
        self.wrote("create", object, body, options.dry_run);
        self.check_fields(&object.kind, body)?;
        if self.objects.contains_key(&place.key()) {
            let message = format!("{} `{}` exists already", object.kind.kind, object.name);
            return Err(Error::new(ErrorCode::Conflict, message));
        }
        Ok(self.write(&place, body.clone(), options.dry_run))
    }

    /// Makes the object if it is not there, so the manifest needs both verbs.
    pub(super) fn apply(&mut self, object: &ObjectRef, body: &Value, options: WriteOptions) -> Result<Value> {
        let place = self.fitted(object, body, "patch")?;
        self.granted("create", &place, Want::Plain)?;
        if options.force {
            self.granted("patch", &place, Want::Force)?;
        }
        self.wrote("apply", object, body, options.dry_run);
        self.check_fields(&object.kind, body)?;
        let live = self.objects.get(&place.key()).cloned();
        if live.is_none() {
            self.permitted("create", &place)?;
        }
        let mut merged = live.unwrap_or_default();
        bodies::check_version(&merged, body)?;
        merge(&mut merged, body);
        Ok(self.write(&place, merged, options.dry_run))
    }

    pub(super) fn patch(
        &mut self,
        object: &ObjectRef,
        kind: PatchKind,
        body: &Value,
        options: WriteOptions,
    ) -> Result<Value> {
        let place = self.object_at(object)?;
        if kind == PatchKind::Json {
            return Err(Error::unsupported("the fake cluster knows merge patches only"));
        }
        if kind == PatchKind::Strategic && !bodies::is_built_in(&place.served) {
            let what = &place.served.kind;
            return Err(Error::invalid(format!("{what} is a custom resource and takes no strategic patch")));
        }
        let extras = check_body(body, &place.served, place.namespace.as_deref(), &object.name)?;
        self.check("patch", &place)?;
        self.check_extras(&place, &extras)?;
        self.wrote("patch", object, body, options.dry_run);
        self.check_fields(&object.kind, body)?;
        // A patch of what is below an object changes the object.
        let place = Place { subresource: None, ..place };
        let mut merged = self.live(&place)?;
        bodies::check_version(&merged, body)?;
        merge(&mut merged, body);
        Ok(self.write(&place, merged, options.dry_run))
    }

    pub(super) fn delete(&mut self, object: &ObjectRef, options: &DeleteOptions) -> Result<()> {
        whole(object)?;
        let place = self.object_at(object)?;
        self.check("delete", &place)?;
        let live = Object::from(self.live(&place)?);
        if options.uid.as_deref().is_some_and(|uid| live.uid() != Some(uid)) {
            let message = format!("{} is another object of the name", place.words());
            return Err(Error::new(ErrorCode::Conflict, message));
        }
        self.wrote("delete", object, &Value::Null, options.dry_run);
        if !options.dry_run {
            self.deletions.push(options.clone());
            self.forget(&place.key());
        }
        Ok(())
    }

    /// The place of a whole object, if its body says the same and the command may write it.
    fn fitted(&self, object: &ObjectRef, body: &Value, verb: &str) -> Result<Place> {
        whole(object)?;
        let place = self.object_at(object)?;
        let extras = check_body(body, &place.served, place.namespace.as_deref(), &object.name)?;
        self.check(verb, &place)?;
        self.check_extras(&place, &extras)?;
        Ok(place)
    }

    fn check_fields(&self, kind: &Kind, body: &Value) -> Result<()> {
        let wrong = self.fields.iter().find(|(of, at, _)| *of == kind.kind && body.pointer(at).is_some());
        wrong.map_or(Ok(()), |(_, _, error)| Err(error.clone()))
    }

    fn wrote(&mut self, verb: &'static str, object: &ObjectRef, body: &Value, dry_run: bool) {
        self.writes.push(Write { verb, object: object.clone(), body: body.clone(), dry_run });
    }

    fn write(&mut self, place: &Place, object: Value, dry_run: bool) -> Value {
        let key = place.key();
        let mut object = Object::from(object);
        for (pointer, value) in
            [("/apiVersion", bodies::api_version(&place.served)), ("/kind", place.served.kind.clone())]
        {
            if object.at(pointer).is_none() {
                object.set(pointer, value);
            }
        }
        self.webhooks.iter().filter(|(kind, _)| *kind == key.1).for_each(|(_, webhook)| webhook(&mut object));
        let object = object.into_value();
        let answer = match dry_run {
            true => object,
            false => {
                self.store(key.clone(), object);
                self.objects.get(&key).cloned().unwrap_or_default()
            }
        };
        self.shown(place, "get", answer)
    }
}

/// Only a whole object is made, applied or deleted.
fn whole(object: &ObjectRef) -> Result<()> {
    match &object.subresource {
        None => Ok(()),
        Some(subresource) => {
            Err(Error::invalid(format!("the subresource {subresource} can be read and patched only")))
        }
    }
}
