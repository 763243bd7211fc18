//! What one run of a command may do: every layer's word but the cluster's.

use std::collections::BTreeSet;

use kf_core::Failure;
use kf_core::grants::{Ceiling, Consent, Grants, RuleSet, RunFlags};
use kf_core::pod_http::PodHeader;
use kf_registry::index::Origin;
use kf_registry::receipt::Receipt;

use crate::installed::unusable;
use crate::rights::Rights;

/// Manifest ∩ ceiling ∩ consent ∩ the flags of the run. `rules` are the manifest's.
pub fn compose(receipt: &Receipt, rules: &RuleSet, run: RunFlags) -> Result<Grants, Failure> {
    let parsed = |rules: &[serde_json::Value]| {
        RuleSet::parse(rules).map_err(|error| unusable(receipt, &format_args!("its {error}")))
    };
    let component = receipt.program_digest().to_string();
    let consent =
        Consent { component: component.clone(), rules: parsed(&receipt.consent.permissions.kubernetes)? };
    Ok(Grants {
        component,
        manifest: rules.clone(),
        ceiling: match receipt.origin {
            Origin::Registry { .. } | Origin::BuiltIn => {
                Ceiling::Registry(parsed(&receipt.ceiling.kubernetes)?)
            }
            Origin::Local { .. } => Ceiling::Local,
        },
        consent: Some(consent),
        environment: None,
        run,
    })
}

/// The headers it may send to pods: manifest ∩ ceiling ∩ consent. No local file has any.
pub fn headers(receipt: &Receipt, manifest: &Rights) -> BTreeSet<PodHeader> {
    if matches!(receipt.origin, Origin::Local { .. }) {
        return BTreeSet::new();
    }
    let layers = [&receipt.ceiling.headers, &receipt.consent.permissions.headers];
    manifest
        .headers
        .iter()
        .filter(|header| layers.iter().all(|layer| layer.contains(header)))
        .cloned()
        .collect()
}
