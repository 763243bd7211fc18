//! The decision whether a command is allowed an access, and if not, which layer refuses it.
//!
//! The effective grant is an intersection,
//!
//! > manifest ∩ ceiling ∩ consent ∩ flags of this run ∩ environment ∩ the user's RBAC,
//!
//! and this module decides all of it but the last part, which only the API server can. It is pure:
//! facts in, a verdict out. A missing layer refuses, and the first layer that refuses is the one
//! that is named.

use super::danger::{danger, writes};
use super::rule::{Scope, Verb};
use super::set::{Permission, RuleSet};
use super::{Layer, MissingRule, Refusal};
use crate::names::{Group, Namespace, ObjectName, Resource};

/// What an access needs in addition to its verb.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Want {
    #[default]
    Plain,
    /// The data of secrets, not just their keys.
    Data,
    /// Taking over fields of other managers on apply.
    Force,
}

/// One verb on one resource in one place, as the API server's authorizer is asked about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    pub verb: Verb,
    pub group: Group,
    pub resource: Resource,
    /// Absent for cluster-scoped kinds and for all namespaces.
    pub namespace: Option<Namespace>,
    /// Absent where a request names no object: `list`, and `create` by POST.
    pub name: Option<ObjectName>,
    /// The namespace this run is bound to.
    pub environment: Namespace,
    pub want: Want,
}

impl Access {
    pub fn in_environment(&self) -> bool {
        self.namespace.as_ref() == Some(&self.environment)
    }

    pub fn missing_rule(&self) -> MissingRule {
        MissingRule {
            verb: self.verb.to_string(),
            group: self.group.to_string(),
            resource: self.resource.to_string(),
            name: self.name.as_ref().map(ToString::to_string),
            namespace: self.namespace.as_ref().map(ToString::to_string),
        }
    }

    /// The smallest permission that allows it.
    fn permission(&self) -> Permission {
        Permission {
            group: self.group.clone(),
            resource: self.resource.clone(),
            verb: self.verb,
            name: self.name.clone(),
            scope: if self.in_environment() { Scope::Environment } else { Scope::Cluster },
            data: self.want == Want::Data,
            force: self.want == Want::Force,
        }
    }
}

/// The most a registry lets a command have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ceiling {
    /// What the signed index allows the command.
    Registry(RuleSet),
    /// A local file, which no registry vouches for: everything except the dangerous class.
    Local,
}

/// The rights that the user accepted, and for which component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// The digest of the component the user accepted.
    pub component: String,
    pub rules: RuleSet,
}

/// Limits set by the flags of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunFlags {
    pub read_only: bool,
}

/// What each layer allows in one run of one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    /// The digest of the component that is about to run.
    pub component: String,
    pub manifest: RuleSet,
    pub ceiling: Ceiling,
    pub consent: Option<Consent>,
    /// What the environment allows commands; absent if it sets no limit.
    pub environment: Option<RuleSet>,
    pub run: RunFlags,
}

/// The rule that allows an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The manifest's rule, counted from 1.
    pub rule: usize,
}

/// Checks each layer in turn.
pub fn decide(grants: &Grants, access: &Access) -> Result<Allowed, Box<Refusal>> {
    let refuse = |layer| Box::new(Refusal { layer, rule: access.missing_rule(), user: None });
    let Some(rule) = grants.manifest.allowing_rule(access) else {
        let elsewhere = access.namespace.is_some() && !access.in_environment();
        let in_own_namespace = Access { namespace: Some(access.environment.clone()), ..access.clone() };
        return Err(refuse(if elsewhere && grants.manifest.allows(&in_own_namespace) {
            Layer::Environment
        } else {
            Layer::Manifest
        }));
    };
    let below_ceiling = match &grants.ceiling {
        Ceiling::Registry(rules) => rules.allows(access),
        Ceiling::Local => danger(&access.permission()).is_none(),
    };
    if !below_ceiling {
        return Err(refuse(Layer::Registry));
    }
    let accepted = grants
        .consent
        .as_ref()
        .is_some_and(|consent| consent.component == grants.component && consent.rules.allows(access));
    if !accepted {
        return Err(refuse(Layer::Consent));
    }
    if grants.run.read_only && writes(&access.permission()) {
        return Err(refuse(Layer::Run));
    }
    if grants.environment.as_ref().is_some_and(|rules| !rules.allows(access)) {
        return Err(refuse(Layer::Environment));
    }
    Ok(Allowed { rule })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::grants::oracle;

    fn grants(manifest: RuleSet, ceiling: RuleSet, consent: RuleSet) -> Grants {
        Grants {
            component: "d1".into(),
            manifest,
            ceiling: Ceiling::Registry(ceiling),
            consent: Some(Consent { component: "d1".into(), rules: consent }),
            environment: None,
            run: RunFlags::default(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(800))]

        #[test]
        fn access_is_allowed_if_every_layer_allows_it(
            manifest in oracle::rule_sets(),
            ceiling in oracle::rule_sets(),
            consent in oracle::rule_sets(),
            environment in prop::option::of(oracle::rule_sets()),
            read_only in any::<bool>(),
            same_component in any::<bool>(),
            access in oracle::accesses(),
        ) {
            let mut grants = grants(manifest.clone(), ceiling.clone(), consent.clone());
            grants.environment = environment.clone();
            grants.run.read_only = read_only;
            if !same_component {
                grants.component = "d2".into();
            }
            let expected = oracle::allows(manifest.rules(), &access)
                && oracle::allows(ceiling.rules(), &access)
                && same_component && oracle::allows(consent.rules(), &access)
                && (!read_only || access.verb.reads())
                && environment.is_none_or(|rules| oracle::allows(rules.rules(), &access));
            prop_assert_eq!(decide(&grants, &access).is_ok(), expected);
        }

        #[test]
        fn allowed_access_names_a_rule_that_allows_it(manifest in oracle::rule_sets(), access in oracle::accesses()) {
            let all = grants(manifest.clone(), manifest.clone(), manifest.clone());
            if let Ok(allowed) = decide(&all, &access) {
                let rule = &manifest.rules()[allowed.rule - 1];
                prop_assert!(oracle::allows(std::slice::from_ref(rule), &access));
            }
        }

        #[test]
        fn missing_consent_refuses_everything(manifest in oracle::rule_sets(), access in oracle::accesses()) {
            let mut grants = grants(manifest.clone(), manifest.clone(), manifest);
            grants.consent = None;
            prop_assert!(decide(&grants, &access).is_err());
        }

        #[test]
        fn resource_does_not_imply_its_subresources(manifest in oracle::rule_sets(), access in oracle::accesses()) {
            let all = grants(manifest.clone(), manifest.clone(), manifest.clone());
            if decide(&all, &access).is_ok() {
                prop_assert!(manifest.rules().iter().any(|r| r.resources.contains(&access.resource)));
            }
        }
    }

    #[test]
    fn other_namespace_is_refused_by_environment() {
        let rules = RuleSet::parse(&[
            serde_json::json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}),
        ])
        .unwrap();
        let grants = grants(rules.clone(), rules.clone(), rules);
        let mut access = Access {
            verb: Verb::Get,
            group: Group::core(),
            resource: Resource::parse("pods").unwrap(),
            namespace: Some(Namespace::parse("team-b").unwrap()),
            name: None,
            environment: Namespace::parse("team-a").unwrap(),
            want: Want::Plain,
        };
        assert_eq!(decide(&grants, &access).unwrap_err().layer, Layer::Environment);
        access.namespace = None;
        assert_eq!(decide(&grants, &access).unwrap_err().layer, Layer::Manifest);
    }
}
