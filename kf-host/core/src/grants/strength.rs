//! How much a right lets a command do, which decides the order in which rights are shown.
//!
//! A user remembers what comes last before the question, and a long list cannot push it off the screen. So
//! rights are shown from the weakest to the strongest, followed by their consequences.

use std::collections::BTreeSet;

use super::danger::{Danger, danger, enters_pods, writes};
use super::known::{Containers, containers, known};
use super::rule::{Scope, Verb};
use super::set::{Permission, RuleSet};

/// How much a right lets a command do, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// Asks the API server about rights.
    Asks,
    Reads,
    Changes,
    Deletes,
    /// Connects to ports of pods.
    ForwardsPorts,
    /// Creates or changes objects that may start containers.
    MayRunContainers,
    /// Starts containers, or runs commands in them.
    RunsContainers,
    Dangerous(Danger),
}

impl Strength {
    pub fn of(permission: &Permission) -> Self {
        if let Some(danger) = danger(permission) {
            return Self::Dangerous(danger);
        }
        let resource = &permission.resource;
        if enters_pods(permission) {
            return Self::RunsContainers;
        }
        if permission.group.is_core() && resource.is("pods/portforward") {
            return Self::ForwardsPorts;
        }
        match containers(permission) {
            Containers::Always => return Self::RunsContainers,
            Containers::Possibly => return Self::MayRunContainers,
            Containers::Never => {}
        }
        match permission.verb {
            _ if asks(permission) => Self::Asks,
            Verb::Delete | Verb::DeleteCollection => Self::Deletes,
            _ if permission.group.is_core() && resource.is("pods/eviction") => Self::Deletes,
            _ if writes(permission) => Self::Changes,
            _ => Self::Reads,
        }
    }
}

/// Whether it only asks the API server about rights, which is done by creating a review.
pub(super) fn asks(permission: &Permission) -> bool {
    let resource = &permission.resource;
    permission.verb == Verb::Create
        && resource.subresource.is_none()
        && known(permission.group.as_str(), resource.plural.as_str()).is_some_and(|kind| kind.is_review)
}

/// What a set of rules implies, in full sentences of bounded length.
pub fn consequences(rules: &RuleSet) -> Vec<String> {
    let starts = rules.permissions().map(containers).max().unwrap_or(Containers::Never);
    let mut sentences = Vec::new();
    if starts != Containers::Never {
        let cluster =
            rules.permissions().any(|p| p.scope == Scope::Cluster && containers(p) != Containers::Never);
        let place = if cluster { "any namespace" } else { "the namespace" };
        let how = match starts {
            Containers::Always => "What it creates or changes runs containers: through them it can use",
            _ => "kf does not know everything it creates or changes. If that runs containers, it can use",
        };
        sentences.push(format!("{how} every secret and service account of {place}."));
    }
    if starts != Containers::Always && rules.permissions().any(enters_pods) {
        let text = "Commands in a pod can use what the pod can: its service account, secrets and volumes.";
        sentences.push(text.to_owned());
    }
    let dangers: BTreeSet<Danger> = rules.permissions().filter_map(danger).collect();
    if !dangers.is_empty() {
        let dangers: Vec<String> = dangers.iter().map(ToString::to_string).collect();
        sentences.push(format!("Dangerous: {}.", dangers.join("; ")));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(group: &str, resource: &str, verbs: &[&str], scope: &str) -> RuleSet {
        let rule = json!({"apiGroups": [group], "resources": [resource], "verbs": verbs, "scope": scope});
        RuleSet::parse(&[rule]).unwrap()
    }

    fn strength(group: &str, resource: &str, verb: &str) -> Strength {
        Strength::of(of(group, resource, &[verb], "environment").permissions().next().unwrap())
    }

    #[test]
    fn consequences_mention_containers_iff_they_may_run() {
        for (group, resource, verb) in [
            ("", "pods", "create"),
            ("", "pods", "patch"),
            ("", "pods/ephemeralcontainers", "patch"),
            ("", "pods/ephemeralcontainers", "update"),
            ("", "replicationcontrollers", "create"),
            ("", "replicationcontrollers/scale", "patch"),
            ("apps", "daemonsets", "update"),
            ("batch", "cronjobs", "patch"),
            ("argoproj.io", "workflows", "create"),
            ("kubeflow.org", "pytorchjobs", "create"),
            ("serving.kserve.io", "servingruntimes", "create"),
        ] {
            assert_eq!(
                strength(group, resource, verb),
                Strength::RunsContainers,
                "{verb} {resource}.{group}"
            );
            let text = consequences(&of(group, resource, &[verb], "environment")).concat();
            let secrets = "it can use every secret and service account of the namespace.";
            assert!(text.contains("runs containers") && text.ends_with(secrets), "{text}");
        }
        for (group, resource, verb) in [
            ("evil.io", "widgets", "create"),
            ("evil.io", "widgets", "patch"),
            ("evil.io", "widgets/anything", "update"),
            ("evil.io", "configmaps", "create"),
            ("", "pods/resize", "patch"),
            ("", "pods/binding", "create"),
            ("", "gadgets", "create"),
        ] {
            assert_eq!(
                strength(group, resource, verb),
                Strength::MayRunContainers,
                "{verb} {resource}.{group}"
            );
            let text = consequences(&of(group, resource, &[verb], "environment")).concat();
            assert!(text.starts_with("kf does not know everything"), "{text}");
            assert!(text.ends_with("every secret and service account of the namespace."), "{text}");
        }
        for (group, resource, verb) in [
            ("", "configmaps", "create"),
            ("", "configmaps/finalizers", "update"),
            ("", "pods", "delete"),
            ("", "pods", "watch"),
            ("evil.io", "widgets", "delete"),
            ("batch", "jobs/status", "patch"),
        ] {
            assert_eq!(consequences(&of(group, resource, &[verb], "environment")), [""; 0], "{resource}");
        }
    }

    #[test]
    fn cluster_scope_consequences_mention_any_namespace() {
        let text = consequences(&of("batch", "jobs", &["create"], "cluster"));
        assert_eq!(
            text,
            [
                "What it creates or changes runs containers: through them it can use every secret and \
                 service account of any namespace.",
                "Dangerous: it can run containers or commands in every namespace.",
            ]
        );
    }

    #[test]
    fn exec_and_attach_consequences_mention_service_account() {
        for resource in ["pods/exec", "pods/attach"] {
            let rules = of("", resource, &["get", "create"], "environment");
            assert!(rules.permissions().all(|p| Strength::of(p) == Strength::RunsContainers), "{resource}");
            assert!(consequences(&rules).concat().contains("service account"), "{resource}");
        }
        assert_eq!(strength("evil.io", "things/exec", "get"), Strength::Changes, "it may do more than read");
    }

    #[test]
    fn strengths_are_ordered() {
        let order = [
            strength("authorization.k8s.io", "selfsubjectaccessreviews", "create"),
            strength("", "pods", "list"),
            strength("", "configmaps", "patch"),
            strength("", "pods", "deletecollection"),
            strength("", "pods/portforward", "create"),
            strength("evil.io", "widgets", "create"),
            strength("", "pods/exec", "get"),
            strength("", "secrets", "get"),
            strength("", "serviceaccounts/token", "create"),
            strength("rbac.authorization.k8s.io", "roles", "create"),
        ];
        assert!(order.is_sorted(), "{order:?}");
        assert_ne!(strength("selfsubject.evil.io", "selfsubjectwipes", "create"), Strength::Asks);
        assert_ne!(strength("authorization.k8s.io", "selfsubjectaccessreviews", "delete"), Strength::Asks);
    }
}
