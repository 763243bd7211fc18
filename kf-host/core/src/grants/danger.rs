//! The dangerous class: rights with which a command could gain further rights.
//!
//! The model is the list of privilege escalation risks in Kubernetes' RBAC good practices: reading
//! secrets, running workloads in other namespaces, writing roles, creating tokens or controlling
//! admission gives more than the rule says. Such a right needs a registry's ceiling that names it;
//! a command from a local file cannot have one.

use std::fmt;

use super::known::{Containers, containers};
use super::rule::{Scope, Verb};
use super::set::Permission;

/// Why a permission is dangerous, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Danger {
    /// A write beyond the environment.
    OutsideEnvironment,
    /// Labels of a namespace can disable pod security, and deleting one deletes everything in it.
    Namespaces,
    /// A persistent volume can name any path or disk.
    PersistentVolumes,
    /// Secrets hold credentials.
    Secrets,
    /// Creating tokens of service accounts.
    Tokens,
    /// Nodes and what runs on them.
    Nodes,
    /// Client certificates that the cluster trusts.
    Certificates,
    /// A write beyond the environment that starts containers, may start them, or runs commands in them.
    ContainersOutside,
    /// New kinds and aggregated APIs.
    ApiExtensions,
    /// Admission webhooks and policies see and change every object.
    Admission,
    /// Acting as another user.
    Impersonation,
    /// Roles and bindings, and the verbs that bypass RBAC's escalation check.
    Rbac,
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secrets => "secrets hold credentials",
            Self::OutsideEnvironment => "it reaches beyond the namespace",
            Self::ContainersOutside => "it can run containers or commands in every namespace",
            Self::Rbac => "it can grant rights",
            Self::Impersonation => "it can act as other users",
            Self::Tokens => "it can mint tokens",
            Self::Certificates => "it can get certificates signed",
            Self::Admission => "it can control admission",
            Self::Nodes => "it can access nodes",
            Self::PersistentVolumes => "persistent volumes can use any storage",
            Self::ApiExtensions => "it can change the APIs of the cluster",
            Self::Namespaces => "a namespace holds its policies and everything in it",
        })
    }
}

/// The danger of a permission, if it has one.
pub fn danger(permission: &Permission) -> Option<Danger> {
    let writes = writes(permission);
    let plural = permission.resource.plural.as_str();
    let subresource = permission.resource.subresource.as_ref().map(|s| s.as_str());
    match permission.verb {
        Verb::Impersonate => return Some(Danger::Impersonation),
        Verb::Escalate | Verb::Bind => return Some(Danger::Rbac),
        Verb::Approve | Verb::Sign | Verb::Attest => return Some(Danger::Certificates),
        _ => {}
    }
    match (permission.group.as_str(), plural) {
        ("", "secrets") => Some(Danger::Secrets),
        ("", "serviceaccounts") if subresource == Some("token") => Some(Danger::Tokens),
        ("", "nodes") if writes || subresource.is_some() => Some(Danger::Nodes),
        ("", "persistentvolumes") if writes => Some(Danger::PersistentVolumes),
        ("", "namespaces") if writes => Some(Danger::Namespaces),
        ("rbac.authorization.k8s.io", _) if writes => Some(Danger::Rbac),
        ("authentication.k8s.io", "tokenrequests") => Some(Danger::Tokens),
        ("certificates.k8s.io", _) if writes => Some(Danger::Certificates),
        ("admissionregistration.k8s.io", _) if writes => Some(Danger::Admission),
        ("apiextensions.k8s.io" | "apiregistration.k8s.io", _) if writes => Some(Danger::ApiExtensions),
        _ if writes && permission.scope == Scope::Cluster => Some(match enters_pods(permission) {
            false if containers(permission) == Containers::Never => Danger::OutsideEnvironment,
            _ => Danger::ContainersOutside,
        }),
        _ => None,
    }
}

/// Whether the permission lets a command run in the containers of pods.
pub fn enters_pods(permission: &Permission) -> bool {
    let resource = &permission.resource;
    permission.group.is_core() && (resource.is("pods/exec") || resource.is("pods/attach"))
}

/// Whether the permission changes or runs something. Subresources that carry a session count as
/// writes with any verb: the upgrade of `pods/exec` is a GET.
pub fn writes(permission: &Permission) -> bool {
    let session = permission
        .resource
        .subresource
        .as_ref()
        .is_some_and(|s| matches!(s.as_str(), "exec" | "attach" | "portforward" | "proxy"));
    session || !permission.verb.reads()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::grants::{Access, Ceiling, Consent, Grants, Layer, RuleSet, RunFlags, Want, decide};
    use crate::names::Namespace;

    /// Group, resource, verb, scope.
    const DANGEROUS: &[(&str, &str, &str, &str)] = &[
        ("", "secrets", "get", "environment"),
        ("", "secrets", "list", "environment"),
        ("", "secrets", "watch", "environment"),
        ("", "secrets", "create", "environment"),
        ("", "pods", "create", "cluster"),
        ("", "pods/exec", "get", "cluster"),
        ("", "pods/ephemeralcontainers", "patch", "cluster"),
        ("apps", "deployments", "create", "cluster"),
        ("apps", "daemonsets", "patch", "cluster"),
        ("batch", "jobs", "create", "cluster"),
        ("batch", "cronjobs", "update", "cluster"),
        ("trainer.kubeflow.org", "trainjobs", "create", "cluster"),
        ("rbac.authorization.k8s.io", "roles", "create", "environment"),
        ("rbac.authorization.k8s.io", "rolebindings", "patch", "environment"),
        ("rbac.authorization.k8s.io", "clusterroles", "escalate", "cluster"),
        ("rbac.authorization.k8s.io", "clusterrolebindings", "bind", "cluster"),
        ("", "serviceaccounts/token", "create", "environment"),
        ("", "users", "impersonate", "cluster"),
        ("certificates.k8s.io", "certificatesigningrequests", "create", "cluster"),
        ("certificates.k8s.io", "certificatesigningrequests/approval", "update", "cluster"),
        ("certificates.k8s.io", "signers", "sign", "cluster"),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "create", "cluster"),
        ("admissionregistration.k8s.io", "validatingadmissionpolicies", "delete", "cluster"),
        ("apiextensions.k8s.io", "customresourcedefinitions", "create", "cluster"),
        ("apiregistration.k8s.io", "apiservices", "patch", "cluster"),
        ("", "nodes", "patch", "cluster"),
        ("", "nodes/stats", "get", "cluster"),
        ("", "persistentvolumes", "create", "cluster"),
        ("", "namespaces", "create", "cluster"),
        ("", "namespaces", "patch", "cluster"),
    ];

    const ORDINARY: &[(&str, &str, &str, &str)] = &[
        ("", "pods", "create", "environment"),
        ("", "pods", "list", "cluster"),
        ("", "pods/exec", "create", "environment"),
        ("", "pods/log", "get", "environment"),
        ("", "nodes", "list", "cluster"),
        ("", "namespaces", "get", "cluster"),
        ("", "persistentvolumes", "list", "cluster"),
        ("trainer.kubeflow.org", "trainjobs", "create", "environment"),
        ("rbac.authorization.k8s.io", "rolebindings", "list", "environment"),
    ];

    fn one(&(group, resource, verb, scope): &(&str, &str, &str, &str)) -> RuleSet {
        RuleSet::parse(&[
            json!({"apiGroups": [group], "resources": [resource], "verbs": [verb], "scope": scope}),
        ])
        .unwrap()
    }

    fn decision(row: &(&str, &str, &str, &str), ceiling: Ceiling) -> Result<(), Layer> {
        let rules = one(row);
        let permission = rules.permissions().next().unwrap().clone();
        let environment = Namespace::parse("team-a").unwrap();
        let access = Access {
            verb: permission.verb,
            group: permission.group,
            resource: permission.resource,
            namespace: (permission.scope == Scope::Environment).then(|| environment.clone()),
            name: None,
            environment,
            want: Want::Plain,
        };
        let grants = Grants {
            component: "d".into(),
            manifest: rules.clone(),
            ceiling,
            consent: Some(Consent { component: "d".into(), rules }),
            environment: None,
            run: RunFlags::default(),
        };
        decide(&grants, &access).map(|_| ()).map_err(|refusal| refusal.layer)
    }

    #[test]
    fn dangerous_right_needs_ceiling_that_names_it() {
        for row in DANGEROUS {
            assert!(one(row).permissions().all(|p| danger(p).is_some()), "{row:?}");
            assert_eq!(decision(row, Ceiling::Local), Err(Layer::Registry), "{row:?}");
            let empty = Ceiling::Registry(RuleSet::default());
            assert_eq!(decision(row, empty), Err(Layer::Registry), "{row:?}");
            assert_eq!(decision(row, Ceiling::Registry(one(row))), Ok(()), "{row:?}");
        }
    }

    #[test]
    fn ordinary_right_is_allowed_without_registry() {
        for row in ORDINARY {
            assert!(one(row).permissions().all(|p| danger(p).is_none()), "{row:?}");
            assert_eq!(decision(row, Ceiling::Local), Ok(()), "{row:?}");
        }
    }

    #[test]
    fn read_rules_do_not_cover_dangerous_rights() {
        let read: Vec<serde_json::Value> = ORDINARY
            .iter()
            .map(|(group, resource, _, scope)| {
                json!({"apiGroups": [group], "resources": [resource],
                       "verbs": ["get", "list", "watch"], "scope": scope})
            })
            .collect();
        let read = RuleSet::parse(&read).unwrap();
        for row in DANGEROUS {
            assert!(!read.covers(&one(row)), "{row:?}");
        }
    }
}
