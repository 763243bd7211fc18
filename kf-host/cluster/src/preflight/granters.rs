//! Who can grant rights in a namespace, for the hint of a refusal.

use std::collections::BTreeSet;

use kf_core::grants::Granter;
use kf_core::names::Namespace;
use kf_core::text::one_line;
use serde_json::Value;

use crate::connection::Connection;

/// Roles that can bind roles, each with the role to ask for.
const GRANTING: [(&str, &str); 2] = [("kubeflow-admin", "kubeflow-edit"), ("admin", "edit")];

/// The owners according to the namespace's role bindings; empty if the user is not allowed to read them, if there are
/// none, or on any error, as this is only for a hint.
pub async fn granters(connection: &Connection, namespace: &Namespace) -> Vec<Granter> {
    let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings?limit=500");
    match connection.get(&path).await {
        Ok(bindings) => from_bindings(&bindings),
        Err(_) => Vec::new(),
    }
}

fn from_bindings(bindings: &Value) -> Vec<Granter> {
    let items = bindings.get("items").and_then(Value::as_array).into_iter().flatten();
    let found: BTreeSet<Granter> = items.flat_map(granted_by).collect();
    found.into_iter().collect()
}

fn granted_by(binding: &Value) -> Vec<Granter> {
    let text = |pointer: &str| binding.pointer(pointer).and_then(Value::as_str);
    let (Some("ClusterRole"), Some(role)) = (text("/roleRef/kind"), text("/roleRef/name")) else {
        return Vec::new();
    };
    let Some((_, enough)) = GRANTING.iter().find(|(granting, _)| *granting == role) else {
        return Vec::new();
    };
    let subjects = binding.get("subjects").and_then(Value::as_array).into_iter().flatten();
    subjects
        .filter_map(|subject| {
            let name = one_line(subject.get("name")?.as_str()?);
            let subject = match subject.get("kind")?.as_str()? {
                "User" => name,
                "Group" => format!("group {name}"),
                // A service account cannot be asked.
                _ => return None,
            };
            Some(Granter { subject, role: role.to_owned(), enough: Some((*enough).to_owned()) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn binding(role_kind: &str, role: &str, subject_kind: &str, subject: &str) -> Value {
        json!({"roleRef": {"kind": role_kind, "name": role},
               "subjects": [{"kind": subject_kind, "name": subject}]})
    }

    #[test]
    fn granters_are_users_and_groups_with_granting_role() {
        let bindings = json!({"items": [
            binding("ClusterRole", "kubeflow-admin", "User", "bob"),
            binding("ClusterRole", "kubeflow-edit", "User", "alice"),
            binding("ClusterRole", "admin", "Group", "ml-admins"),
            binding("ClusterRole", "admin", "ServiceAccount", "robot"),
            binding("Role", "admin", "User", "mallory"),
            {"roleRef": {}},
        ]});
        let found: Vec<_> = from_bindings(&bindings).into_iter().map(|g| (g.subject, g.enough)).collect();
        assert_eq!(
            found,
            [
                ("bob".to_owned(), Some("kubeflow-edit".to_owned())),
                ("group ml-admins".to_owned(), Some("edit".to_owned())),
            ]
        );
    }
}
