//! Where to find more about a trouble, with another call.

use serde_json::Value;

use super::Verdict;
use super::queue::ordinal;
use crate::error::ErrorCode;
use crate::kf::Kf;
use crate::workloads::{Events, clip};

/// Where to look for more about a trouble.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clue {
    /// The end of a container's log.
    Log { pod: String, container: String, previous: bool },
    /// The volume claims that a pod waits for.
    Claims(Vec<String>),
    /// A Kueue workload that waits in a local queue; its cluster queue is shared.
    Queue { queue: String, workload: String },
}

/// The number of log lines to read for the last one, as some may be empty.
const TAIL: u32 = 5;

impl Verdict {
    /// Adds what the clue leads to: the last log line of a crash, the reason of a volume claim. Needs one or a few
    /// calls; what the user has no permission to read is skipped.
    pub fn investigate(&mut self, kf: &Kf, events: &Events) {
        let (Some(clue), Some(why)) = (self.clue.take(), &mut self.why) else { return };
        if let Some(more) = clue.follow(kf, events) {
            why.push_str("; ");
            why.push_str(&more);
        }
    }
}

impl Clue {
    /// Returns what it leads to, as part of a line.
    pub fn follow(&self, kf: &Kf, events: &Events) -> Option<String> {
        match self {
            Self::Log { pod, container, previous } => {
                let log =
                    kf.log(pod).container(container).previous(*previous).tail(Some(TAIL)).open().ok()?;
                let lines = log.lines().ok()?;
                let last = lines.iter().rev().find(|line| !line.trim().is_empty())?;
                Some(format!("last log line: {}", clip(last, 120)))
            }
            Self::Queue { queue, workload } => place_in_cluster_queue(kf, queue, workload),
            Self::Claims(names) => {
                let reasons: Vec<_> = names.iter().filter_map(|name| claim(kf, name, events)).collect();
                (!reasons.is_empty()).then(|| reasons.join(", "))
            }
        }
    }
}

/// Returns the position in the cluster queue, from Kueue's visibility API if it is available.
fn place_in_cluster_queue(kf: &Kf, queue: &str, workload: &str) -> Option<String> {
    let queues = kf.api("visibility.kueue.x-k8s.io/LocalQueue");
    let pending = queues.get_subresource(queue, "pendingworkloads").ok()?;
    let own = pending
        .list("/items")
        .iter()
        .find(|item| item.pointer("/metadata/name").and_then(Value::as_str) == Some(workload))?;
    let before = own.get("positionInClusterQueue")?.as_u64()?;
    let place = usize::try_from(before).ok()?.checked_add(1)?;
    Some(format!("{} in the cluster queue, shared across namespaces", ordinal(place)))
}

/// Returns why a volume claim is not bound; `None` if it is bound or not readable.
fn claim(kf: &Kf, name: &str, events: &Events) -> Option<String> {
    let claim = match kf.api("PersistentVolumeClaim").get(name) {
        Ok(claim) => claim,
        Err(error) if error.is(ErrorCode::NotFound) => return Some(format!("claim {name} not found")),
        Err(_) => return None,
    };
    if claim.str("/status/phase") == Some("Bound") {
        return None;
    }
    let class = claim.str("/spec/storageClassName");
    let why = match (events.warning(&claim), class) {
        (Some((_, message)), _) => clip(message, 120),
        (None, Some(class)) if !class.is_empty() => {
            format!("storage class {class} has not provisioned a volume")
        }
        (None, _) => "no storage class set, and no matching volume".to_owned(),
    };
    Some(format!("claim {name} is pending: {why}"))
}
