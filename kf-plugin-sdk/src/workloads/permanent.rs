//! Whether a controller's failure to create pods is permanent.
//!
//! A controller retries on any error of the API server, and no condition says that it cannot succeed. Its event has the
//! error: a quota used up by others may be free again in a minute, but an invalid object stays invalid.

use std::collections::BTreeMap;

use crate::quantity::Quantity;

/// Returns whether an error is permanent: the object is invalid, or requests more than the whole quota.
pub(super) fn is_permanent(message: &str) -> bool {
    let by_webhook = message.contains(" denied the request: ") && message.contains("Invalid value: ");
    by_webhook || message.contains(" is invalid: ") || exceeds_whole_quota(message).unwrap_or(false)
}

/// Parses `exceeded quota: gpus, requested: cpu=2,memory=1Gi, used: cpu=0,memory=0, limited: cpu=1,memory=8Gi`; `None`
/// for other messages.
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
    fn request_beyond_whole_quota_is_permanent() {
        let quota =
            |amounts: &str| is_permanent(&format!("pods \"a\" is forbidden: exceeded quota: q, {amounts}"));
        assert!(quota("requested: pods=1, used: pods=0, limited: pods=0"));
        assert!(quota(
            "requested: requests.memory=2Gi, used: requests.memory=0, limited: requests.memory=512Mi"
        ));
        assert!(quota("requested: cpu=500m,memory=4Gi, used: cpu=1,memory=0, limited: cpu=1,memory=2Gi"));
        // Used up by others.
        assert!(!quota("requested: pods=1, used: pods=4, limited: pods=4"));
        assert!(!quota("requested: cpu=1500m, used: cpu=1, limited: cpu=2"));
        for odd in ["requested: pods=1", "requested: pods=many, used: pods=0, limited: pods=0", "requested: "]
        {
            assert!(!quota(odd), "{odd}");
        }
    }

    #[test]
    fn invalid_object_is_permanent() {
        let limit = "Error creating: Pod \"a\" is invalid: spec.containers[0].resources.requests: Invalid value: \"2\"";
        assert!(is_permanent(limit));
        let webhook =
            "admission webhook \"v.example\" denied the request: metadata.name: Invalid value: \"a\"";
        assert!(is_permanent(webhook));
        assert!(!is_permanent("admission webhook \"v.example\" denied the request: not signed"));
        assert!(!is_permanent(
            "Error creating: Internal error occurred: failed calling webhook \"v.example\""
        ));
    }
}
