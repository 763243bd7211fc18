//! Which layer refused a call, and who can grant the missing right.

use std::collections::BTreeMap;

use kf_cluster::preflight;
use kf_core::grants::{Granter, Layer, Refusal};
use kf_core::names::Namespace;
use kf_core::{Failure, Kind};
use kf_registry::index::Origin;
use kf_registry::receipt::Receipt;

use crate::cluster::block_on;
use crate::hints::reinstall;
use crate::refusal::{self, Who};
use crate::run::ClusterRun;

pub(crate) fn explain(receipt: &Receipt, cluster: &ClusterRun, refusal: &Refusal) -> Failure {
    let granters = granters(cluster, refusal);
    let reinstall = reinstall(receipt);
    let who = Who {
        command: receipt.name.as_str(),
        reinstall: &reinstall,
        environment: cluster.namespace.as_str(),
        from_registry: !matches!(receipt.origin, Origin::Local { .. }),
        granters: &granters,
    };
    let explained = refusal::explain(refusal, who);
    let json = refusal::to_json(refusal, who);
    let mut failure = Failure::new(Kind::Forbidden, explained.headline.clone())
        .details(explained.lines().iter().map(|line| line.trim_start().to_owned()))
        .details(also_missing(cluster, refusal))
        .hint(explained.hint);
    for (name, value) in json.get("error").and_then(|error| error.as_object()).into_iter().flatten() {
        if !["code", "message", "hint"].contains(&name.as_str()) {
            failure = failure.field(name, value.clone());
        }
    }
    failure
}

/// The other rights that the user lacks, so that one request to an owner of the namespace is enough.
fn also_missing(cluster: &ClusterRun, refusal: &Refusal) -> Vec<String> {
    if refusal.layer != Layer::Rbac {
        return Vec::new();
    }
    let ClusterRun { connection, rules, namespace, .. } = cluster;
    let asked = block_on(preflight::preflight(connection, rules, namespace, None));
    let needed = asked.into_iter().flatten().flatten().filter(|verdict| {
        let rule = verdict.rule.checked_sub(1).and_then(|at| rules.rules().get(at));
        rule.is_some_and(|rule| !rule.optional)
    });
    let mut verbs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for missing in needed.flat_map(|verdict| verdict.missing) {
        if (&missing.verb, &missing.resource) != (&refusal.rule.verb, &refusal.rule.resource) {
            verbs.entry(missing.full_resource()).or_default().push(missing.verb);
        }
    }
    let missing: Vec<String> =
        verbs.iter().map(|(resource, verbs)| format!("{} {resource}", verbs.join(", "))).collect();
    if missing.is_empty() { Vec::new() } else { vec![format!("also missing: {}", missing.join("; "))] }
}

/// Who can grant rights, if the user is allowed to know.
fn granters(cluster: &ClusterRun, refusal: &Refusal) -> Vec<Granter> {
    let Some(namespace) = &refusal.rule.namespace else { return Vec::new() };
    if refusal.layer != Layer::Rbac {
        return Vec::new();
    }
    let Ok(namespace) = Namespace::parse(namespace.as_str()) else { return Vec::new() };
    block_on(preflight::granters(&cluster.connection, &namespace)).unwrap_or_default()
}
