use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Document;
use crate::border::Kind;
use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// A Kubernetes object as the JSON document it is.
///
/// Fields are read by [RFC 6901](https://www.rfc-editor.org/rfc/rfc6901) pointers; what is absent
/// or of another type reads as absent.
///
/// ```
/// use kf_plugin_sdk::prelude::*;
/// use serde_json::json;
///
/// let pod = Object::from(json!({
///     "kind": "Pod",
///     "metadata": { "name": "mnist-0" },
///     "status": { "phase": "Running", "containerStatuses": [{ "restartCount": 2 }] },
/// }));
/// assert_eq!(pod.str("/status/phase"), Some("Running"));
/// assert_eq!(pod.int("/status/containerStatuses/0/restartCount"), Some(2));
/// assert_eq!(pod.str("/status/reason"), None);
/// ```
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Object(Value);

/// One of an object's `status.conditions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition<'a> {
    pub kind: &'a str,
    /// `True`, `False` or `Unknown`.
    pub status: &'a str,
    pub reason: &'a str,
    pub message: &'a str,
}

impl Object {
    /// An object with nothing but its kind and name. The host fills in the version it prefers.
    pub fn new(kind: &Kind, name: &str) -> Self {
        let mut object = Self(Value::Object(Map::new()));
        if let Some(version) = &kind.version {
            let api_version = match kind.group.as_str() {
                "" => version.clone(),
                group => format!("{group}/{version}"),
            };
            object.set("/apiVersion", api_version);
        }
        object.set("/kind", kind.kind.as_str());
        object.set("/metadata/name", name);
        object
    }

    /// The document.
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// The document, taken out.
    pub fn into_value(self) -> Value {
        self.0
    }

    /// What is at a pointer.
    pub fn at(&self, pointer: &str) -> Option<&Value> {
        self.0.pointer(pointer)
    }

    /// The text at a pointer.
    pub fn str(&self, pointer: &str) -> Option<&str> {
        self.at(pointer)?.as_str()
    }

    /// The number at a pointer.
    pub fn int(&self, pointer: &str) -> Option<i64> {
        self.at(pointer)?.as_i64()
    }

    /// The boolean at a pointer.
    pub fn bool(&self, pointer: &str) -> Option<bool> {
        self.at(pointer)?.as_bool()
    }

    /// The elements of the list at a pointer; none if there is no list.
    pub fn list(&self, pointer: &str) -> &[Value] {
        self.at(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The time at a pointer, written as Kubernetes writes times.
    pub fn time(&self, pointer: &str) -> Option<Timestamp> {
        Timestamp::parse(self.str(pointer)?)
    }

    /// Puts a value at a pointer; objects on the way are made. A step into something that is not
    /// an object replaces it.
    pub fn set(&mut self, pointer: &str, value: impl Into<Value>) {
        let mut place = &mut self.0;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            let Value::Object(fields) = place else { return };
            place = fields.entry(step).or_insert(Value::Null);
        }
        *place = value.into();
    }

    pub fn name(&self) -> &str {
        self.str("/metadata/name").unwrap_or_default()
    }

    pub fn namespace(&self) -> Option<&str> {
        self.str("/metadata/namespace")
    }

    pub fn uid(&self) -> Option<&str> {
        self.str("/metadata/uid")
    }

    /// The kind's name, such as `Pod`.
    pub fn kind(&self) -> &str {
        self.str("/kind").unwrap_or_default()
    }

    /// The group of its `apiVersion`; empty for the core group.
    pub fn group(&self) -> &str {
        self.str("/apiVersion").and_then(|version| version.rsplit_once('/')).map_or("", |(group, _)| group)
    }

    /// When it was created.
    pub fn created(&self) -> Option<Timestamp> {
        self.time("/metadata/creationTimestamp")
    }

    /// Whether it is the answer to a write that stored nothing: with the user's `--dry-run`, or with
    /// [`WriteOptions::CHECK_ONLY`](crate::border::WriteOptions::CHECK_ONLY). There is no such object in the cluster.
    pub fn is_dry_run(&self) -> bool {
        self.bool("/metadata/dryRun") == Some(true)
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        self.at("/metadata/labels")?.get(key)?.as_str()
    }

    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.at("/metadata/annotations")?.get(key)?.as_str()
    }

    /// Kind and name of the owner that controls it.
    pub fn controller(&self) -> Option<(&str, &str)> {
        let owner = self.controlling_owner()?;
        Some((owner.get("kind")?.as_str()?, owner.get("name")?.as_str()?))
    }

    /// The uid of that owner: another object may have its name by now.
    pub fn controller_uid(&self) -> Option<&str> {
        self.controlling_owner()?.get("uid")?.as_str()
    }

    fn controlling_owner(&self) -> Option<&Value> {
        let owners = self.list("/metadata/ownerReferences");
        owners.iter().find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))
    }

    /// The condition of this type, whatever its status.
    pub fn condition(&self, kind: &str) -> Option<Condition<'_>> {
        self.conditions().find(|condition| condition.kind == kind)
    }

    /// Whether the condition of this type has the status `True`.
    pub fn condition_holds(&self, kind: &str) -> bool {
        self.condition(kind).is_some_and(|condition| condition.status == "True")
    }

    /// All conditions that name their type.
    pub fn conditions(&self) -> impl Iterator<Item = Condition<'_>> {
        self.list("/status/conditions").iter().filter_map(|condition| {
            let text = |field: &str| condition.get(field).and_then(Value::as_str);
            Some(Condition {
                kind: text("type")?,
                status: text("status").unwrap_or("Unknown"),
                reason: text("reason").unwrap_or_default(),
                message: text("message").unwrap_or_default(),
            })
        })
    }
}

/// As kf names objects: `trainjob/mnist`.
impl fmt::Display for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.kind().to_lowercase(), self.name())
    }
}

impl From<Value> for Object {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Document for Object {
    fn from_value(value: Value) -> Result<Self> {
        match value {
            Value::Object(_) => Ok(Self(value)),
            _ => Err(Error::invalid("an object is expected, the document is something else")),
        }
    }

    fn to_value(&self) -> Result<Value> {
        Ok(self.0.clone())
    }
}
