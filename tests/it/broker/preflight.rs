//! Preflight checks against a real authorizer.

use kf_cluster::preflight::{granters, preflight};
use kf_home::trusted::OwnPath;

use super::*;

#[tokio::test]
async fn preflight_reports_missing_rights_of_each_user() {
    let namespace = TestNamespace::new(cluster(), "preflight").unwrap();
    let cache = OwnPath::new(namespace.directory()).at("preflight.json");
    let rules = RuleSet::parse(&[
        rule("", &["pods", "pods/log"], &["get"]),
        rule(TRAINER, &["trainjobs"], &["get", "create"]),
        json!({"apiGroups": [TRAINER], "resources": ["clustertrainingruntimes"], "verbs": ["list"],
               "scope": "cluster"}),
        json!({"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"], "scope": "cluster"}),
        json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "scope": "cluster"}),
    ])
    .unwrap();
    for (user, expected) in [
        (User::Admin, [true, true, true, true, true]),
        (User::DataScientist, [true, true, true, false, false]),
        (User::Viewer, [true, false, true, false, false]),
        (User::NoRights, [false, false, true, false, false]),
    ] {
        let connection = connection(&namespace, user);
        let place = connection.settings().unwrap().namespace.clone();
        // Twice: the cache is per user and does not change the result.
        for _ in 0..2 {
            let verdicts = preflight(&connection, &rules, &place, Some(&cache)).await.unwrap();
            let allowed: Vec<bool> = verdicts.iter().map(|verdict| verdict.allowed()).collect();
            assert_eq!(allowed, expected, "{}", user.name());
        }
    }
}

#[tokio::test]
async fn owners_are_listed_only_with_permission() {
    let namespace = TestNamespace::new(cluster(), "owners").unwrap();
    let admin = connection(&namespace, User::Admin);
    let place = admin.settings().unwrap().namespace.clone();
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "owner"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob"}],
    });
    let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{place}/rolebindings");
    let request = http::Request::post(path).header("content-type", "application/json");
    let client = admin.client().await.unwrap();
    let _: Value = client.request(request.body(binding.to_string().into_bytes()).unwrap()).await.unwrap();

    let found = granters(&admin, &place).await;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].subject.as_str(), found[0].enough.as_deref()), ("bob", Some("edit")));
    assert!(granters(&connection(&namespace, User::NoRights), &place).await.is_empty());
}
