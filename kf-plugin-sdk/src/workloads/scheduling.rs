//! Why a pod is not scheduled.

use serde_json::Value;

use super::{Clue, Severity, Trouble};
use crate::objects::Object;

/// Shortens the scheduler's message, without preemption details and with the requests of the pod.
pub(super) fn scheduling(pod: &Object, message: &str) -> Trouble {
    let waits = |text: &str| Trouble::new(Severity::Waiting, text);
    if let Some((_, claim)) = message.split_once("persistentvolumeclaim \"")
        && let Some((claim, _)) = claim.split_once("\" not found")
    {
        return Trouble::new(Severity::Failing, format!("volume claim {claim} does not exist"));
    }
    if message.contains("unbound") || message.contains("binding volumes") {
        let claims = claims(pod);
        let text = format!("waiting for volume: {}", claims.join(", "));
        return waits(&text).clue((!claims.is_empty()).then_some(Clue::Claims(claims)));
    }
    let message = message.split(" preemption:").next().unwrap_or(message);
    let message = message.split(" no new claims to deallocate").next().unwrap_or(message);
    let message = message.trim_end_matches(['.', ',', ' ']);
    if message.is_empty() {
        return waits("waiting for a node");
    }
    match missing(message).and_then(|resource| Some(format!("{} {resource}", request(pod, resource)?))) {
        Some(asked) => waits(&format!("{message}; requests {asked}")),
        None => waits(message),
    }
}

/// Returns the insufficient resource, such as `nvidia.com/gpu`.
fn missing(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("Insufficient ")?;
    rest.split([',', ' '])
        .next()
        .map(|resource| resource.trim_end_matches('.'))
        .filter(|name| !name.is_empty())
}

/// Returns the request of a pod for a resource: that of its only container with one, or the sum of whole numbers.
fn request(pod: &Object, resource: &str) -> Option<String> {
    let pointer = format!("/resources/requests/{}", resource.replace('~', "~0").replace('/', "~1"));
    let asked: Vec<_> =
        pod.list("/spec/containers").iter().filter_map(|one| one.pointer(&pointer)?.as_str()).collect();
    match asked.as_slice() {
        [] => None,
        [one] => Some((*one).to_owned()),
        several => {
            let add = |sum: i64, one: &&str| sum.checked_add(one.parse().ok()?);
            several.iter().try_fold(0, add).map(|sum| sum.to_string())
        }
    }
}

fn claims(pod: &Object) -> Vec<String> {
    let claim =
        |volume: &Value| volume.pointer("/persistentVolumeClaim/claimName")?.as_str().map(str::to_owned);
    pod.list("/spec/volumes").iter().filter_map(claim).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(requests: &[Value]) -> Object {
        let containers: Vec<_> = requests
            .iter()
            .map(|requests| json!({ "name": "c", "resources": { "requests": requests } }))
            .collect();
        json!({ "kind": "Pod", "metadata": { "name": "p" }, "spec": { "containers": containers } }).into()
    }

    #[test]
    fn requests_are_shown_if_they_can_be_summed() {
        let message = "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.";
        let text = |requests: &[Value]| scheduling(&pod(requests), message).text;
        let plain = "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory";
        assert_eq!(text(&[json!({ "cpu": "64" })]), format!("{plain}; requests 64 cpu"));
        assert_eq!(text(&[json!({ "cpu": "2" }), json!({ "cpu": "3" })]), format!("{plain}; requests 5 cpu"));
        assert_eq!(text(&[json!({ "cpu": "500m" }), json!({ "cpu": "1" })]), plain);
        assert_eq!(text(&[]), plain);
    }

    #[test]
    fn empty_message_becomes_waiting_for_node() {
        assert_eq!(scheduling(&pod(&[]), "").text, "waiting for a node");
        assert_eq!(scheduling(&pod(&[]), "Insufficient ").text, "Insufficient");
    }
}
