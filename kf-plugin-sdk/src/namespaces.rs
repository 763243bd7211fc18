//! Namespaces: how they may be called, which one a person means, and what keeps one from going.
//!
//! Kubernetes has no list of "my namespaces": who may use one often may not list all, and cannot
//! always look at the one they use. So a namespace here is what the user may do in it, and every
//! question works without the right to list.

use serde_json::Value;

use crate::border::{Access, Kind};
use crate::command_line::CommandLine;
use crate::error::{Error, ErrorCode, Result};
use crate::kf::Kf;
use crate::objects::{Api, Object};

/// The namespaces of the cluster.
pub fn api(kf: &Kf) -> Api {
    kf.api(Kind::new("", "Namespace"))
}

/// Refuses what the API server would: a namespace is an RFC 1123 label.
pub fn check_name(name: &str) -> Result<()> {
    let why = if name.is_empty() {
        "is empty"
    } else if name.len() > 63 {
        "is longer than 63 characters"
    } else if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        "may hold only lower case letters, digits and `-`"
    } else if name.starts_with('-') || name.ends_with('-') {
        "may not begin or end with `-`"
    } else {
        return Ok(());
    };
    let error = Error::invalid(format!("namespace `{name}` {why}"));
    let fits = fitting(name);
    Err(if fits.is_empty() { error } else { error.hint(format!("a name that would do: {fits}")) })
}

/// The nearest name that would do; empty if there is none.
fn fitting(name: &str) -> String {
    let fits = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    let word: String = name.chars().map(fits).take(63).collect();
    word.trim_matches('-').to_owned()
}

/// Whether it is part of Kubernetes and no place for anybody's work.
pub fn is_kubernetes_own(name: &str) -> bool {
    name == "default" || name.starts_with("kube-")
}

/// The namespaces the user may see that are called much like this one, the nearest first.
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

/// There is no such namespace. The hint is `line` with the nearest in place of `name`.
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

/// What the user may do in a namespace, as far as it tells whether it can be worked in.
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

/// Whether it is being deleted.
pub fn is_terminating(namespace: &Object) -> bool {
    namespace.str("/metadata/deletionTimestamp").is_some()
        || namespace.str("/status/phase") == Some("Terminating")
}

/// A Kubeflow Profile that makes the namespace anew when it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    pub name: String,
    /// The user it was made for.
    pub owner: Option<String>,
}

/// The Profile a namespace belongs to.
pub fn profile(namespace: &Object) -> Option<Profile> {
    let owners = namespace.list("/metadata/ownerReferences");
    let of_kind = |owner: &&Value| owner.get("kind").and_then(Value::as_str) == Some("Profile");
    let by_reference =
        owners.iter().find(of_kind).and_then(|owner| owner.get("name")?.as_str()).map(str::to_owned);
    let labelled = namespace.label("app.kubernetes.io/part-of") == Some("kubeflow-profile");
    let name = by_reference.or_else(|| labelled.then(|| namespace.name().to_owned()))?;
    Some(Profile { name, owner: namespace.annotation("owner").map(str::to_owned) })
}

/// Whose it is, as far as the namespace itself tells: `Profile alice of alice@example.com`.
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

/// What keeps a namespace that is being deleted, in the API server's words.
pub fn remains(namespace: &Object) -> Vec<String> {
    let held = namespace
        .conditions()
        .filter(|condition| condition.status == "True" && !condition.message.is_empty())
        .map(|condition| condition.message.to_owned());
    let finalizers = namespace.list("/metadata/finalizers").iter().filter_map(Value::as_str);
    held.chain(finalizers.map(|finalizer| format!("finalizer {finalizer}"))).collect()
}

/// The namespace; none where the user may not look at it, or it is not there.
pub fn look(kf: &Kf, name: &str) -> Result<Looked> {
    match api(kf).get(name) {
        Ok(namespace) => Ok(Looked::There(namespace)),
        Err(error) if error.is(ErrorCode::NotFound) => Ok(Looked::Missing),
        Err(error) if error.is(ErrorCode::Forbidden) => Ok(Looked::Hidden(error)),
        Err(error) => Err(error),
    }
}

/// What looking at a namespace gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Looked {
    There(Object),
    Missing,
    /// The user may not look at it; whether it is there is unknown.
    Hidden(Error),
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_that_does_not_fit_comes_with_one_that_does() {
        assert_eq!(check_name("team-a"), Ok(()));
        let error = check_name("Team A!").unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("a name that would do: team-a"));
        assert_eq!(check_name("--").unwrap_err().hint, None);
        assert!(check_name(&"x".repeat(64)).is_err());
    }

    #[test]
    fn a_profile_is_known_by_reference_or_label() {
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
    fn what_remains_is_said_in_the_servers_words() {
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
