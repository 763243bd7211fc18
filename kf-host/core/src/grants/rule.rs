//! One rule of a manifest, in the grammar of RBAC.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::names::{Group, ObjectName, Resource};

/// The verbs of RBAC that kf knows. There is no `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
    Impersonate,
    Escalate,
    Bind,
    Approve,
    Sign,
    Attest,
    Use,
}

impl Verb {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Impersonate => "impersonate",
            Self::Escalate => "escalate",
            Self::Bind => "bind",
            Self::Approve => "approve",
            Self::Sign => "sign",
            Self::Attest => "attest",
            Self::Use => "use",
        }
    }

    /// Whether it only reads. This does not hold for every subresource: `get pods/exec` runs
    /// commands.
    pub fn reads(self) -> bool {
        matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a rule applies: in the environment's namespace, as with a RoleBinding, or in the whole
/// cluster, as with a ClusterRoleBinding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    #[default]
    Environment,
    Cluster,
}

/// What a command is allowed to do with some resources.
///
/// An empty list means nothing, never everything; only `resourceNames` can be omitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    pub api_groups: Vec<Group>,
    pub resources: Vec<Resource>,
    pub verbs: Vec<Verb>,
    /// Any name if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<ObjectName>,
    #[serde(default)]
    pub scope: Scope,
    /// Secrets are read with their data; without it, only with their keys.
    #[serde(default, skip_serializing_if = "is_false")]
    pub data: bool,
    /// Server-side apply may take over fields of other managers.
    #[serde(default, skip_serializing_if = "is_false")]
    pub force: bool,
    /// The command works without it, with less functionality: a user who lacks it gets a note, not an
    /// error. It does not change what is granted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A rule that cannot be granted, by its position in the manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule {position} {why}")]
pub struct RuleError {
    /// Counted from 1, as in `--explain`.
    pub position: usize,
    pub why: String,
}

/// The most rules a set may have. Consent is asked for all of them at once.
pub const MAX_RULES: usize = 64;

/// The most entries each list of a rule may have.
pub const MAX_ENTRIES: usize = 64;

/// The most permissions of one set: groups × resources × verbs × names, over all rules.
pub const MAX_PERMISSIONS: usize = 1024;

/// `get, list pods, pods/log`, as a line of a table; groups where they are not core.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list<T: ToString>(items: &[T]) -> String {
            items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
        write!(f, "{} {}", list(&self.verbs), list(&self.resources))?;
        let groups: Vec<String> =
            self.api_groups.iter().filter(|group| !group.is_core()).map(ToString::to_string).collect();
        if !groups.is_empty() {
            write!(f, " in {}", list(&groups))?;
        }
        if !self.resource_names.is_empty() {
            write!(f, " named {}", list(&self.resource_names))?;
        }
        if self.data {
            f.write_str(" with their data")?;
        }
        if self.force {
            f.write_str(" taking over fields")?;
        }
        if self.scope == Scope::Cluster {
            f.write_str(" in the whole cluster")?;
        }
        if self.optional {
            f.write_str(" (optional)")?;
        }
        Ok(())
    }
}

impl Rule {
    /// Reads one rule; `position` counts from 1.
    pub fn parse(position: usize, value: &serde_json::Value) -> Result<Self, RuleError> {
        let fail = |why: String| RuleError { position, why };
        if let Some(field) = wildcard(value) {
            return Err(fail(format!("has a wildcard in `{field}`; list each value")));
        }
        let rule: Self = Deserialize::deserialize(value).map_err(|e| fail(format!("is invalid: {e}")))?;
        rule.check().map_err(fail)?;
        Ok(rule)
    }

    fn check(&self) -> Result<(), String> {
        for (field, empty) in [
            ("apiGroups", self.api_groups.is_empty()),
            ("resources", self.resources.is_empty()),
            ("verbs", self.verbs.is_empty()),
        ] {
            if empty {
                return Err(format!("allows nothing: `{field}` is empty"));
            }
        }
        for (field, length) in [
            ("apiGroups", self.api_groups.len()),
            ("resources", self.resources.len()),
            ("verbs", self.verbs.len()),
            ("resourceNames", self.resource_names.len()),
        ] {
            if length > MAX_ENTRIES {
                return Err(format!("has {length} entries in `{field}`, at most {MAX_ENTRIES} are allowed"));
            }
        }
        if let Some(proxy) =
            self.resources.iter().find(|r| r.subresource.as_ref().is_some_and(|s| s.as_str() == "proxy"))
        {
            return Err(format!("asks for `{proxy}`, which is raw access and can never be granted"));
        }
        if self.data && !self.only_secrets() {
            return Err("has `data = true` but is not limited to secrets".into());
        }
        if self.force && !self.verbs.contains(&Verb::Patch) {
            return Err("has `force = true` without the verb `patch`".into());
        }
        Ok(())
    }

    fn only_secrets(&self) -> bool {
        self.api_groups.iter().all(Group::is_core) && self.resources.iter().all(|r| r.is("secrets"))
    }

    /// How many single permissions it expands to.
    pub fn size(&self) -> usize {
        [self.api_groups.len(), self.resources.len(), self.verbs.len(), self.resource_names.len().max(1)]
            .into_iter()
            .fold(1, usize::saturating_mul)
    }
}

/// The first list that contains a `*`.
fn wildcard(value: &serde_json::Value) -> Option<&'static str> {
    ["apiGroups", "resources", "verbs", "resourceNames"].into_iter().find(|field| {
        value
            .get(field)
            .and_then(serde_json::Value::as_array)
            .is_some_and(|list| list.iter().any(|v| v.as_str().is_some_and(|s| s.contains('*'))))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(value: serde_json::Value) -> String {
        Rule::parse(1, &value).unwrap_err().to_string()
    }

    #[test]
    fn rule_parses_as_in_rbac() {
        let rule = Rule::parse(
            1,
            &json!({"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}),
        )
        .unwrap();
        assert_eq!(rule.scope, Scope::Environment);
        assert_eq!(rule.size(), 4);
    }

    #[test]
    fn missing_or_unknown_field_is_refused() {
        let whole = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]});
        for field in ["apiGroups", "resources", "verbs"] {
            let mut value = whole.clone();
            value.as_object_mut().unwrap().remove(field);
            assert!(refused(value).contains(field));
            let mut value = whole.clone();
            value[field] = json!([]);
            assert!(refused(value).contains("allows nothing"));
        }
        let mut value = whole.clone();
        value["nonResourceURLs"] = json!(["/metrics"]);
        assert!(refused(value).contains("nonResourceURLs"));
        let mut value = whole.clone();
        value["scope"] = json!("galaxy");
        assert!(refused(value).contains("galaxy"));
        assert!(Rule::parse(1, &json!("get pods")).is_err());
        assert!(Rule::parse(1, &json!(null)).is_err());
    }

    #[test]
    fn rule_with_too_many_entries_is_refused() {
        let names = |count: usize| {
            let names: Vec<String> = (0..count).map(|n| format!("name-{n}")).collect();
            json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": names})
        };
        Rule::parse(1, &names(MAX_ENTRIES)).unwrap();
        assert!(refused(names(MAX_ENTRIES + 1)).contains("`resourceNames`"));
        for field in ["apiGroups", "resources"] {
            let mut rule = json!({"apiGroups": ["a"], "resources": ["pods"], "verbs": ["get"]});
            rule[field] = json!((0..=MAX_ENTRIES).map(|n| format!("x{n}")).collect::<Vec<_>>());
            assert!(refused(rule).contains(field), "{field}");
        }
        let verbs = vec!["get"; MAX_ENTRIES + 1];
        assert!(
            refused(json!({"apiGroups": [""], "resources": ["pods"], "verbs": verbs})).contains("`verbs`")
        );
    }

    #[test]
    fn wildcard_in_any_list_is_refused() {
        for (field, value) in [
            ("apiGroups", "*"),
            ("resources", "*"),
            ("resources", "pods/*"),
            ("verbs", "*"),
            ("resourceNames", "*"),
        ] {
            let mut rule = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]});
            rule[field] = json!([value]);
            assert!(refused(rule).contains("wildcard"), "{field} {value}");
        }
    }

    #[test]
    fn proxy_subresource_is_refused() {
        for resource in ["pods/proxy", "services/proxy", "nodes/proxy"] {
            let rule =
                json!({"apiGroups": [""], "resources": [resource], "verbs": ["get"], "scope": "cluster"});
            assert!(refused(rule).contains("never be granted"));
        }
    }

    #[test]
    fn data_without_secrets_and_force_without_patch_are_refused() {
        let rule =
            json!({"apiGroups": [""], "resources": ["secrets", "pods"], "verbs": ["get"], "data": true});
        assert!(refused(rule).contains("limited to secrets"));
        let rule = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "force": true});
        assert!(refused(rule).contains("patch"));
    }
}
