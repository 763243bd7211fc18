//! An independent implementation of RBAC for tests, which loops over the lists as the API server's
//! own rule matcher does.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;

use super::decide::{Access, Want};
use super::rule::{Rule, Scope, Verb};
use super::set::RuleSet;
use crate::names::{Group, Namespace, ObjectName, Resource};

const GROUPS: [&str; 3] = ["", "apps", "trainer.kubeflow.org"];
const RESOURCES: [&str; 5] = ["pods", "pods/log", "secrets", "trainjobs", "nodes"];
const VERBS: [&str; 5] = ["get", "list", "create", "patch", "delete"];
const NAMES: [&str; 3] = ["a", "b", "c"];

pub(crate) fn allows(rules: &[Rule], access: &Access) -> bool {
    let mut found = false;
    for rule in rules {
        let group = rule.api_groups.contains(&access.group);
        let verb = rule.verbs.contains(&access.verb);
        let resource = rule.resources.contains(&access.resource);
        let name = rule.resource_names.is_empty()
            || access.name.as_ref().is_some_and(|name| rule.resource_names.contains(name));
        let reach = match rule.scope {
            Scope::Cluster => true,
            Scope::Environment => access.namespace.as_ref() == Some(&access.environment),
        };
        let extra = match access.want {
            Want::Plain => true,
            Want::Data => rule.data && matches!(access.verb, Verb::Get | Verb::List | Verb::Watch),
            Want::Force => rule.force && access.verb == Verb::Patch,
        };
        found = found || (group && verb && resource && name && reach && extra);
    }
    found
}

pub(crate) fn rule_sets() -> impl Strategy<Value = RuleSet> {
    prop::collection::vec(rules(), 0..4).prop_map(|rules| RuleSet::parse(&rules).unwrap())
}

fn rules() -> impl Strategy<Value = serde_json::Value> {
    (
        subsequence(GROUPS.to_vec(), 1..=3),
        subsequence(RESOURCES.to_vec(), 1..=5),
        subsequence(VERBS.to_vec(), 1..=5),
        prop_oneof![Just(vec![]), subsequence(NAMES.to_vec(), 1..=2)],
        select(vec!["environment", "cluster"]),
        any::<bool>(),
    )
        .prop_map(|(groups, resources, verbs, names, scope, extra)| {
            let secrets = groups == [""] && resources == ["secrets"];
            json!({
                "apiGroups": groups, "resources": resources, "verbs": verbs, "resourceNames": names,
                "scope": scope, "data": extra && secrets, "force": extra && verbs.contains(&"patch"),
            })
        })
}

pub(crate) fn accesses() -> impl Strategy<Value = Access> {
    (
        select(VERBS.to_vec()),
        select(GROUPS.to_vec()),
        select(RESOURCES.to_vec()),
        select(vec![None, Some("team-a"), Some("team-b")]),
        select(vec![None, Some("a"), Some("c")]),
        select(vec![Want::Plain, Want::Plain, Want::Data, Want::Force]),
    )
        .prop_map(|(verb, group, resource, namespace, name, want)| Access {
            verb: serde_json::from_value(json!(verb)).unwrap(),
            group: Group::parse(group).unwrap(),
            resource: Resource::parse(resource).unwrap(),
            namespace: namespace.map(|n| Namespace::parse(n).unwrap()),
            name: name.map(|n| ObjectName::parse(n).unwrap()),
            environment: Namespace::parse("team-a").unwrap(),
            want,
        })
}
