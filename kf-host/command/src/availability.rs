//! Whether this user can run commands in the namespace of the command line.

use std::collections::BTreeMap;

use kf_cluster::connection::Connection;
use kf_cluster::preflight;
use kf_core::api::ApiError;
use kf_core::grants::RuleSet;
use kf_core::names::Namespace;
use kf_core::{Failure, PluginName};
use kf_home::Home;
use kf_home::trusted::OwnPath;

use crate::cluster::{Target, block_on};

/// The user's own rights to a command's rules in the namespace of the command line.
#[derive(Clone, Debug)]
pub struct OwnRights {
    pub namespace: String,
    /// In the manifest's order.
    pub rules: Vec<OwnRule>,
}

/// A rule and the rights that the user lacks for it.
#[derive(Clone, Debug)]
pub struct OwnRule {
    /// `get, list pods, pods/log`
    pub rule: String,
    /// `create trainjobs.trainer.kubeflow.org in team-a`
    pub missing: Vec<String>,
    /// Whether the command works without it.
    pub optional: bool,
}

impl OwnRule {
    pub fn is_held(&self) -> bool {
        self.missing.is_empty()
    }
}

impl OwnRights {
    pub fn are_complete(&self) -> bool {
        self.rules.iter().all(OwnRule::is_held)
    }

    /// The missing rights that the command requires; those of optional rules are not among them.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter(|rule| !rule.optional).flat_map(|rule| &rule.missing).map(String::as_str)
    }
}

/// Whether a command can run in the namespace of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    Ready,
    NotServed { resource: String },
    NotPermitted { missing: String },
    Unknown { why: String },
}

impl Availability {
    /// The value in tables and in JSON.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotServed { .. } => "not served",
            Self::NotPermitted { .. } => "not permitted",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// The reason why it is not ready.
    pub fn why(&self) -> Option<String> {
        match self {
            Self::Ready => None,
            Self::NotServed { resource } => Some(format!("needs {resource}; ask your admin")),
            Self::NotPermitted { missing } => Some(format!("you lack {missing}")),
            Self::Unknown { why } => Some(why.clone()),
        }
    }
}

/// Checks all commands over one connection.
pub fn of_all(
    home: &Home,
    target: &Target,
    commands: &[(PluginName, RuleSet)],
) -> BTreeMap<PluginName, Availability> {
    let with_rules: Vec<_> = commands.iter().filter(|(_, rules)| !rules.is_empty()).collect();
    let mut found: BTreeMap<_, _> =
        commands.iter().map(|(name, _)| (name.clone(), Availability::Ready)).collect();
    let asked = RightsCheck::open(home, target).and_then(|check| {
        block_on(async {
            let mut answers = Vec::new();
            for (name, rules) in &with_rules {
                answers.push((name.clone(), check.availability(rules).await));
            }
            answers
        })
    });
    match asked {
        Ok(answers) => found.extend(answers),
        Err(error) => {
            let unknown = |(name, _): &(PluginName, _)| {
                (name.clone(), Availability::Unknown { why: error.message().to_owned() })
            };
            found.extend(with_rules.into_iter().map(unknown));
        }
    }
    found
}

/// Asks the API server for the user's own rights, all at once; what is allowed is cached for a minute.
pub fn own_rights(home: &Home, target: &Target, rules: &RuleSet) -> Result<OwnRights, Failure> {
    own_rights_of_all(home, target, &[rules])
}

/// The same for the rules of several commands, over one connection.
pub fn own_rights_of_all(home: &Home, target: &Target, commands: &[&RuleSet]) -> Result<OwnRights, Failure> {
    let check = RightsCheck::open(home, target)?;
    let asked = block_on(async {
        let mut all = OwnRights { namespace: check.namespace.to_string(), rules: Vec::new() };
        for rules in commands {
            all.rules.extend(check.rights(rules).await?.rules);
        }
        Ok::<_, ApiError>(all)
    });
    Ok(asked??)
}

/// Checks the user's rights in one namespace.
struct RightsCheck {
    connection: Connection,
    namespace: Namespace,
    served: preflight::ServedResources,
    cache: OwnPath,
}

impl RightsCheck {
    fn open(home: &Home, target: &Target) -> Result<Self, Failure> {
        let settings = target.settings(home)?;
        Ok(Self {
            namespace: settings.namespace.clone(),
            connection: target.connect(settings),
            served: preflight::ServedResources::default(),
            cache: home.cache.at("rights.json"),
        })
    }

    async fn availability(&self, rules: &RuleSet) -> Availability {
        let unknown = |error: ApiError| Availability::Unknown { why: error.message };
        match self.served.first_missing(&self.connection, rules).await {
            Ok(None) => {}
            Ok(Some(resource)) => return Availability::NotServed { resource },
            Err(error) => return unknown(error),
        }
        match self.rights(rules).await {
            Err(error) => unknown(error),
            Ok(own) => match own.missing().next() {
                None => Availability::Ready,
                Some(missing) => Availability::NotPermitted { missing: missing.to_owned() },
            },
        }
    }

    async fn rights(&self, rules: &RuleSet) -> Result<OwnRights, ApiError> {
        let asked = preflight::preflight(&self.connection, rules, &self.namespace, Some(&self.cache));
        let verdicts = asked.await?;
        let rules = verdicts
            .iter()
            .filter_map(|verdict| Some((verdict, rules.rules().get(verdict.rule.checked_sub(1)?)?)))
            .map(|(verdict, rule)| OwnRule {
                rule: rule.to_string(),
                missing: verdict.missing.iter().map(ToString::to_string).collect(),
                optional: rule.optional,
            })
            .collect();
        Ok(OwnRights { namespace: self.namespace.to_string(), rules })
    }
}
