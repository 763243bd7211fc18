//! Whether what keeps a controller from making pods can pass.
//!
//! A controller goes on trying whatever the API server answers, and no condition says that it is in vain. Its event
//! says what was answered: a quota that others use up may be free again in a minute, an object that is not valid stays
//! so.

use std::collections::BTreeMap;

use crate::quantity::Quantity;

/// Whether a controller's complaint is about something that stays as it is: what it wants to make is not valid, or
/// asks for more than the whole quota.
pub(super) fn is_final(message: &str) -> bool {
    let by_a_webhook = message.contains(" denied the request: ") && message.contains("Invalid value: ");
    by_a_webhook || message.contains(" is invalid: ") || exceeds_whole_quota(message).unwrap_or(false)
}

/// Of `exceeded quota: gpus, requested: cpu=2,memory=1Gi, used: cpu=0,memory=0, limited: cpu=1,memory=8Gi`; none if
/// it is no such message.
fn exceeds_whole_quota(message: &str) -> Option<bool> {
    let (_, after_the_name) = message.split_once("exceeded quota: ")?.1.split_once(", requested: ")?;
    let (requested, rest) = after_the_name.split_once(", used: ")?;
    let (_, limited) = rest.split_once(", limited: ")?;
    let limits = amounts(limited);
    let exceeds = |(name, amount): (&&str, &Quantity)| limits.get(*name).is_some_and(|limit| amount > limit);
    Some(amounts(requested).iter().any(exceeds))
}

fn amounts(list: &str) -> BTreeMap<&str, Quantity> {
    let pairs = list.split(',').filter_map(|pair| pair.split_once('='));
    pairs.filter_map(|(name, amount)| Some((name, amount.parse().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_beyond_the_whole_quota_never_fits() {
        let quota =
            |amounts: &str| is_final(&format!("pods \"a\" is forbidden: exceeded quota: q, {amounts}"));
        assert!(quota("requested: pods=1, used: pods=0, limited: pods=0"));
        assert!(quota(
            "requested: requests.memory=2Gi, used: requests.memory=0, limited: requests.memory=512Mi"
        ));
        assert!(quota("requested: cpu=500m,memory=4Gi, used: cpu=1,memory=0, limited: cpu=1,memory=2Gi"));
        // Others have it now.
        assert!(!quota("requested: pods=1, used: pods=4, limited: pods=4"));
        assert!(!quota("requested: cpu=1500m, used: cpu=1, limited: cpu=2"));
        for odd in ["requested: pods=1", "requested: pods=many, used: pods=0, limited: pods=0", "requested: "]
        {
            assert!(!quota(odd), "{odd}");
        }
    }

    #[test]
    fn object_that_is_not_valid_stays_so() {
        let limit = "Error creating: Pod \"a\" is invalid: spec.containers[0].resources.requests: Invalid value: \"2\"";
        assert!(is_final(limit));
        let webhook =
            "admission webhook \"v.example\" denied the request: metadata.name: Invalid value: \"a\"";
        assert!(is_final(webhook));
        assert!(!is_final("admission webhook \"v.example\" denied the request: not signed"));
        assert!(!is_final("Error creating: Internal error occurred: failed calling webhook \"v.example\""));
    }
}
