//! The grant's decisions compared with the API server's own authorizer.
//!
//! Random rules become real roles, bound to a user without other rights: rules scoped to the
//! environment by a RoleBinding in its namespace, rules scoped to the cluster by a
//! ClusterRoleBinding. Then both decide the same random access questions.

use std::time::Duration;

use kf_core::grants::{Access, Rule, Scope, Want, decide};
use kf_core::names::{Group, Namespace, ObjectName, Resource};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::*;
use crate::common::TIMEOUT;

const USERS: usize = 10;
const QUESTIONS: usize = 40;
const GROUPS: [&str; 3] = ["", "apps", TRAINER];
const RESOURCES: [&str; 6] = ["pods", "pods/log", "pods/exec", "secrets", "trainjobs", "nodes"];
const VERBS: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];
const NAMES: [&str; 3] = ["a", "b", "c"];

fn rules() -> impl Strategy<Value = Vec<Value>> {
    let rule = (
        subsequence(GROUPS.to_vec(), 1..=2),
        subsequence(RESOURCES.to_vec(), 1..=4),
        subsequence(VERBS.to_vec(), 1..=4),
        prop_oneof![Just(vec![]), subsequence(NAMES.to_vec(), 1..=2)],
        select(vec!["environment", "environment", "cluster"]),
    );
    let rule = rule.prop_map(|(groups, resources, verbs, names, scope)| {
        json!({"apiGroups": groups, "resources": resources, "verbs": verbs, "resourceNames": names, "scope": scope})
    });
    prop::collection::vec(rule, 1..4)
}

/// Random access questions, about half of them derived from a rule: of purely random ones, almost none are allowed.
fn accesses(rules: &[Rule], environment: &Namespace) -> impl Strategy<Value = Access> + use<> {
    let here = environment.clone();
    let named_by_a_rule = select(rules.to_vec()).prop_flat_map(move |rule| {
        let cluster = rule.scope == Scope::Cluster;
        let namespaces = if cluster { vec![None, Some(here.clone())] } else { vec![Some(here.clone())] };
        let mut names: Vec<_> = rule.resource_names.iter().cloned().map(Some).collect();
        names.push(None);
        (
            select(rule.verbs),
            select(rule.api_groups),
            select(rule.resources),
            select(namespaces),
            select(names),
        )
    });
    let here = Some(environment.clone());
    let elsewhere = Some(Namespace::parse("kf-elsewhere").unwrap());
    let any = (
        select(VERBS.map(|verb| serde_json::from_value(json!(verb)).unwrap()).to_vec()),
        select(GROUPS.map(|group| Group::parse(group).unwrap()).to_vec()),
        select(RESOURCES.map(|resource| Resource::parse(resource).unwrap()).to_vec()),
        select(vec![None, here.clone(), here, elsewhere]),
        select(vec![None, None, Some("a"), Some("c")])
            .prop_map(|name| name.map(|name| ObjectName::parse(name).unwrap())),
    );
    let environment = environment.clone();
    prop_oneof![named_by_a_rule, any].prop_map(move |(verb, group, resource, namespace, name)| Access {
        verb,
        group,
        resource,
        namespace,
        name,
        environment: environment.clone(),
        want: Want::Plain,
    })
}

/// The RBAC rules of one scope, with a sentinel rule that shows when they are in effect.
fn role_rules(rules: &[Rule], scope: Scope) -> Value {
    let mut rules: Vec<Value> = rules
        .iter()
        .filter(|rule| rule.scope == scope)
        .map(|rule| {
            json!({"apiGroups": rule.api_groups, "resources": rule.resources, "verbs": rule.verbs,
                   "resourceNames": rule.resource_names})
        })
        .collect();
    let sentinel = if scope == Scope::Cluster { "clusters" } else { "environments" };
    rules.push(json!({"apiGroups": ["sentinel.test"], "resources": [sentinel], "verbs": ["get"]}));
    json!(rules)
}

struct Server {
    client: kube::Client,
}

impl Server {
    async fn post(&self, path: &str, body: &Value) -> Value {
        let request = http::Request::post(path).header("content-type", "application/json");
        self.client.request(request.body(body.to_string().into_bytes()).unwrap()).await.unwrap()
    }

    async fn bind(&self, user: &str, namespace: &str, rules: &[Rule]) {
        let rbac = "rbac.authorization.k8s.io";
        let (cluster, home) = (format!("/apis/{rbac}/v1"), format!("/apis/{rbac}/v1/namespaces/{namespace}"));
        for (base, prefix, scope) in [(&cluster, "Cluster", Scope::Cluster), (&home, "", Scope::Environment)]
        {
            let role = format!("{prefix}Role");
            let plural = role.to_lowercase();
            let api = format!("{rbac}/v1");
            self.post(
                &format!("{base}/{plural}s"),
                &json!({"apiVersion": api, "kind": role, "metadata": {"name": user},
                        "rules": role_rules(rules, scope)}),
            )
            .await;
            self.post(
                &format!("{base}/{plural}bindings"),
                &json!({"apiVersion": api, "kind": format!("{role}Binding"), "metadata": {"name": user},
                        "roleRef": {"apiGroup": rbac, "kind": role, "name": user},
                        "subjects": [{"apiGroup": rbac, "kind": "User", "name": user}]}),
            )
            .await;
        }
    }

    async fn unbind(&self, user: &str) {
        for plural in ["clusterroles", "clusterrolebindings"] {
            let path = format!("/apis/rbac.authorization.k8s.io/v1/{plural}/{user}");
            let _: Value =
                self.client.request(http::Request::delete(path).body(Vec::new()).unwrap()).await.unwrap();
        }
    }

    async fn allows(&self, user: &str, access: &Access) -> bool {
        let attributes = json!({
            "verb": access.verb, "group": access.group, "resource": access.resource.plural,
            "subresource": access.resource.subresource.as_ref().map(ToString::to_string).unwrap_or_default(),
            "namespace": access.namespace.as_ref().map(ToString::to_string).unwrap_or_default(),
            "name": access.name.as_ref().map(ToString::to_string).unwrap_or_default(),
        });
        self.review(user, &attributes).await
    }

    async fn review(&self, user: &str, attributes: &Value) -> bool {
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
                            "spec": {"user": user, "resourceAttributes": attributes}});
        let answer = self.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", &review).await;
        answer["status"]["allowed"] == json!(true)
    }

    /// Waits for the sentinel rules: roles reach the authorizer a moment after they are stored.
    async fn wait_for(&self, user: &str, namespace: &str) {
        for (resource, namespace) in [("clusters", ""), ("environments", namespace)] {
            let attributes = json!({"verb": "get", "group": "sentinel.test", "resource": resource, "namespace": namespace});
            let arrived = async {
                while !self.review(user, &attributes).await {
                    tokio::time::sleep(Duration::from_millis(25)).await;
                }
            };
            let waited = tokio::time::timeout(TIMEOUT, arrived).await;
            assert!(waited.is_ok(), "the roles of {user} never arrived");
        }
    }
}

#[tokio::test]
async fn grant_decides_as_rbac_does() {
    let namespace = TestNamespace::new(cluster(), "authorizer").unwrap();
    let environment = Namespace::parse(namespace.name()).unwrap();
    let server = Server { client: connection(&namespace, User::Admin).client().await.unwrap() };
    let mut runner = TestRunner::default();
    let (mut yes, mut no) = (0, 0);
    for number in 0..USERS {
        let user = format!("{}-{number}", namespace.name());
        let set = RuleSet::parse(&rules().new_tree(&mut runner).unwrap().current()).unwrap();
        server.bind(&user, namespace.name(), set.rules()).await;
        server.wait_for(&user, namespace.name()).await;
        let grants = grants(&set);
        let questions = accesses(set.rules(), &environment);
        for _ in 0..QUESTIONS {
            let access = questions.new_tree(&mut runner).unwrap().current();
            let theirs = server.allows(&user, &access).await;
            let ours = decide(&grants, &access).is_ok();
            assert_eq!(ours, theirs, "{access:?}\n{:?}", set.rules());
            if theirs { yes += 1 } else { no += 1 }
        }
        server.unbind(&user).await;
    }
    // If all questions had the same answer, the test would prove nothing.
    assert!(yes > USERS && no > USERS, "{yes} yes, {no} no");
}
