//! The grant of one run: every layer but the cluster's own RBAC.

use std::collections::BTreeSet;

use kf_core::Failure;
use kf_core::grants::{Ceiling, Consent, Grants, RuleSet, RunFlags};
use kf_core::pod_http::PodHeader;
use kf_registry::index::Origin;
use kf_registry::receipt::Receipt;

use crate::installed::invalid_receipt;
use crate::rights::Rights;

/// Manifest ∩ ceiling ∩ consent ∩ the flags of the run. `rules` are the manifest's.
pub fn compose(receipt: &Receipt, rules: &RuleSet, run: RunFlags) -> Result<Grants, Failure> {
    let parsed =
        |rules: &[serde_json::Value]| RuleSet::parse(rules).map_err(|error| invalid_receipt(receipt, &error));
    let component = receipt.program_digest().to_string();
    let consent =
        Consent { component: component.clone(), rules: parsed(&receipt.consent.permissions.kubernetes)? };
    Ok(Grants {
        component,
        manifest: rules.clone(),
        ceiling: match receipt.origin {
            Origin::Registry { .. } | Origin::BuiltIn { .. } => {
                Ceiling::Registry(parsed(&receipt.ceiling.kubernetes)?)
            }
            Origin::Local { .. } => Ceiling::Local,
        },
        consent: Some(consent),
        environment: None,
        run,
    })
}

/// The headers it may send to pods: manifest ∩ ceiling ∩ consent. A local file may send none.
pub fn headers(receipt: &Receipt, manifest: &Rights) -> BTreeSet<PodHeader> {
    let is_local = matches!(receipt.origin, Origin::Local { .. });
    let ceiling = if is_local { &BTreeSet::new() } else { &receipt.ceiling.headers };
    intersection([&manifest.headers, ceiling, &receipt.consent.permissions.headers])
}

fn intersection(layers: [&BTreeSet<PodHeader>; 3]) -> BTreeSet<PodHeader> {
    let [manifest, ceiling, consent] = layers;
    manifest.iter().filter(|header| ceiling.contains(header) && consent.contains(header)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_missing_in_one_layer_is_not_granted() {
        let named = |names: &[&str]| names.iter().map(|name| PodHeader::parse(name).unwrap()).collect();
        let (both, one): (BTreeSet<_>, BTreeSet<_>) = (named(&["x-a", "x-b"]), named(&["x-b"]));
        for layers in [[&one, &both, &both], [&both, &one, &both], [&both, &both, &one]] {
            assert_eq!(intersection(layers), one);
        }
        let none = BTreeSet::new();
        for layers in [[&none, &both, &both], [&both, &none, &both], [&both, &both, &none]] {
            assert_eq!(intersection(layers), none);
        }
    }
}
