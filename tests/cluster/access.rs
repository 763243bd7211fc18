//! RBAC of the whole cluster, and the two teams of the demo.

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, RoleBinding, RoleRef, Subject,
};
use kube::api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use super::client::{apply, apply_in, wait_until};
use super::error::{ClusterError, Result};
use super::users::User;

const RBAC: &str = "rbac.authorization.k8s.io";
const TRAINER: &str = "trainer.kubeflow.org";
const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];

/// The namespace that dana can edit and vic can view.
pub const TEAM_A: &str = "team-a";
/// A namespace that neither can access.
pub const TEAM_B: &str = "team-b";

/// Adds Kubeflow Trainer to the roles `edit` and `view`, as upstream's manifests add it only to Kubeflow's own
/// roles, and lets all authenticated users read the runtimes of the cluster.
pub(crate) async fn grant_roles(client: &Client) -> Result<()> {
    let edit = aggregated("kf-trainer-edit", "edit", &["trainjobs", "trainingruntimes"], &WRITE);
    let view =
        aggregated("kf-trainer-view", "view", &["trainjobs", "trainjobs/status", "trainingruntimes"], &READ);
    let runtimes = ClusterRole {
        metadata: named("kf-runtimes-view"),
        rules: Some(vec![rule(&["clustertrainingruntimes"], &READ)]),
        ..ClusterRole::default()
    };
    let authenticated = ClusterRoleBinding {
        metadata: named("kf-runtimes-view"),
        role_ref: cluster_role("kf-runtimes-view"),
        subjects: Some(vec![Subject {
            api_group: Some(RBAC.to_owned()),
            kind: "Group".to_owned(),
            name: "system:authenticated".to_owned(),
            namespace: None,
        }]),
    };
    tokio::try_join!(
        apply(client, &edit),
        apply(client, &view),
        apply(client, &runtimes),
        apply(client, &authenticated),
    )?;
    Ok(())
}

/// Creates the namespaces of the demo.
pub(crate) async fn make_teams(client: &Client) -> Result<()> {
    tokio::try_join!(make_namespace(client, TEAM_A), make_namespace(client, TEAM_B))?;
    bind_users(client, TEAM_A).await
}

pub(crate) async fn make_namespace(client: &Client, name: &str) -> Result<()> {
    apply(client, &Namespace { metadata: named(name), ..Namespace::default() }).await
}

/// Binds dana to `edit` and vic to `view` in `namespace`.
pub(crate) async fn bind_users(client: &Client, namespace: &str) -> Result<()> {
    let edit = binding("kf-data-scientists", User::DataScientist, "edit");
    let view = binding("kf-viewers", User::Viewer, "view");
    tokio::try_join!(apply_in(client, namespace, &edit), apply_in(client, namespace, &view))?;
    Ok(())
}

/// Waits until the API server's authorizer knows the bindings of [`bind_users`].
pub(crate) async fn wait_for_bindings(client: &Client, namespace: &str, logs: &Path) -> Result<()> {
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    for (user, verb) in [(User::DataScientist, "create"), (User::Viewer, "list")] {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(user.name().to_owned()),
                resource_attributes: Some(ResourceAttributes {
                    namespace: Some(namespace.to_owned()),
                    verb: Some(verb.to_owned()),
                    resource: Some("pods".to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let what = format!("{} to be allowed to {verb} pods in {namespace}", user.name());
        wait_until(&what, logs, || async {
            let answer = reviews.create(&PostParams::default(), &review).await;
            let answer = answer.map_err(ClusterError::api(format!("check for {what}")))?;
            Ok(answer.status.is_some_and(|status| status.allowed))
        })
        .await?;
    }
    Ok(())
}

/// Waits for what the controller manager creates: the rules of the aggregated roles, and a default service
/// account in `namespace`, without which no pod can be created.
pub(crate) async fn wait_for_controllers(client: &Client, namespace: &str, logs: &Path) -> Result<()> {
    wait_for_rules(client, TRAINER, logs).await?;
    wait_for_service_account(client, namespace, logs).await
}

/// Waits until the roles `edit` and `view` have rules for the kinds of `group`.
pub(crate) async fn wait_for_rules(client: &Client, group: &str, logs: &Path) -> Result<()> {
    let covers = |rule: &PolicyRule| rule.api_groups.iter().flatten().any(|known| known == group);
    let roles: Api<ClusterRole> = Api::all(client.clone());
    let what = format!("the roles `edit` and `view` to have their rules for {group}");
    wait_until(&what, logs, || async {
        for name in ["edit", "view"] {
            let role = roles.get(name).await.map_err(ClusterError::api(format!("read the role {name}")))?;
            if !role.rules.iter().flatten().any(covers) {
                return Ok(false);
            }
        }
        Ok(true)
    })
    .await
}

pub(crate) async fn wait_for_service_account(client: &Client, namespace: &str, logs: &Path) -> Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let what = format!("the default service account of {namespace}");
    wait_until(&what, logs, || async {
        let account = accounts.get_opt("default").await;
        Ok(account.map_err(ClusterError::api(format!("read {what}")))?.is_some())
    })
    .await
}

/// Does once what the controller manager would do for the roles `admin`, `edit` and `view`: collects the rules
/// of the roles that are aggregated to them. For clusters without a controller manager.
pub(crate) async fn aggregate_roles(client: &Client) -> Result<()> {
    let roles: Api<ClusterRole> = Api::all(client.clone());
    let all =
        roles.list(&ListParams::default()).await.map_err(ClusterError::api("list the cluster roles"))?;
    // `edit` includes `view` and `admin` includes `edit`, so the rules accumulate.
    let mut collected: Vec<PolicyRule> = Vec::new();
    for name in ["view", "edit", "admin"] {
        let label = format!("rbac.authorization.k8s.io/aggregate-to-{name}");
        let labelled = all.items.iter().filter(|role| {
            role.metadata.labels.iter().flatten().any(|(key, value)| *key == label && value == "true")
        });
        collected.extend(labelled.flat_map(|role| role.rules.iter().flatten().cloned()));
        let patch = Patch::Merge(json!({ "rules": collected }));
        roles
            .patch(name, &PatchParams::default(), &patch)
            .await
            .map_err(ClusterError::api(format!("fill in the role {name}")))?;
    }
    Ok(())
}

/// Does what the controller manager would do for a new namespace.
pub(crate) async fn make_service_account(client: &Client, namespace: &str) -> Result<()> {
    let account = ServiceAccount { metadata: named("default"), ..ServiceAccount::default() };
    apply_in(client, namespace, &account).await
}

fn aggregated(name: &str, to: &str, resources: &[&str], verbs: &[&str]) -> ClusterRole {
    let label = format!("rbac.authorization.k8s.io/aggregate-to-{to}");
    let labels = BTreeMap::from([(label, "true".to_owned())]);
    ClusterRole {
        metadata: ObjectMeta { labels: Some(labels), ..named(name) },
        rules: Some(vec![rule(resources, verbs)]),
        ..ClusterRole::default()
    }
}

fn rule(resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(owned(&[TRAINER])),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}

fn binding(name: &str, user: User, role: &str) -> RoleBinding {
    RoleBinding {
        metadata: named(name),
        role_ref: cluster_role(role),
        subjects: Some(vec![Subject {
            api_group: Some(RBAC.to_owned()),
            kind: "User".to_owned(),
            name: user.name().to_owned(),
            namespace: None,
        }]),
    }
}

fn cluster_role(name: &str) -> RoleRef {
    RoleRef { api_group: Some(RBAC.to_owned()), kind: "ClusterRole".to_owned(), name: name.to_owned() }
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}
