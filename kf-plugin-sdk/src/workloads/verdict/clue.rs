//! What says more than the objects do, for another call.

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
    /// The volume claims a pod waits for.
    Claims(Vec<String>),
    /// A workload of Kueue's that waits in a local queue; the cluster queue behind it is shared.
    Queue { queue: String, workload: String },
}

/// How much of a log may hold its last line: a few may be empty.
const TAIL: u32 = 5;

impl Verdict {
    /// Follows the clue, if there is one: a crash gets its last log line, a volume claim its own
    /// reason. Costs a call or a few. What may not be read adds nothing.
    pub fn investigate(&mut self, kf: &Kf, events: &Events) {
        let (Some(clue), Some(why)) = (self.clue.take(), &mut self.why) else { return };
        if let Some(more) = clue.follow(kf, events) {
            why.push_str("; ");
            why.push_str(&more);
        }
    }
}

impl Clue {
    /// What it leads to, as part of a line.
    pub fn follow(&self, kf: &Kf, events: &Events) -> Option<String> {
        match self {
            Self::Log { pod, container, previous } => {
                let log =
                    kf.log(pod).container(container).previous(*previous).tail(Some(TAIL)).open().ok()?;
                let lines = log.lines().ok()?;
                let last = lines.iter().rev().find(|line| !line.trim().is_empty())?;
                Some(format!("its log ends: {}", clip(last, 120)))
            }
            Self::Queue { queue, workload } => place_in_cluster_queue(kf, queue, workload),
            Self::Claims(names) => {
                let told: Vec<_> = names.iter().filter_map(|name| claim(kf, name, events)).collect();
                (!told.is_empty()).then(|| told.join(", "))
            }
        }
    }
}

/// By Kueue's visibility API, where it is served and may be read.
fn place_in_cluster_queue(kf: &Kf, queue: &str, workload: &str) -> Option<String> {
    let queues = kf.api("visibility.kueue.x-k8s.io/LocalQueue");
    let pending = queues.get_below(queue, "pendingworkloads").ok()?;
    let own = pending
        .list("/items")
        .iter()
        .find(|item| item.pointer("/metadata/name").and_then(Value::as_str) == Some(workload))?;
    let before = own.get("positionInClusterQueue")?.as_u64()?;
    let place = usize::try_from(before).ok()?.checked_add(1)?;
    Some(format!("{} in the cluster queue, which other namespaces share", ordinal(place)))
}

/// Why a volume claim is not bound; none if it is, or may not be read.
fn claim(kf: &Kf, name: &str, events: &Events) -> Option<String> {
    let claim = match kf.api("PersistentVolumeClaim").get(name) {
        Ok(claim) => claim,
        Err(error) if error.is(ErrorCode::NotFound) => return Some(format!("claim {name} does not exist")),
        Err(_) => return None,
    };
    if claim.str("/status/phase") == Some("Bound") {
        return None;
    }
    let class = claim.str("/spec/storageClassName");
    let why = match (events.warning(&claim), class) {
        (Some((_, message)), _) => clip(message, 120),
        (None, Some(class)) if !class.is_empty() => {
            format!("storage class {class} has made no volume for it")
        }
        (None, _) => "it names no storage class, and there is no volume that fits".to_owned(),
    };
    Some(format!("claim {name} is pending: {why}"))
}
