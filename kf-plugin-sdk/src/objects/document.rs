use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Document;
use crate::abi::Kind;
use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// A Kubernetes object as a JSON document.
///
/// Fields are read by JSON pointers ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)). A field of another type reads
/// as absent.
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

/// A condition in `status.conditions` of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition<'a> {
    pub kind: &'a str,
    /// `True`, `False` or `Unknown`.
    pub status: &'a str,
    pub reason: &'a str,
    pub message: &'a str,
}

impl Object {
    /// Creates an object with only a kind and a name. The host fills in the preferred version.
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

    /// Returns the document.
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// Converts it into the document.
    pub fn into_value(self) -> Value {
        self.0
    }

    /// Returns the value at a pointer.
    pub fn at(&self, pointer: &str) -> Option<&Value> {
        self.0.pointer(pointer)
    }

    /// Returns the string at a pointer.
    pub fn str(&self, pointer: &str) -> Option<&str> {
        self.at(pointer)?.as_str()
    }

    /// Returns the integer at a pointer.
    pub fn int(&self, pointer: &str) -> Option<i64> {
        self.at(pointer)?.as_i64()
    }

    /// Returns the boolean at a pointer.
    pub fn bool(&self, pointer: &str) -> Option<bool> {
        self.at(pointer)?.as_bool()
    }

    /// Returns the items of the list at a pointer; empty if there is no list.
    pub fn list(&self, pointer: &str) -> &[Value] {
        self.at(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Returns the RFC 3339 time at a pointer.
    pub fn time(&self, pointer: &str) -> Option<Timestamp> {
        Timestamp::parse(self.str(pointer)?)
    }

    /// Sets the value at a pointer, creating objects on the path. A value on the path that is not an object is
    /// replaced.
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

    /// Returns its name; empty if it has none.
    pub fn name(&self) -> &str {
        self.str("/metadata/name").unwrap_or_default()
    }

    /// Returns its namespace.
    pub fn namespace(&self) -> Option<&str> {
        self.str("/metadata/namespace")
    }

    /// Returns its uid.
    pub fn uid(&self) -> Option<&str> {
        self.str("/metadata/uid")
    }

    /// Returns its kind, such as `Pod`.
    pub fn kind(&self) -> &str {
        self.str("/kind").unwrap_or_default()
    }

    /// Returns the group of its `apiVersion`; empty for the core group.
    pub fn group(&self) -> &str {
        self.str("/apiVersion").and_then(|version| version.rsplit_once('/')).map_or("", |(group, _)| group)
    }

    /// Returns when it was created.
    pub fn created(&self) -> Option<Timestamp> {
        self.time("/metadata/creationTimestamp")
    }

    /// Returns whether it is the result of a dry run, requested by `--dry-run` or
    /// [`WriteOptions::DRY_RUN`](crate::abi::WriteOptions::DRY_RUN), and not stored in the cluster.
    pub fn is_dry_run(&self) -> bool {
        self.bool("/metadata/dryRun") == Some(true)
    }

    /// Returns the value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.at("/metadata/labels")?.get(key)?.as_str()
    }

    /// Returns the value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.at("/metadata/annotations")?.get(key)?.as_str()
    }

    /// Returns the kind and name of its controlling owner.
    pub fn controller(&self) -> Option<(&str, &str)> {
        let owner = self.controlling_owner()?;
        Some((owner.get("kind")?.as_str()?, owner.get("name")?.as_str()?))
    }

    /// Returns the uid of its controlling owner, as another object may have the same name.
    pub fn controller_uid(&self) -> Option<&str> {
        self.controlling_owner()?.get("uid")?.as_str()
    }

    fn controlling_owner(&self) -> Option<&Value> {
        let owners = self.list("/metadata/ownerReferences");
        owners.iter().find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))
    }

    /// Returns the condition of a type, with any status.
    pub fn condition(&self, kind: &str) -> Option<Condition<'_>> {
        self.conditions().find(|condition| condition.kind == kind)
    }

    /// Returns whether the condition of a type has the status `True`.
    pub fn condition_holds(&self, kind: &str) -> bool {
        self.condition(kind).is_some_and(|condition| condition.status == "True")
    }

    /// Iterates over the conditions that have a type.
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

/// Formats as `trainjob/mnist`.
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
            _ => Err(Error::invalid("the document is not a JSON object")),
        }
    }

    fn to_value(&self) -> Result<Value> {
        Ok(self.0.clone())
    }
}
