//! The differences between two versions of a role.
//!
//! It compares the JSON itself and not only the fields that this program knows, so the signer sees everything that
//! is about to be signed.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

/// One difference. Without `old` it was added, without `new` it was removed.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The path to it, as field names.
    pub at: Vec<String>,
    pub old: Option<Value>,
    pub new: Option<Value>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.join(" ");
        match (&self.old, &self.new) {
            (None, Some(new)) => write!(f, "+ {at}: {new}"),
            (Some(old), None) => write!(f, "- {at}: {old}"),
            (Some(old), Some(new)) => write!(f, "~ {at}: {old} -> {new}"),
            (None, None) => Ok(()),
        }
    }
}

/// Every difference between `old` and `new`, below the name `at` if it has one.
pub(super) fn changes(at: Option<&str>, old: &Value, new: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    let mut at = at.map(|at| vec![at.to_owned()]).unwrap_or_default();
    compare(&mut at, Some(&named(old)), Some(&named(new)), &mut found);
    found
}

fn compare(at: &mut Vec<String>, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<Change>) {
    if old == new {
        return;
    }
    let none = Map::new();
    let fields = match (old, new) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => Some((old, new)),
        // A list that is added or removed as a whole is shown entry by entry.
        (None, Some(Value::Object(new))) if is_list(at) && !new.is_empty() => Some((&none, new)),
        (Some(Value::Object(old)), None) if is_list(at) && !old.is_empty() => Some((old, &none)),
        _ => None,
    };
    if let Some((old, new)) = fields {
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            at.push(name.clone());
            compare(at, old.get(name), new.get(name), found);
            at.pop();
        }
        return;
    }
    let mut change = |old: Option<&Value>, new: Option<&Value>| {
        found.push(Change { at: at.clone(), old: old.cloned(), new: new.cloned() });
    };
    if let (Some(Value::Array(before)), Some(Value::Array(after))) = (old, new) {
        let (kept, removed): (Vec<_>, Vec<_>) = before.iter().partition(|item| after.contains(item));
        let (still, added): (Vec<_>, Vec<_>) = after.iter().partition(|item| before.contains(item));
        // Otherwise the order or the number of equal items differs as well.
        if kept == still {
            removed.into_iter().for_each(|item| change(Some(item), None));
            added.into_iter().for_each(|item| change(None, Some(item)));
            return;
        }
    }
    change(old, new);
}

fn is_list(at: &[String]) -> bool {
    const LISTS: [&str; 5] = ["keys", "roles", "targets", "delegations", "plugins"];
    at.last().is_none_or(|name| LISTS.contains(&name.as_str()))
}

/// The same with delegated roles by name instead of as an array. Their order matters only if two match the same
/// path, which is refused.
fn named(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(roles) = value.pointer_mut("/delegations/roles")
        && let Value::Array(list) = roles
    {
        let by_name: Map<String, Value> = list
            .iter()
            .filter_map(|role| Some((role.get("name")?.as_str()?.to_owned(), role.clone())))
            .collect();
        // If two have the same name it stays an array, so that none is lost.
        if by_name.len() == list.len() {
            *roles = Value::Object(by_name);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn lines(old: Value, new: Value) -> Vec<String> {
        changes(None, &old, &new).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn list_shows_added_and_removed_items() {
        assert_eq!(
            lines(json!({ "a": ["x", "y"] }), json!({ "a": ["y", "z"] })),
            ["- a: \"x\"", "+ a: \"z\""]
        );
        assert_eq!(
            lines(json!({ "a": ["x", "y"] }), json!({ "a": ["y", "x"] })),
            ["~ a: [\"x\",\"y\"] -> [\"y\",\"x\"]"]
        );
    }

    #[test]
    fn delegated_roles_are_compared_by_name() {
        let role = |name: &str, threshold| json!({ "name": name, "threshold": threshold });
        let body = |roles: Vec<Value>| json!({ "delegations": { "roles": roles } });
        assert_eq!(
            lines(body(vec![role("a", 1), role("b", 1)]), body(vec![role("b", 2)])),
            [
                "- delegations roles a: {\"name\":\"a\",\"threshold\":1}",
                "~ delegations roles b threshold: 1 -> 2"
            ]
        );
        let twice = body(vec![role("a", 1), role("a", 2)]);
        assert_eq!(lines(body(vec![role("a", 1)]), twice).len(), 1);
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..3u8).prop_map(Value::from),
            "[a-c]".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let name = prop_oneof!["[a-c]", Just("targets".to_owned()), Just("roles".to_owned())];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(name, inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    type Side<'a> = (&'a [String], &'a Value);

    /// Both sides of every change, with its path.
    fn sides(found: &[Change]) -> (Vec<Side<'_>>, Vec<Side<'_>>) {
        let old = found.iter().filter_map(|change| Some((change.at.as_slice(), change.old.as_ref()?)));
        let new = found.iter().filter_map(|change| Some((change.at.as_slice(), change.new.as_ref()?)));
        (old.collect(), new.collect())
    }

    proptest! {
        #[test]
        fn no_difference_is_missed(old in json_value(), new in json_value()) {
            let found = changes(None, &old, &new);
            prop_assert_eq!(found.is_empty(), old == new);
            let back = changes(None, &new, &old);
            let ((old, new), (again_new, again_old)) = (sides(&found), sides(&back));
            prop_assert_eq!(old.len(), again_old.len());
            prop_assert_eq!(new.len(), again_new.len());
            prop_assert!(old.iter().all(|side| again_old.contains(side)));
            prop_assert!(new.iter().all(|side| again_new.contains(side)));
        }
    }
}
