//! What prevents a run on this cluster. Nothing is started and nothing is changed.

use kf_cluster::checkup::{self, Checkup, Questions};
use kf_cluster::kubeconfig::Settings;
use kf_core::Failure;
use kf_core::grants::RuleSet;
use kf_core::names::{Group, Plural};
use kf_home::Home;
use serde_json::Value;

use crate::cluster::{Target, block_on};
use crate::installed::{Installed, invalid_receipt};

/// The rules that a command requires, without the optional ones.
pub fn needs(installed: &Installed) -> Result<RuleSet, Failure> {
    let is_optional = |rule: &&Value| rule.get("optional").and_then(Value::as_bool) == Some(true);
    let rules = installed.receipt.permissions.kubernetes.iter();
    let rules: Vec<Value> = rules.filter(|rule| !is_optional(rule)).cloned().collect();
    RuleSet::parse(&rules).map_err(|error| invalid_receipt(&installed.receipt, &error))
}

/// Checks the cluster, the resources it serves, and the user's rights.
pub fn run(
    home: &Home,
    target: &Target,
    settings: Settings,
    resources: &[(Group, Plural)],
    rules: &[RuleSet],
) -> Result<Checkup, Failure> {
    let namespace = settings.namespace.clone();
    let connection = target.connect(settings);
    let cache = home.cache.at("rights.json");
    let questions = Questions { namespace: &namespace, resources, rules, cache: Some(&cache) };
    block_on(checkup::checkup(&connection, questions))
}
