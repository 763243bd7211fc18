//! The fake cluster, and how tests change it.

use std::collections::BTreeMap;

use kf_core::kinds::{Served, built_in};
use kf_core::names::{Group, KindName, NameError, Plural, Version};
use serde_json::Value;

use super::manifest::Rights;
use crate::abi::{DeleteOptions, Event, EventKind, Identity, Kind, ObjectRef, ServedKind};
use crate::error::Error;
use crate::objects::Object;

/// Group, kind, namespace, name. The namespace of cluster-scoped objects is empty.
pub(super) type Key = (String, String, String, String);

type Webhook = Box<dyn Fn(&mut Object)>;

/// A write call of the command.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// `create`, `apply`, `patch` or `delete`.
    pub verb: &'static str,
    pub object: ObjectRef,
    /// Null for a delete.
    pub body: Value,
    pub dry_run: bool,
}

/// A cluster in memory: its objects, served kinds, permissions and logs.
#[derive(Default)]
pub struct FakeCluster {
    /// The namespace of the run.
    pub(super) namespace: String,
    /// The permissions of the command's manifest; if absent, no call is refused for a missing rule.
    pub(super) rights: Option<Rights>,
    pub(super) objects: BTreeMap<Key, Value>,
    pub(super) served: Vec<ServedKind>,
    pub(super) version: u64,
    /// All changes, with their resource versions.
    pub(super) changes: Vec<(u64, Key, Event)>,
    pub(super) identity: Identity,
    /// The error for requests of the user's identity.
    pub(super) hidden_identity: Option<Error>,
    pub(super) denied: Vec<(String, String, String)>,
    pub(super) failures: Vec<(String, String, Error)>,
    /// The versions at which watches of a kind broke, with the errors.
    pub(super) broken: Vec<(u64, String, Error)>,
    /// The number of requests for later pages of a kind's lists that still expire.
    pub(super) expired: BTreeMap<String, u32>,
    /// Fields that writes of a kind must not have: kind, pointer and error.
    pub(super) fields: Vec<(String, String, Error)>,
    pub(super) writes: Vec<Write>,
    /// The mutating webhooks of a kind.
    pub(super) webhooks: Vec<(String, Webhook)>,
    pub(super) deletions: Vec<DeleteOptions>,
    /// The subresources, by kind, object name and subresource name.
    pub(super) below: BTreeMap<(String, String, String), Value>,
    pub(super) logs: BTreeMap<(String, String), FakeLog>,
}

/// The log of a container, open until [`FakeCluster::end_log`].
#[derive(Clone, Debug, Default)]
pub(super) struct FakeLog {
    pub(super) text: String,
    pub(super) previous: String,
    pub(super) ended: bool,
    pub(super) gone: Option<Error>,
}

impl FakeCluster {
    pub(super) fn new(namespace: &str) -> Self {
        Self { namespace: namespace.into(), ..Self::default() }
    }

    /// Adds or replaces an object. The default namespace is the run's, unless the kind is cluster-scoped.
    ///
    /// # Panics
    ///
    /// Panics if the object has no kind or name, or its kind is not served.
    pub fn put(&mut self, object: impl Into<Value>) {
        let object = Object::from(object.into());
        let served = self.must_serve(object.group(), object.kind());
        let namespace = match served.namespaced {
            true => object.namespace().unwrap_or(&self.namespace).to_owned(),
            false => String::new(),
        };
        assert!(!object.name().is_empty(), "the object has no name: {object:?}");
        let key = (served.group.into(), served.kind.into(), namespace, object.name().to_owned());
        self.store(key, object.into_value());
    }

    /// Adds a subresource of an object, such as `scale`.
    pub fn put_subresource(&mut self, kind: &str, name: &str, subresource: &str, document: impl Into<Value>) {
        let key = (Kind::from(kind).kind, name.to_owned(), subresource.to_owned());
        self.below.insert(key, document.into());
    }

    /// Changes an object.
    ///
    /// # Panics
    ///
    /// Panics if it does not exist.
    pub fn change(&mut self, kind: &str, name: &str, change: impl FnOnce(&mut Object)) {
        let kind = Kind::from(kind);
        let key = self.key(&kind, None, name);
        let value = self.objects.get(&key).cloned();
        let mut object = Object::from(value.unwrap_or_else(|| missing(&kind, name)));
        change(&mut object);
        self.store(key, object.into_value());
    }

    /// Removes an object.
    pub fn remove(&mut self, kind: &str, name: &str) {
        let key = self.key(&Kind::from(kind), None, name);
        self.forget(&key);
    }

    /// Serves a kind.
    pub fn serve(&mut self, group: &str, version: &str, kind: &str, plural: &str, namespaced: bool) {
        let verbs = ["get", "list", "watch", "create", "patch", "delete"];
        self.served.push(ServedKind {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
            plural: plural.into(),
            namespaced,
            verbs: verbs.map(str::to_owned).to_vec(),
            short_names: Vec::new(),
        });
    }

    /// Adds a short name, such as `tj`, to a served kind.
    pub fn serve_short_name(&mut self, kind: &str, short: &str) {
        let of_kind = self.served.iter_mut().filter(|served| served.kind == kind);
        of_kind.for_each(|served| served.short_names.push(short.to_owned()));
    }

    /// Sets the identity of the user.
    pub fn set_identity(&mut self, identity: Identity) {
        self.identity = identity;
    }

    /// Fails requests of the user's identity with this error.
    pub fn hide_identity(&mut self, why: Error) {
        self.hidden_identity = Some(why);
    }

    /// Denies the user a permission: calls are forbidden, and [`Kf::can_i`](crate::Kf::can_i) returns false. `*` is every
    /// verb; the resource is the plural, with any subresource after a slash.
    pub fn deny(&mut self, verb: &str, group: &str, resource: &str) {
        self.denied.push((verb.into(), group.into(), resource.into()));
    }

    /// Fails calls with this verb on a kind, or on a subresource as in `Pod/log`. The verb `dry-run` is every create and
    /// apply that is a dry run, and `store` every one that is not.
    pub fn fail(&mut self, verb: &str, kind: &str, error: Error) {
        self.failures.push((verb.into(), kind.into(), error));
    }

    /// Expires the next requests for later pages of a kind's lists, up to this number.
    pub fn expire_pages(&mut self, kind: &str, pages: u32) {
        self.expired.insert(kind.into(), pages);
    }

    /// Stops failing calls with this verb on a kind.
    pub fn recover(&mut self, verb: &str, kind: &str) {
        self.failures.retain(|(failing, of, _)| failing != verb || of != kind);
    }

    /// Ends the open watches of a kind with this error, such as expired or disconnected.
    pub fn break_watches(&mut self, kind: &str, error: Error) {
        self.version += 1;
        self.broken.push((self.version, kind.into(), error));
    }

    /// Adds a mutating webhook for writes of a kind.
    pub fn mutate(&mut self, kind: &str, webhook: impl Fn(&mut Object) + 'static) {
        self.webhooks.push((kind.into(), Box::new(webhook)));
    }

    /// Appends to the log of a container.
    pub fn log(&mut self, pod: &str, container: &str, text: &str) {
        self.logs.entry((pod.into(), container.into())).or_default().text.push_str(text);
    }

    /// Appends to the log of the run before the last restart.
    pub fn previous_log(&mut self, pod: &str, container: &str, text: &str) {
        self.logs.entry((pod.into(), container.into())).or_default().previous.push_str(text);
    }

    /// Ends the log of a container.
    pub fn end_log(&mut self, pod: &str, container: &str) {
        self.logs.entry((pod.into(), container.into())).or_default().ended = true;
    }

    /// Makes the log of a container fail after it was opened, as for a container that its node has removed.
    pub fn lose_log(&mut self, pod: &str, container: &str) {
        let log = self.logs.entry((pod.into(), container.into())).or_default();
        log.gone = Some(Error::not_found("the container is no longer on its node"));
    }

    /// Returns the writes of the command in order, including dry runs.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// Returns the options of the deletes of the command, in order.
    pub fn deletions(&self) -> &[DeleteOptions] {
        &self.deletions
    }

    /// Returns the objects of a kind in the namespace of the run, sorted by name.
    pub fn objects(&self, kind: &str) -> Vec<Object> {
        let (group, kind, namespace, _) = self.key(&Kind::from(kind), None, "");
        let of_kind = |key: &Key| key.0 == group && key.1 == kind && key.2 == namespace;
        self.objects.iter().filter(|(key, _)| of_kind(key)).map(|(_, it)| it.clone().into()).collect()
    }

    /// Returns an object by name, if it exists.
    pub fn object(&self, kind: &str, name: &str) -> Option<Object> {
        self.objects.get(&self.key(&Kind::from(kind), None, name)).cloned().map(Object::from)
    }

    /// Fails writes of a kind that have a value at this pointer, as a schema without the field would.
    pub fn fail_field(&mut self, kind: &str, pointer: &str, error: Error) {
        self.fields.push((kind.into(), pointer.into(), error));
    }

    /// Resolves a kind as kf does: built-in kinds are known in advance, and the case of a kind is ignored.
    pub(super) fn resolve(
        &self,
        group: &Group,
        version: Option<&Version>,
        kind: &KindName,
    ) -> Option<Served> {
        built_in(group, version, kind).or_else(|| {
            let fits = |served: &&ServedKind| {
                served.group == group.as_str() && version.is_none_or(|it| served.version == it.as_str())
            };
            let mut served = self.served.iter().filter(fits);
            let found = served.clone().find(|served| served.kind == kind.as_str());
            parsed(found.or_else(|| served.find(|it| it.kind.eq_ignore_ascii_case(kind.as_str())))?).ok()
        })
    }

    fn find_served(&self, group: &str, kind: &str) -> Option<Served> {
        self.resolve(&Group::parse(group).ok()?, None, &KindName::parse(kind).ok()?)
    }

    #[expect(clippy::panic, reason = "only tests reach it, and it is the test that is wrong")]
    fn must_serve(&self, group: &str, kind: &str) -> Served {
        match self.find_served(group, kind) {
            Some(served) => served,
            None => {
                panic!("the test adds a {kind} of group `{group}`, which the fake cluster does not serve")
            }
        }
    }

    pub(super) fn key(&self, kind: &Kind, namespace: Option<&str>, name: &str) -> Key {
        let served = self.find_served(&kind.group, &kind.kind);
        let namespaced = served.as_ref().is_none_or(|served| served.namespaced);
        let namespace = if namespaced { namespace.unwrap_or(&self.namespace) } else { "" };
        let kind_name = served.map_or_else(|| kind.kind.clone(), |served| served.kind.to_string());
        (kind.group.clone(), kind_name, namespace.to_owned(), name.to_owned())
    }

    pub(super) fn store(&mut self, key: Key, object: Value) {
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

    pub(super) fn forget(&mut self, key: &Key) {
        if let Some(object) = self.objects.remove(key) {
            self.version += 1;
            self.changes.push((self.version, key.clone(), Event { kind: EventKind::Deleted, object }));
        }
    }
}

fn parsed(served: &ServedKind) -> Result<Served, NameError> {
    Ok(Served {
        group: Group::parse(served.group.as_str())?,
        version: Version::parse(served.version.as_str())?,
        kind: KindName::parse(served.kind.as_str())?,
        plural: Plural::parse(served.plural.as_str())?,
        namespaced: served.namespaced,
    })
}

#[expect(clippy::panic, reason = "only tests reach it, and it is the test that is wrong")]
fn missing(kind: &Kind, name: &str) -> Value {
    panic!("the test changes {} `{name}`, which does not exist", kind.kind)
}
