//! Namespaces: valid names, lookup, ownership and deletion.
//!
//! Kubernetes has no list of "my namespaces": a user of one namespace often has no permission to list all, or even
//! to get that one. Every function here works without permission to list; access is determined by what the user
//! can do inside the namespace.

use serde_json::Value;

use crate::abi::{Access, Kind};
use crate::command_line::CommandLine;
use crate::error::{Error, ErrorCode, Result};
use crate::kf::Kf;
use crate::objects::{Api, Object};

/// Returns the API of namespaces.
pub fn api(kf: &Kf) -> Api {
    kf.api(Kind::new("", "Namespace"))
}

/// Checks that a name is an RFC 1123 label, as the API server requires.
pub fn check_name(name: &str) -> Result<()> {
    let why = if name.is_empty() {
        "must not be empty"
    } else if name.len() > 63 {
        "longer than 63 characters"
    } else if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        "only lower-case letters, digits and `-`"
    } else if name.starts_with('-') || name.ends_with('-') {
        "must not begin or end with `-`"
    } else {
        return Ok(());
    };
    let error = Error::invalid(format!("invalid namespace `{name}`: {why}"));
    let fits = fitting(name);
    Err(if fits.is_empty() { error } else { error.hint(format!("did you mean {fits}?")) })
}

/// Returns the nearest valid name; empty if there is none.
fn fitting(name: &str) -> String {
    let fits = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    let word: String = name.chars().map(fits).take(63).collect();
    word.trim_matches('-').to_owned()
}

/// Returns whether a namespace belongs to Kubernetes and is not meant for workloads.
pub fn is_kubernetes_own(name: &str) -> bool {
    name == "default" || name.starts_with("kube-")
}

/// Returns the visible namespaces with a similar name, nearest first.
pub fn nearest(kf: &Kf, name: &str) -> Vec<String> {
    let mut near: Vec<(usize, String)> = api(kf)
        .list()
        .unwrap_or_default()
        .iter()
        .map(|namespace| (strsim::damerau_levenshtein(name, namespace.name()), namespace.name().to_owned()))
        .filter(|(distance, other)| *distance <= (name.len().max(other.len()) / 3).max(1))
        .collect();
    near.sort();
    near.into_iter().map(|(_, name)| name).take(3).collect()
}

/// Returns a "no such namespace" error. The hint is `line` with the nearest name in place of `name`.
pub fn missing(kf: &Kf, name: &str, line: CommandLine) -> Error {
    let error = Error::not_found(format!("no namespace `{name}`"));
    let again = |nearest: &str| line.replace(name, nearest);
    match nearest(kf, name).as_slice() {
        [] => error,
        [only] => error.hint(format!("did you mean {only}? {}", again(only))),
        [first, others @ ..] => {
            error.hint(format!("did you mean {first}, or {}? {}", others.join(" or "), again(first)))
        }
    }
}

/// Returns whether the user has enough permissions in a namespace to work in it.
pub fn may_work_in(kf: &Kf, name: &str) -> Result<bool> {
    let questions = [
        ("list", "", "pods"),
        ("get", "", "pods"),
        ("create", "", "pods"),
        ("create", "trainer.kubeflow.org", "trainjobs"),
        ("list", "trainer.kubeflow.org", "trainjobs"),
        ("create", "kubeflow.org", "notebooks"),
    ];
    let ask = |(verb, group, resource): (&str, &str, &str)| Access {
        namespace: Some(name.to_owned()),
        ..Access::new(verb, group, resource)
    };
    Ok(kf.can_i(&questions.map(ask))?.iter().any(|verdict| verdict.allowed))
}

/// Returns whether a namespace is being deleted.
pub fn is_terminating(namespace: &Object) -> bool {
    namespace.str("/metadata/deletionTimestamp").is_some()
        || namespace.str("/status/phase") == Some("Terminating")
}

/// A Kubeflow Profile, which recreates its namespace when that is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    pub name: String,
    /// The user that owns it.
    pub owner: Option<String>,
}

/// Returns the Profile that a namespace belongs to.
pub fn profile(namespace: &Object) -> Option<Profile> {
    let owners = namespace.list("/metadata/ownerReferences");
    let of_kind = |owner: &&Value| owner.get("kind").and_then(Value::as_str) == Some("Profile");
    let by_reference =
        owners.iter().find(of_kind).and_then(|owner| owner.get("name")?.as_str()).map(str::to_owned);
    let labelled = namespace.label("app.kubernetes.io/part-of") == Some("kubeflow-profile");
    let name = by_reference.or_else(|| labelled.then(|| namespace.name().to_owned()))?;
    Some(Profile { name, owner: namespace.annotation("owner").map(str::to_owned) })
}

/// Returns the owner that the namespace itself names, such as `Profile alice of alice@example.com`.
pub fn kept_by(namespace: &Object) -> Option<String> {
    if let Some(Profile { name, owner }) = profile(namespace) {
        let of = owner.map(|owner| format!(" of {owner}")).unwrap_or_default();
        return Some(format!("Profile {name}{of}"));
    }
    if let Some(owner) = namespace.annotation("owner") {
        return Some(owner.to_owned());
    }
    namespace.label("app.kubernetes.io/managed-by").map(str::to_owned)
}

/// Returns what blocks the deletion of a namespace: condition messages and finalizers.
pub fn remains(namespace: &Object) -> Vec<String> {
    let held = namespace
        .conditions()
        .filter(|condition| condition.status == "True" && !condition.message.is_empty())
        .map(|condition| condition.message.to_owned());
    let finalizers = namespace.list("/metadata/finalizers").iter().filter_map(Value::as_str);
    held.chain(finalizers.map(|finalizer| format!("finalizer {finalizer}"))).collect()
}

/// Looks up a namespace.
pub fn lookup(kf: &Kf, name: &str) -> Result<Lookup> {
    match api(kf).get(name) {
        Ok(namespace) => Ok(Lookup::Found(namespace)),
        Err(error) if error.is(ErrorCode::NotFound) => Ok(Lookup::Missing),
        Err(error) if error.is(ErrorCode::Forbidden) => Ok(Lookup::Forbidden(error)),
        Err(error) => Err(error),
    }
}

/// The result of a lookup.
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup {
    Found(Object),
    Missing,
    /// The user has no permission to get it, so it may or may not exist.
    Forbidden(Error),
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn invalid_name_is_refused_with_valid_one() {
        assert_eq!(check_name("team-a"), Ok(()));
        let error = check_name("Team A!").unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("did you mean team-a?"));
        assert_eq!(check_name("--").unwrap_err().hint, None);
        assert!(check_name(&"x".repeat(64)).is_err());
    }

    #[test]
    fn profile_is_found_by_reference_or_label() {
        let owned = json!({ "metadata": {
            "name": "alice", "annotations": { "owner": "alice@example.com" },
            "ownerReferences": [{ "kind": "Profile", "name": "alice" }],
        } });
        assert_eq!(kept_by(&owned.into()).as_deref(), Some("Profile alice of alice@example.com"));
        let labels = json!({ "app.kubernetes.io/part-of": "kubeflow-profile" });
        let labelled = json!({ "metadata": { "name": "bob", "labels": labels } });
        assert_eq!(profile(&labelled.into()), Some(Profile { name: "bob".into(), owner: None }));
        let own = json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": "kf" } } });
        assert_eq!(kept_by(&own.into()).as_deref(), Some("kf"));
    }

    #[test]
    fn remains_quotes_conditions_and_finalizers() {
        let namespace = json!({
            "metadata": { "finalizers": ["example.com/hold"] },
            "status": { "conditions": [
                { "type": "NamespaceContentRemaining", "status": "True", "message": "Some resources are remaining: pods. has 1 resource instances" },
                { "type": "NamespaceDeletionContentFailure", "status": "False", "message": "All content successfully deleted" },
            ] },
        });
        let expected =
            ["Some resources are remaining: pods. has 1 resource instances", "finalizer example.com/hold"];
        assert_eq!(remains(&namespace.into()), expected);
    }
}
