//! Sets of rules, compared by what they allow and not by how they are written.
//!
//! A set is kept twice: as the author wrote it, for people, and expanded to single permissions, for
//! decisions. Two sets that allow the same have the same permissions and so the same digest, however
//! their rules are grouped or ordered; a consent given for the one is valid for the other.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::decide::{Access, Want};
use super::rule::{MAX_PERMISSIONS, MAX_RULES, Rule, RuleError, Scope, Verb};
use crate::digest::Digest;
use crate::names::{Group, ObjectName, Resource};

/// One verb on one resource: the smallest thing that can be granted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Permission {
    pub group: Group,
    pub resource: Resource,
    pub verb: Verb,
    /// Any name if absent.
    pub name: Option<ObjectName>,
    pub scope: Scope,
    pub data: bool,
    pub force: bool,
}

impl Permission {
    /// Whether this one includes `other`.
    pub fn covers(&self, other: &Self) -> bool {
        self.group == other.group
            && self.resource == other.resource
            && self.verb == other.verb
            && (self.name.is_none() || self.name == other.name)
            && self.scope >= other.scope
            && self.data >= other.data
            && self.force >= other.force
    }

    /// Whether it allows the access, in the run's environment or elsewhere.
    fn allows(&self, access: &Access) -> bool {
        let has_extra = match access.want {
            Want::Plain => true,
            Want::Data => self.data,
            Want::Force => self.force,
        };
        self.group == access.group
            && self.resource == access.resource
            && self.verb == access.verb
            && (self.name.is_none() || self.name == access.name)
            && (self.scope == Scope::Cluster || access.in_environment())
            && has_extra
    }
}

/// The rules of a manifest, a ceiling, a consent or an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSet {
    rules: Vec<Rule>,
    permissions: BTreeSet<Permission>,
}

impl RuleSet {
    /// Parses a manifest's list of rules. One invalid rule makes the set invalid.
    pub fn parse(values: &[Value]) -> Result<Self, RuleError> {
        if values.len() > MAX_RULES {
            let why =
                format!("is over the limit: a set has at most {MAX_RULES} rules, this one {}", values.len());
            return Err(RuleError { position: MAX_RULES + 1, why });
        }
        let rules = values
            .iter()
            .enumerate()
            .map(|(at, value)| Rule::parse(at + 1, value))
            .collect::<Result<Vec<_>, _>>()?;
        let size = rules.iter().map(Rule::size).fold(0, usize::saturating_add);
        if size > MAX_PERMISSIONS {
            let why = format!("brings the set to {size} permissions, at most {MAX_PERMISSIONS} are allowed");
            return Err(RuleError { position: rules.len(), why });
        }
        let permissions = minimal(rules.iter().flat_map(spelled_out));
        Ok(Self { rules, permissions })
    }

    /// The rules as they were written; empty for a set made from permissions.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The smallest list of permissions, in canonical order.
    pub fn permissions(&self) -> impl Iterator<Item = &Permission> {
        self.permissions.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.permissions.is_empty()
    }

    /// The digest of the canonical JSON; equal for sets that allow the same.
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(&self.permissions).unwrap_or_default())
    }

    /// Whether some rule allows the access.
    pub fn allows(&self, access: &Access) -> bool {
        self.permissions.iter().any(|p| p.allows(access))
    }

    /// The position, from 1, of the first written rule that allows the access.
    pub fn allowing_rule(&self, access: &Access) -> Option<usize> {
        self.rules.iter().position(|rule| spelled_out(rule).any(|p| p.allows(access))).map(|at| at + 1)
    }

    /// Whether this set allows everything that `other` allows.
    pub fn covers(&self, other: &Self) -> bool {
        other.permissions.iter().all(|p| self.covers_permission(p))
    }

    pub fn covers_permission(&self, permission: &Permission) -> bool {
        self.permissions.iter().any(|p| p.covers(permission))
    }

    /// What an upgrade from `self` to `new` adds; empty if no consent is needed.
    #[must_use]
    pub fn growth(&self, new: &Self) -> Self {
        Self::from_permissions(new.permissions.iter().filter(|p| !self.covers_permission(p)).cloned())
    }

    pub fn from_permissions(permissions: impl IntoIterator<Item = Permission>) -> Self {
        Self { rules: Vec::new(), permissions: minimal(permissions) }
    }
}

/// Every single permission of a rule. `data` and `force` are kept only on verbs that use them.
pub fn spelled_out(rule: &Rule) -> impl Iterator<Item = Permission> + '_ {
    let names: Vec<Option<ObjectName>> = if rule.resource_names.is_empty() {
        vec![None]
    } else {
        rule.resource_names.iter().cloned().map(Some).collect()
    };
    rule.api_groups.iter().flat_map(move |group| {
        let names = names.clone();
        rule.resources.iter().flat_map(move |resource| {
            let names = names.clone();
            rule.verbs.iter().flat_map(move |verb| {
                names.clone().into_iter().map(move |name| Permission {
                    group: group.clone(),
                    resource: resource.clone(),
                    verb: *verb,
                    name,
                    scope: rule.scope,
                    data: rule.data && verb.reads(),
                    force: rule.force && *verb == Verb::Patch,
                })
            })
        })
    })
}

/// Drops permissions that another one covers.
fn minimal(permissions: impl IntoIterator<Item = Permission>) -> BTreeSet<Permission> {
    let all: BTreeSet<Permission> = permissions.into_iter().collect();
    all.iter().filter(|p| !all.iter().any(|q| *p != q && q.covers(p))).cloned().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::grants::oracle;
    use crate::grants::rule::MAX_ENTRIES;

    #[test]
    fn equal_rights_have_equal_digests() {
        let one = RuleSet::parse(&[
            json!({"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["list", "get"]}),
        ])
        .unwrap();
        let two = RuleSet::parse(&[
            json!({"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get", "list"]}),
            json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}),
            json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": ["web-0"]}),
        ])
        .unwrap();
        assert_eq!(one.digest(), two.digest());
        assert_ne!(one.digest(), RuleSet::default().digest());
    }

    #[test]
    fn growth_has_only_new_permissions() {
        let old =
            RuleSet::parse(&[json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]})]).unwrap();
        let new = RuleSet::parse(&[
            json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "scope": "cluster"}),
        ])
        .unwrap();
        assert_eq!(old.growth(&new).permissions().count(), 1);
        assert!(new.growth(&old).is_empty());
    }

    #[test]
    fn set_with_one_invalid_rule_is_refused() {
        let good = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]});
        let error = RuleSet::parse(&[good, json!({})]).unwrap_err();
        assert_eq!(error.position, 2);
    }

    #[test]
    fn set_with_too_many_permissions_is_refused() {
        let names: Vec<String> = (0..MAX_ENTRIES).map(|n| format!("name-{n}")).collect();
        let kinds: Vec<String> = (0..MAX_PERMISSIONS / MAX_ENTRIES).map(|n| format!("kind-{n}")).collect();
        let rule = |verbs: &[&str]| json!({"apiGroups": [""], "resources": kinds, "verbs": verbs, "resourceNames": names});
        RuleSet::parse(&[rule(&["get"])]).unwrap();
        let error = RuleSet::parse(&[rule(&["get", "list"])]).unwrap_err();
        assert!(error.why.contains(&MAX_PERMISSIONS.to_string()), "{error}");
    }

    #[test]
    fn set_with_too_many_rules_is_refused() {
        let rule = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]});
        RuleSet::parse(&vec![rule.clone(); MAX_RULES]).unwrap();
        let error = RuleSet::parse(&vec![rule; MAX_RULES + 1]).unwrap_err();
        assert_eq!(error.position, MAX_RULES + 1);
    }

    proptest! {
        #[test]
        fn set_covers_another_iff_growth_is_empty(a in oracle::rule_sets(), b in oracle::rule_sets()) {
            prop_assert_eq!(a.covers(&b), a.growth(&b).is_empty());
            if a.digest() == b.digest() {
                prop_assert!(a.covers(&b) && b.covers(&a));
            }
        }

        #[test]
        fn expanded_permissions_allow_the_same_as_rules(set in oracle::rule_sets(), access in oracle::accesses()) {
            prop_assert_eq!(set.allows(&access), oracle::allows(set.rules(), &access));
            prop_assert_eq!(set.allowing_rule(&access).is_some(), set.allows(&access));
        }
    }
}
