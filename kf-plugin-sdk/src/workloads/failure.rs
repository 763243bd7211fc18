use super::{Events, container, target::TargetKind};
use super::{PodState, pod_state, pod_trouble, rank_of};
use crate::kf::Kf;
use crate::objects::Object;

/// What a failed pod said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastWords {
    /// Which pod, such as `node-1`.
    pub label: String,
    /// Such as `exit 1`.
    pub why: String,
    pub lines: Vec<String>,
}

/// How many lines of a failed pod's log are worth showing.
const LINES: u32 = 10;

/// The last lines of the pod that failed first. None if no pod failed; no lines if its log is
/// gone or may not be read.
pub fn last_words<'a>(kf: &Kf, pods: impl Iterator<Item = &'a Object>) -> Option<LastWords> {
    let events = Events::default();
    let failed = |pod: &&Object| {
        let crashed = container::choose(pod, TargetKind::TrainJob, None).ok().flatten();
        pod_state(pod) == PodState::Failed
            || crashed.is_some_and(|container| container::last_end(pod, &container).is_some())
    };
    let pod = pods.filter(failed).min_by_key(|pod| (ended(pod), pod.name().to_owned()))?;
    let why = pod_trouble(pod, &events).map(|trouble| trouble.text).unwrap_or_else(|| "failed".to_owned());
    let container = container::choose(pod, TargetKind::TrainJob, None).ok().flatten();
    let mut request = kf.log(pod.name()).tail(Some(LINES));
    if let Some(container) = container {
        request = request.container(container);
    }
    let lines = request.open().and_then(|log| log.lines()).unwrap_or_default();
    Some(LastWords { label: rank_of(pod).label(), why, lines })
}

/// When the first of its containers ended, as text: RFC 3339 in UTC sorts by time.
fn ended(pod: &Object) -> String {
    pod.list("/status/containerStatuses")
        .iter()
        .filter_map(|status| {
            status
                .pointer("/state/terminated/finishedAt")
                .or_else(|| status.pointer("/lastState/terminated/finishedAt"))?
                .as_str()
        })
        .min()
        .unwrap_or("9999")
        .to_owned()
}
