//! Picking one of several pods.

use std::cmp::Reverse;

use super::katib::is_suggestion;
use super::{Events, PodState, Workload, is_ready, pod_state, rank_of};
use crate::error::Error;
use crate::kf::Kf;
use crate::objects::Object;

/// Returns the newest running pod, ready ones first; of equal ones the lowest rank.
pub(super) fn newest_running(pods: &[Object], rank: Option<u32>) -> Option<&Object> {
    pods.iter()
        .filter(|pod| pod_state(pod) == PodState::Running && !is_suggestion(pod))
        .filter(|pod| rank.is_none() || rank_of(pod).index == rank)
        .min_by_key(|pod| (!is_ready(pod), Reverse(pod.created()), rank_of(pod), pod.name().to_owned()))
}

pub(super) fn nothing_runs(kf: &Kf, component: &Workload, pods: &[Object], rank: Option<u32>) -> Error {
    let hint = format!("kf status {component}");
    let of_rank: Vec<_> = pods.iter().filter(|pod| rank.is_none() || rank_of(pod).index == rank).collect();
    if let Some(rank) = rank.filter(|_| of_rank.is_empty() && !pods.is_empty()) {
        return Error::not_found(format!("{component} has no pod of rank {rank}")).hint(hint);
    }
    // An error of reading events must not hide this one.
    let verdict = component.judge(pods, &Events::read(kf).unwrap_or_default());
    let why = verdict.why.map(|why| format!(": {why}")).unwrap_or_default();
    let state = format!("{:?}", verdict.state).to_lowercase();
    Error::failed(format!("{component} has no running pod ({state}){why}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, minute: u32, phase: &str, ready: bool) -> Object {
        let status = if ready { "True" } else { "False" };
        json!({
            "kind": "Pod",
            "metadata": { "name": name, "creationTimestamp": format!("2026-01-01T12:{minute:02}:00Z") },
            "status": { "phase": phase, "conditions": [{ "type": "Ready", "status": status }] },
        })
        .into()
    }

    #[test]
    fn ready_pod_is_preferred_over_newer_one() {
        let pods = [
            pod("old", 1, "Running", true),
            pod("ready", 2, "Running", true),
            pod("starting", 3, "Running", false),
            pod("waiting", 4, "Pending", false),
        ];
        assert_eq!(newest_running(&pods, None).unwrap().name(), "ready");
        assert_eq!(newest_running(&pods[2..], None).unwrap().name(), "starting");
        assert!(newest_running(&pods[3..], None).is_none());
    }

    #[test]
    fn terminating_pod_is_not_picked() {
        let mut pod = pod("leaving", 1, "Running", true);
        pod.set("/metadata/deletionTimestamp", "2026-01-01T12:05:00Z");
        assert!(newest_running(&[pod], None).is_none());
    }
}
