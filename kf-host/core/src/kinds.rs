//! Kinds and the resources that serve them.

use crate::names::{Group, KindName, Plural, Version};

/// A kind, and the group, version and resource that serve it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    pub group: Group,
    pub version: Version,
    pub kind: KindName,
    pub plural: Plural,
    pub namespaced: bool,
}

impl Served {
    /// The `apiVersion` of a body: `v1`, `batch/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_core() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

/// Group, version, kind, plural, namespaced: stable kinds that every cluster serves.
const BUILT_IN: &[(&str, &str, &str, &str, bool)] = &[
    ("", "v1", "ConfigMap", "configmaps", true),
    ("", "v1", "Event", "events", true),
    ("", "v1", "Namespace", "namespaces", false),
    ("", "v1", "Node", "nodes", false),
    ("", "v1", "PersistentVolume", "persistentvolumes", false),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", true),
    ("", "v1", "Pod", "pods", true),
    ("", "v1", "ResourceQuota", "resourcequotas", true),
    ("", "v1", "LimitRange", "limitranges", true),
    ("", "v1", "Secret", "secrets", true),
    ("", "v1", "Service", "services", true),
    ("", "v1", "ServiceAccount", "serviceaccounts", true),
    ("apps", "v1", "DaemonSet", "daemonsets", true),
    ("apps", "v1", "Deployment", "deployments", true),
    ("apps", "v1", "ReplicaSet", "replicasets", true),
    ("apps", "v1", "StatefulSet", "statefulsets", true),
    ("batch", "v1", "CronJob", "cronjobs", true),
    ("batch", "v1", "Job", "jobs", true),
    ("networking.k8s.io", "v1", "Ingress", "ingresses", true),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", true),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", false),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles", true),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", true),
    ("storage.k8s.io", "v1", "StorageClass", "storageclasses", false),
];

/// The kind, if it is a built-in kind of Kubernetes that every cluster serves.
pub fn built_in(group: &Group, version: Option<&Version>, kind: &KindName) -> Option<Served> {
    let (_, known, _, plural, namespaced) = BUILT_IN
        .iter()
        .find(|(g, v, k, _, _)| {
            *g == group.as_str()
                && *k == kind.as_str()
                && version.is_none_or(|version| version.as_str() == *v)
        })
        .copied()?;
    Some(Served {
        group: group.clone(),
        version: Version::parse(known).ok()?,
        kind: kind.clone(),
        plural: Plural::parse(plural).ok()?,
        namespaced,
    })
}

/// The fields that a field selector of a kind can use, besides the name and the namespace.
pub fn selectable_fields(group: &Group, kind: &KindName) -> &'static [&'static str] {
    match (group.as_str(), kind.as_str()) {
        ("", "Pod") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        ("", "Event") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        ("", "Namespace") => &["status.phase"],
        ("", "Node") => &["spec.unschedulable"],
        ("", "Secret") => &["type"],
        ("batch", "Job") => &["status.successful"],
        _ => &[],
    }
}
