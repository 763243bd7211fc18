use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::border::{
    Access, DeleteOptions, Event, EventKind, Identity, Kind, ObjectRef, Page, PatchKind, Selection,
    ServedKind, Verdict, WriteOptions,
};
use crate::error::{Error, Result};
use crate::objects::Object;

/// Group, kind, namespace, name. The namespace of cluster-scoped objects is empty.
type Key = (String, String, String, String);

type Webhook = Box<dyn Fn(&mut Object)>;

/// One call that would change the cluster, as the command made it.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// `create`, `apply`, `patch` or `delete`.
    pub verb: &'static str,
    pub object: ObjectRef,
    /// Null for a delete.
    pub body: Value,
    pub dry_run: bool,
}

/// A cluster in memory: objects by kind, what it serves, who may do what, and its logs.
#[derive(Default)]
pub struct FakeCluster {
    namespace: String,
    objects: BTreeMap<Key, Value>,
    served: Vec<ServedKind>,
    version: u64,
    /// Every change with the resource version it made.
    changes: Vec<(u64, Key, Event)>,
    pub(super) identity: Identity,
    denied: Vec<(String, String, String)>,
    failures: Vec<(String, String, Error)>,
    /// At which version the watches of a kind broke, and how.
    broken: Vec<(u64, String, Error)>,
    /// Fields no object of a kind may have: kind, pointer, and what is said of it.
    fields: Vec<(String, String, Error)>,
    writes: Vec<Write>,
    /// What webhooks make of the objects of a kind.
    webhooks: Vec<(String, Webhook)>,
    deletions: Vec<DeleteOptions>,
    /// Subresources, by kind, name and their own name.
    below: BTreeMap<(String, String, String), Value>,
    pub(super) logs: BTreeMap<(String, String), FakeLog>,
}

/// The log of one container. It is open until [`FakeCluster::end_log`].
#[derive(Clone, Debug, Default)]
pub(super) struct FakeLog {
    pub(super) text: String,
    pub(super) previous: String,
    pub(super) ended: bool,
}

impl FakeCluster {
    pub(super) fn new(namespace: &str) -> Self {
        Self { namespace: namespace.into(), ..Self::default() }
    }

    /// Puts an object there, or replaces it. Without a namespace it lies in the run's, unless its
    /// kind is cluster-scoped.
    ///
    /// # Panics
    /// When it has no kind or name, or its kind is not served.
    pub fn put(&mut self, object: impl Into<Value>) {
        let object = Object::from(object.into());
        let served = self.must_serve(object.group(), object.kind());
        let namespace = match served.namespaced {
            true => object.namespace().unwrap_or(&self.namespace).to_owned(),
            false => String::new(),
        };
        assert!(!object.name().is_empty(), "the object has no name: {object:?}");
        let key = (served.group, served.kind, namespace, object.name().to_owned());
        self.store(key, object.into_value());
    }

    /// Puts a document below an object, such as `scale`.
    pub fn put_below(&mut self, kind: &str, name: &str, subresource: &str, document: impl Into<Value>) {
        let key = (Kind::from(kind).kind, name.to_owned(), subresource.to_owned());
        self.below.insert(key, document.into());
    }

    /// Changes an object that is there.
    ///
    /// # Panics
    /// When it is not.
    pub fn change(&mut self, kind: &str, name: &str, change: impl FnOnce(&mut Object)) {
        let kind = Kind::from(kind);
        let key = self.key(&kind, None, name);
        let value = self.objects.get(&key).cloned();
        let mut object = Object::from(value.unwrap_or_else(|| missing(&kind, name)));
        change(&mut object);
        self.store(key, object.into_value());
    }

    /// Takes an object away.
    pub fn remove(&mut self, kind: &str, name: &str) {
        let key = self.key(&Kind::from(kind), None, name);
        self.forget(&key);
    }

    /// Adds a kind to what the cluster serves.
    pub fn serve(&mut self, group: &str, version: &str, kind: &str, plural: &str, namespaced: bool) {
        let verbs = ["get", "list", "watch", "create", "patch", "delete"];
        self.served.push(ServedKind {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
            plural: plural.into(),
            namespaced,
            verbs: verbs.map(str::to_owned).to_vec(),
        });
    }

    /// Who the user is.
    pub fn set_identity(&mut self, identity: Identity) {
        self.identity = identity;
    }

    /// The user may not: calls are forbidden and `can-i` says no. `*` is every verb.
    pub fn deny(&mut self, verb: &str, group: &str, resource: &str) {
        self.denied.push((verb.into(), group.into(), resource.into()));
    }

    /// Calls with this verb on this kind fail so: a webhook, a schema.
    pub fn fail(&mut self, verb: &str, kind: &str, error: Error) {
        self.failures.push((verb.into(), kind.into(), error));
    }

    /// Calls with this verb on this kind no longer fail.
    pub fn recover(&mut self, verb: &str, kind: &str) {
        self.failures.retain(|(failing, of, _)| failing != verb || of != kind);
    }

    /// The watches of this kind that are open now end so: expired, or cut off.
    pub fn break_watches(&mut self, kind: &str, error: Error) {
        self.version += 1;
        self.broken.push((self.version, kind.into(), error));
    }

    /// What the command writes of this kind becomes so, as by a mutating webhook.
    pub fn mutate(&mut self, kind: &str, webhook: impl Fn(&mut Object) + 'static) {
        self.webhooks.push((kind.into(), Box::new(webhook)));
    }

    /// Adds to the log of a container.
    pub fn log(&mut self, pod: &str, container: &str, text: &str) {
        self.logs.entry((pod.into(), container.into())).or_default().text.push_str(text);
    }

    /// The log of the container's run before its last restart.
    pub fn previous_log(&mut self, pod: &str, container: &str, text: &str) {
        self.logs.entry((pod.into(), container.into())).or_default().previous.push_str(text);
    }

    /// Nothing more comes.
    pub fn end_log(&mut self, pod: &str, container: &str) {
        self.logs.entry((pod.into(), container.into())).or_default().ended = true;
    }

    /// What the command changed, in order; dry runs too.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// How the command deleted, in the order of its deletes.
    pub fn deletions(&self) -> &[DeleteOptions] {
        &self.deletions
    }

    /// The object of this name, if there is one.
    pub fn object(&self, kind: &str, name: &str) -> Option<Object> {
        self.objects.get(&self.key(&Kind::from(kind), None, name)).cloned().map(Object::from)
    }

    /// Writes of this kind that have something at this pointer fail so: a schema without the field.
    pub fn fail_with(&mut self, kind: &str, pointer: &str, error: Error) {
        self.fields.push((kind.into(), pointer.into(), error));
    }

    fn check_fields(&self, kind: &Kind, body: &Value) -> Result<()> {
        let wrong = self.fields.iter().find(|(of, at, _)| *of == kind.kind && body.pointer(at).is_some());
        wrong.map_or(Ok(()), |(_, _, error)| Err(error.clone()))
    }

    pub(super) fn discover(&self, group: &str) -> Vec<ServedKind> {
        self.served.iter().filter(|served| served.group == group).cloned().collect()
    }

    pub(super) fn get(&self, object: &ObjectRef) -> Result<Value> {
        self.check("get", &object.kind)?;
        if let Some(subresource) = &object.subresource {
            let key = (object.kind.kind.clone(), object.name.clone(), subresource.clone());
            let found = self.below.get(&key).cloned();
            return found.ok_or_else(|| {
                Error::not_found(format!("no {subresource} of {} `{}`", object.kind.kind, object.name))
            });
        }
        let key = self.key(&object.kind, object.namespace.as_deref(), &object.name);
        self.objects.get(&key).cloned().ok_or_else(|| {
            Error::not_found(format!("no {} `{}` in {}", object.kind.kind, object.name, self.namespace))
        })
    }

    /// Pages as the API server does; the token is the position.
    pub(super) fn list(&self, what: &Selection, limit: Option<u32>, next: Option<&str>) -> Result<Page> {
        self.check("list", &what.kind)?;
        let start = next.and_then(|token| token.parse().ok()).unwrap_or(0);
        let limit = limit.map_or(usize::MAX, |limit| limit as usize);
        let mut rest = self
            .objects
            .iter()
            .filter(|(key, object)| self.selects(what, key, object))
            .map(|(_, object)| object.clone())
            .skip(start);
        let items: Vec<_> = rest.by_ref().take(limit).collect();
        let next = rest.next().map(|_| (start + items.len()).to_string());
        Ok(Page { items, next, resource_version: self.version.to_string() })
    }

    /// The changes after a version, and the version they lead to.
    pub(super) fn changes(&self, what: &Selection, after: u64) -> (Vec<Event>, u64) {
        let changes = self
            .changes
            .iter()
            .filter(|(version, key, event)| *version > after && self.selects(what, key, &event.object))
            .map(|(_, _, event)| event.clone())
            .collect();
        (changes, self.version)
    }

    /// How a watch that has seen so much broke, if it did.
    pub(super) fn break_of(&self, what: &Selection, after: u64) -> Option<Error> {
        let broken =
            self.broken.iter().find(|(version, kind, _)| *version > after && *kind == what.kind.kind);
        broken.map(|(_, _, error)| error.clone())
    }

    pub(super) fn create(
        &mut self,
        object: &ObjectRef,
        body: &Value,
        options: WriteOptions,
    ) -> Result<Value> {
        self.check("create", &object.kind)?;
        self.wrote("create", object, body, options.dry_run);
        self.check_fields(&object.kind, body)?;
        let key = self.key(&object.kind, object.namespace.as_deref(), &object.name);
        if self.objects.contains_key(&key) {
            let message = format!("{} `{}` exists already", object.kind.kind, object.name);
            return Err(Error::new(crate::ErrorCode::Conflict, message));
        }
        Ok(self.write(key, body.clone(), options.dry_run))
    }

    pub(super) fn apply(&mut self, object: &ObjectRef, body: &Value, options: WriteOptions) -> Result<Value> {
        self.check("patch", &object.kind)?;
        self.wrote("apply", object, body, options.dry_run);
        self.check_fields(&object.kind, body)?;
        let key = self.key(&object.kind, object.namespace.as_deref(), &object.name);
        let mut merged = self.objects.get(&key).cloned().unwrap_or(Value::Null);
        merge(&mut merged, body);
        Ok(self.write(key, merged, options.dry_run))
    }

    pub(super) fn patch(
        &mut self,
        object: &ObjectRef,
        kind: PatchKind,
        body: &Value,
        options: WriteOptions,
    ) -> Result<Value> {
        self.check("patch", &object.kind)?;
        self.wrote("patch", object, body, options.dry_run);
        self.check_fields(&object.kind, body)?;
        if kind == PatchKind::Json {
            return Err(Error::unsupported("the fake cluster knows merge patches only"));
        }
        // A patch of what is below an object changes the object.
        let mut merged = self.get(&ObjectRef { subresource: None, ..object.clone() })?;
        merge(&mut merged, body);
        let key = self.key(&object.kind, object.namespace.as_deref(), &object.name);
        Ok(self.write(key, merged, options.dry_run))
    }

    pub(super) fn delete(&mut self, object: &ObjectRef, options: &DeleteOptions) -> Result<()> {
        self.check("delete", &object.kind)?;
        self.get(object)?;
        self.wrote("delete", object, &Value::Null, options.dry_run);
        if !options.dry_run {
            self.deletions.push(options.clone());
            let key = self.key(&object.kind, object.namespace.as_deref(), &object.name);
            self.forget(&key);
        }
        Ok(())
    }

    pub(super) fn can_i(&self, questions: &[Access]) -> Vec<Verdict> {
        questions
            .iter()
            .map(|question| Verdict {
                allowed: !self.is_denied(&question.verb, &question.group, &question.resource),
                reason: None,
            })
            .collect()
    }

    /// Refuses as the API server would: an unknown kind is not found, a denied verb forbidden.
    pub(super) fn check(&self, verb: &str, kind: &Kind) -> Result<()> {
        let served = self.find_served(&kind.group, &kind.kind).ok_or_else(|| {
            let group = if kind.group.is_empty() { "core" } else { &kind.group };
            Error::not_found(format!("the cluster does not serve {} of {group}", kind.kind))
        })?;
        if self.is_denied(verb, &served.group, &served.plural) {
            return Err(Error::forbidden(format!(
                "you may not {verb} {} in {}",
                served.plural, self.namespace
            )));
        }
        match self.failures.iter().find(|(failing, of, _)| failing == verb && *of == kind.kind) {
            Some((_, _, error)) => Err(error.clone()),
            None => Ok(()),
        }
    }

    pub(super) fn is_denied(&self, verb: &str, group: &str, resource: &str) -> bool {
        self.denied.iter().any(|(denied, of, plural)| {
            (denied == "*" || denied == verb) && of == group && plural == resource
        })
    }

    fn find_served(&self, group: &str, kind: &str) -> Option<&ServedKind> {
        self.served.iter().find(|served| served.group == group && served.kind == kind)
    }

    #[expect(clippy::panic, reason = "only tests reach it, and it is the test that is wrong")]
    fn must_serve(&self, group: &str, kind: &str) -> ServedKind {
        match self.find_served(group, kind) {
            Some(served) => served.clone(),
            None => panic!("the test puts a {kind} of group `{group}` there, but does not serve it"),
        }
    }

    fn key(&self, kind: &Kind, namespace: Option<&str>, name: &str) -> Key {
        let namespaced = self.find_served(&kind.group, &kind.kind).is_none_or(|served| served.namespaced);
        let namespace = if namespaced { namespace.unwrap_or(&self.namespace) } else { "" };
        (kind.group.clone(), kind.kind.clone(), namespace.to_owned(), name.to_owned())
    }

    fn selects(&self, what: &Selection, key: &Key, object: &Value) -> bool {
        let (group, kind, namespace, _) = key;
        let wanted = what.namespace.as_deref().unwrap_or(&self.namespace);
        let object = Object::from(object.clone());
        *group == what.kind.group
            && *kind == what.kind.kind
            && (namespace.is_empty() || what.everywhere || namespace == wanted)
            && requirements(what.labels.as_deref()).all(|(name, value)| object.label(name) == Some(value))
            && requirements(what.fields.as_deref())
                .all(|(path, value)| object.str(&format!("/{}", path.replace('.', "/"))) == Some(value))
    }

    fn wrote(&mut self, verb: &'static str, object: &ObjectRef, body: &Value, dry_run: bool) {
        self.writes.push(Write { verb, object: object.clone(), body: body.clone(), dry_run });
    }

    fn write(&mut self, key: Key, object: Value, dry_run: bool) -> Value {
        let mut object = Object::from(object);
        self.webhooks.iter().filter(|(kind, _)| *kind == key.1).for_each(|(_, webhook)| webhook(&mut object));
        let object = object.into_value();
        if dry_run {
            return object;
        }
        self.store(key.clone(), object);
        self.objects.get(&key).cloned().unwrap_or_default()
    }

    fn store(&mut self, key: Key, object: Value) {
        self.version += 1;
        let mut object = Object::from(object);
        if !key.2.is_empty() {
            object.set("/metadata/namespace", key.2.as_str());
        }
        if object.uid().is_none() {
            object.set("/metadata/uid", format!("uid-{}", self.version));
        }
        object.set("/metadata/resourceVersion", self.version.to_string());
        let object = object.into_value();
        let before = self.objects.insert(key.clone(), object.clone());
        let kind = if before.is_some() { EventKind::Modified } else { EventKind::Added };
        self.changes.push((self.version, key, Event { kind, object }));
    }

    fn forget(&mut self, key: &Key) {
        if let Some(object) = self.objects.remove(key) {
            self.version += 1;
            self.changes.push((self.version, key.clone(), Event { kind: EventKind::Deleted, object }));
        }
    }
}

#[expect(clippy::panic, reason = "only tests reach it, and it is the test that is wrong")]
fn missing(kind: &Kind, name: &str) -> Value {
    panic!("the test changes {} `{name}`, which is not there", kind.kind)
}

/// The `key=value` terms of a selector; other operators are not needed here.
fn requirements(selector: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
    selector.unwrap_or_default().split(',').filter_map(|term| {
        let (name, value) = term.split_once('=')?;
        Some((name, value.trim_start_matches('=')))
    })
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
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
