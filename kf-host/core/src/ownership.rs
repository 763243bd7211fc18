//! Finds fields of other managers that a write would take over.
//!
//! The API server records in `metadata.managedFields` which manager set which field. Server-side apply without
//! `force` respects that; the other patches change any field. With this module, a command without the right to take
//! over fields is refused for every kind of patch.
//!
//! If only the schema could decide, a field counts as taken.

use serde_json::{Map, Value};

use crate::api::PatchKind;

/// What is written.
#[derive(Clone, Copy, Debug)]
pub enum Write<'b> {
    /// Server-side apply.
    Apply(&'b Value),
    Patch(PatchKind, &'b Value),
}

/// Whether a field that keeps its value counts as taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Only a changed field is taken.
    Compared,
    /// Every named field is taken, so that the result does not depend on the values.
    Ignored,
}

/// A field of another manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// `spec.containers[0].image`
    pub path: String,
    pub manager: String,
}

/// The first field that the write would take from each other manager. `live` is the object in the cluster,
/// `manager` the field manager of the write.
pub fn taken(write: Write<'_>, live: &Value, manager: &str, values: Values) -> Vec<Taken> {
    let is_apply = matches!(write, Write::Apply(_));
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array);
    let owners: Vec<Owned<'_>> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let text = |field: &str| entry.get(field).and_then(Value::as_str);
            let name = text("manager").unwrap_or("unknown");
            // An apply competes even with updates of its own manager.
            let is_own = name == manager && (!is_apply || text("operation") == Some("Apply"));
            let fields = entry.get("fieldsV1")?;
            (!is_own).then_some(Owned { manager: name, fields })
        })
        .collect();
    let mut search = Search { values, merges_lists: false, found: Vec::new() };
    match write {
        Write::Patch(PatchKind::Json, operations) => {
            for operation in operations.as_array().into_iter().flatten() {
                search.operation(operation, live, &owners);
            }
        }
        Write::Patch(PatchKind::Merge, body) => search.merge("", body, Some(live), &owners),
        Write::Patch(PatchKind::Strategic, body) | Write::Apply(body) => {
            search.merges_lists = true;
            search.merge("", body, Some(live), &owners);
        }
    }
    search.found
}

/// A manager's fields below one node of the object.
#[derive(Clone, Copy)]
struct Owned<'l> {
    manager: &'l str,
    /// A node of `fieldsV1`: `f:` and the name of a field, `k:` and the keys of a list's item, `v:` and an item.
    fields: &'l Value,
}

impl<'l> Owned<'l> {
    fn field(&self, name: &str) -> Option<Self> {
        let fields = self.fields.get(format!("f:{name}"))?;
        Some(Self { fields, ..*self })
    }

    /// Whether the value is owned as a whole.
    fn is_leaf(&self) -> bool {
        self.fields.as_object().is_none_or(Map::is_empty)
    }

    /// The nodes of the list items that this one could be merged into, with their keys. A strategic merge patch finds
    /// an item by one key. Managers may record several keys, and the item may omit those with a default.
    fn items(&self, item: &Map<String, Value>) -> Vec<(Self, Map<String, Value>)> {
        let nodes = self.fields.as_object().into_iter().flatten();
        let keyed = nodes.filter_map(|(name, fields)| {
            let keys: Map<String, Value> = serde_json::from_str(name.strip_prefix("k:")?).ok()?;
            Some((Self { fields, ..*self }, keys))
        });
        let may_match = |keys: &Map<String, Value>| {
            let is_same = |key: &str| item.get(key).is_none_or(|has| Some(has) == keys.get(key));
            match MERGE_KEYS.into_iter().find(|key| keys.contains_key(*key)) {
                Some(key) => is_same(key),
                None => keys.keys().any(|key| is_same(key)),
            }
        };
        keyed.filter(|(_, keys)| may_match(keys)).collect()
    }
}

/// The keys by which Kubernetes' own kinds merge lists.
const MERGE_KEYS: [&str; 8] =
    ["name", "containerPort", "port", "mountPath", "devicePath", "ip", "topologyKey", "type"];

struct Search {
    values: Values,
    /// Strategic merge patches and server-side apply merge lists by the keys of their items.
    merges_lists: bool,
    found: Vec<Taken>,
}

impl Search {
    fn take(&mut self, path: &str, owners: &[Owned<'_>]) {
        for owner in owners {
            if self.found.iter().all(|taken| taken.manager != owner.manager) {
                self.found.push(Taken { path: path.to_owned(), manager: owner.manager.to_owned() });
            }
        }
    }

    fn merge(&mut self, path: &str, patch: &Value, live: Option<&Value>, owners: &[Owned<'_>]) {
        if owners.is_empty() || (self.values == Values::Compared && changes_nothing(patch, live)) {
            return;
        }
        match (patch, live) {
            (Value::Object(fields), None | Some(Value::Object(_))) => {
                if fields.keys().any(|name| name.starts_with('$')) {
                    return self.take(path, owners);
                }
                let (whole, parts) = atomic(owners, live);
                if !fields.is_empty() {
                    self.take(path, &whole);
                }
                for (name, value) in fields {
                    let below: Vec<_> = parts.iter().filter_map(|owner| owner.field(name)).collect();
                    self.merge(&joined(path, name), value, live.and_then(|live| live.get(name)), &below);
                }
            }
            (Value::Array(items), None | Some(Value::Array(_)))
                if self.merges_lists && items.iter().all(Value::is_object) =>
            {
                let (whole, parts) = atomic(owners, live);
                self.take(path, &whole);
                for (at, item) in items.iter().enumerate() {
                    let Value::Object(fields) = item else { continue };
                    for (node, keys) in parts.iter().flat_map(|owner| owner.items(fields)) {
                        let live = live.and_then(Value::as_array).into_iter().flatten();
                        let live = live.into_iter().find(|live| has_keys(live, &keys));
                        self.merge(&format!("{path}[{at}]"), item, live, &[node]);
                    }
                }
            }
            _ => self.take(path, owners),
        }
    }

    fn operation(&mut self, operation: &Value, live: &Value, owners: &[Owned<'_>]) {
        let text = |field: &str| operation.get(field).and_then(Value::as_str);
        let value = match text("op") {
            Some("test") => return,
            Some("add" | "replace") => operation.get("value"),
            _ => None,
        };
        if let Some(pointer) = text("path") {
            self.pointer(pointer, value, live, owners);
        }
        if let Some(pointer) = text("from").filter(|_| text("op") != Some("copy")) {
            self.pointer(pointer, None, live, owners);
        }
    }

    fn pointer(&mut self, pointer: &str, value: Option<&Value>, live: &Value, owners: &[Owned<'_>]) {
        let (mut owners, mut live, mut path) = (owners.to_vec(), Some(live), String::new());
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let (whole, parts) = atomic(&owners, live);
            if !whole.is_empty() {
                return self.take(&path, &whole);
            }
            if matches!(live, Some(Value::Array(_))) {
                // The item at an index depends on earlier operations; an added item has no owner.
                if step != "-" {
                    self.take(&path, &parts);
                }
                return;
            }
            path = joined(&path, &step);
            owners = parts.iter().filter_map(|owner| owner.field(&step)).collect();
            live = live.and_then(|live| live.get(&step));
        }
        if self.values == Values::Ignored || value.is_none() || value != live {
            self.take(&path, &owners);
        }
    }
}

/// The owners of the whole value, and those of its parts. An empty value has no parts yet.
fn atomic<'l>(owners: &[Owned<'l>], live: Option<&Value>) -> (Vec<Owned<'l>>, Vec<Owned<'l>>) {
    let is_empty = match live {
        None | Some(Value::Null) => true,
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    };
    owners.iter().partition(|owner| owner.is_leaf() && !is_empty)
}

/// Whether merging leaves the value unchanged.
fn changes_nothing(patch: &Value, live: Option<&Value>) -> bool {
    match (patch, live) {
        (Value::Null, live) => live.is_none_or(Value::is_null),
        (Value::Object(fields), Some(Value::Object(live))) => fields
            .iter()
            .all(|(name, value)| !name.starts_with('$') && changes_nothing(value, live.get(name))),
        (patch, live) => live == Some(patch),
    }
}

fn has_keys(item: &Value, keys: &Map<String, Value>) -> bool {
    keys.iter().all(|(key, value)| item.get(key) == Some(value))
}

fn joined(path: &str, name: &str) -> String {
    let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    match (path.is_empty(), is_plain) {
        (true, true) => name.to_owned(),
        (false, true) => format!("{path}.{name}"),
        (_, false) => format!("{path}[{name}]"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live() -> Value {
        json!({
            "metadata": {
                "labels": {"a": "1", "b": "2"},
                "managedFields": [
                    {"manager": "kubectl", "operation": "Update", "fieldsV1": {
                        "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
                        "f:spec": {
                            "f:replicas": {},
                            "f:selector": {},
                            "f:containers": {"k:{\"name\":\"web\"}": {
                                ".": {}, "f:name": {}, "f:image": {},
                                "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":
                                    {".": {}, "f:containerPort": {}, "f:protocol": {}}},
                            }},
                        },
                    }},
                    {"manager": "kf-x", "operation": "Apply",
                     "fieldsV1": {"f:metadata": {"f:labels": {"f:b": {}}}}},
                    {"manager": "kf-x", "operation": "Update", "fieldsV1": {"f:spec": {"f:paused": {}}}},
                ],
            },
            "spec": {
                "replicas": 1, "paused": false, "selector": {"app": "web"},
                "containers": [{"name": "web", "image": "a", "ports": [{"containerPort": 80, "protocol": "TCP"}]}],
            },
        })
    }

    fn paths(write: Write<'_>, values: Values) -> Vec<String> {
        taken(write, &live(), "kf-x", values).into_iter().map(|taken| taken.path).collect()
    }

    #[test]
    fn patch_takes_only_fields_of_other_managers() {
        for (patch, expected) in [
            (json!({"spec": {"replicas": 2}}), Some("spec.replicas")),
            (json!({"spec": {"replicas": null}}), Some("spec.replicas")),
            (json!({"spec": {"replicas": 1}}), None),
            (json!({"spec": {"paused": true}}), None),
            (json!({"spec": {"new": true}}), None),
            (json!({"spec": {"absent": null}}), None),
            (json!({"spec": null}), Some("spec")),
            (json!({"spec": 7}), Some("spec")),
            (json!({"spec": {"selector": {"app": "other"}}}), Some("spec.selector")),
            (json!({"spec": {"selector": {"tier": "db"}}}), Some("spec.selector")),
            (json!({"spec": {"selector": {"app": "web"}}}), None),
            (json!({"metadata": {"labels": {"a": "2"}}}), Some("metadata.labels.a")),
            (json!({"metadata": {"labels": {"b": "3", "c/d": "1"}}}), None),
            (json!({"metadata": {"labels": null}}), Some("metadata.labels")),
            (json!({"spec": {"containers": [{"name": "new"}]}}), Some("spec.containers")),
            (json!({}), None),
        ] {
            let found = paths(Write::Patch(PatchKind::Merge, &patch), Values::Compared);
            assert_eq!(found.first().map(String::as_str), expected, "{patch}");
        }
    }

    #[test]
    fn strategic_patch_merges_lists_by_their_keys() {
        let containers = |item: Value| json!({"spec": {"containers": [item]}});
        let ports = |port: Value| containers(json!({"name": "web", "ports": [port]}));
        for (patch, expected) in [
            (containers(json!({"name": "web", "image": "b"})), Some("spec.containers[0].image")),
            (containers(json!({"name": "web", "image": "a"})), None),
            (containers(json!({"name": "web", "tty": true})), None),
            (containers(json!({"name": "other", "image": "b"})), None),
            (containers(json!({"name": "web", "$patch": "delete"})), Some("spec.containers[0]")),
            (ports(json!({"containerPort": 80, "name": "x"})), None),
            (ports(json!({"containerPort": 81, "protocol": "TCP"})), None),
            // A patch finds a port by its number alone.
            (
                ports(json!({"containerPort": 80, "protocol": "UDP"})),
                Some("spec.containers[0].ports[0].protocol"),
            ),
            (ports(json!({"containerPort": 80, "$patch": "delete"})), Some("spec.containers[0].ports[0]")),
            (json!({"spec": {"$retainKeys": ["paused"]}}), Some("spec")),
            (json!({"spec": {"containers": null}}), Some("spec.containers")),
        ] {
            let found = paths(Write::Patch(PatchKind::Strategic, &patch), Values::Compared);
            assert_eq!(found.first().map(String::as_str), expected, "{patch}");
        }
    }

    #[test]
    fn json_patch_takes_fields_at_its_pointers() {
        for (operation, expected) in [
            (json!({"op": "replace", "path": "/spec/replicas", "value": 2}), Some("spec.replicas")),
            (json!({"op": "replace", "path": "/spec/replicas", "value": 1}), None),
            (json!({"op": "test", "path": "/spec/replicas", "value": 2}), None),
            (json!({"op": "remove", "path": "/spec/replicas"}), Some("spec.replicas")),
            (json!({"op": "remove", "path": "/spec"}), Some("spec")),
            (json!({"op": "add", "path": "/spec/selector/tier", "value": "db"}), Some("spec.selector")),
            (json!({"op": "move", "from": "/spec/replicas", "path": "/spec/new"}), Some("spec.replicas")),
            (json!({"op": "copy", "from": "/spec/replicas", "path": "/spec/new"}), None),
            (json!({"op": "copy", "from": "/spec/paused", "path": "/spec/replicas"}), Some("spec.replicas")),
            (json!({"op": "add", "path": "/spec/containers/-", "value": {"name": "new"}}), None),
            (
                json!({"op": "replace", "path": "/spec/containers/0/image", "value": "b"}),
                Some("spec.containers"),
            ),
            (json!({"op": "add", "path": "/metadata/labels/a~1b", "value": "x"}), None),
            (json!({"op": "frobnicate", "path": "/spec/replicas"}), Some("spec.replicas")),
        ] {
            let operations = json!([operation]);
            let found = paths(Write::Patch(PatchKind::Json, &operations), Values::Compared);
            assert_eq!(found.first().map(String::as_str), expected, "{operation}");
        }
    }

    #[test]
    fn ignored_values_give_same_result_for_every_value() {
        for replicas in [0, 1, 2] {
            let patch = json!({"spec": {"replicas": replicas}});
            for write in [Write::Patch(PatchKind::Merge, &patch), Write::Apply(&patch)] {
                assert_eq!(paths(write, Values::Ignored), ["spec.replicas"], "{replicas}");
            }
        }
        let own = json!({"metadata": {"labels": {"b": "2"}}});
        assert!(paths(Write::Apply(&own), Values::Ignored).is_empty());
    }

    #[test]
    fn apply_competes_with_updates_of_its_own_manager() {
        let body = json!({"spec": {"paused": true}});
        assert_eq!(paths(Write::Apply(&body), Values::Compared), ["spec.paused"]);
    }

    #[test]
    fn object_without_managers_has_no_taken_fields() {
        let patch = json!({"spec": {"replicas": 2}});
        let write = Write::Patch(PatchKind::Merge, &patch);
        for live in [json!({}), json!({"metadata": {"managedFields": "odd"}, "spec": {"replicas": 1}})] {
            assert_eq!(taken(write, &live, "kf-x", Values::Compared), []);
        }
    }
}
