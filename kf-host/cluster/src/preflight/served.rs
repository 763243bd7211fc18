//! Whether the cluster serves the resources that a command requires.

use kf_core::api::{ApiError, ErrorCode};
use kf_core::grants::RuleSet;
use kf_core::names::{Group, Plural};
use serde_json::Value;

use crate::connection::Connection;
use crate::discovery::{Discovery, DiscoveryPath, Fetch};

/// The resources of a cluster; each group is requested once.
#[derive(Debug, Default)]
pub struct ServedResources(Discovery);

impl ServedResources {
    /// The first resource of a required rule that the cluster does not serve, such as
    /// `tensorboards.tensorboard.kubeflow.org`. Kubernetes' built-in groups are assumed to be served.
    pub async fn first_missing(
        &self,
        connection: &Connection,
        rules: &RuleSet,
    ) -> Result<Option<String>, ApiError> {
        let needed = rules.rules().iter().filter(|rule| !rule.optional);
        let resources = needed.flat_map(|rule| {
            let groups = rule.api_groups.iter().filter(|group| !is_built_in(group));
            groups.flat_map(|group| rule.resources.iter().map(move |resource| (group, &resource.plural)))
        });
        for (group, plural) in resources {
            if !self.serves(connection, group, plural).await? {
                return Ok(Some(format!("{plural}.{group}")));
            }
        }
        Ok(None)
    }

    /// Whether the cluster serves a resource.
    pub async fn serves(
        &self,
        connection: &Connection,
        group: &Group,
        plural: &Plural,
    ) -> Result<bool, ApiError> {
        let kinds = self.0.group(&HostFetch(connection), group).await?;
        Ok(kinds.iter().any(|kind| kind.plural == plural.as_str()))
    }
}

/// Whether Kubernetes itself defines the group.
fn is_built_in(group: &Group) -> bool {
    !group.as_str().contains('.')
        || [
            "authentication.k8s.io",
            "authorization.k8s.io",
            "discovery.k8s.io",
            "events.k8s.io",
            "networking.k8s.io",
            "rbac.authorization.k8s.io",
            "storage.k8s.io",
        ]
        .contains(&group.as_str())
}

struct HostFetch<'a>(&'a Connection);

impl Fetch for HostFetch<'_> {
    async fn document(&self, path: DiscoveryPath) -> Result<Option<Value>, ApiError> {
        match self.0.get(&path.path()).await {
            Ok(document) => Ok(Some(document)),
            Err(error) if error.code == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
