use std::collections::BTreeSet;

use super::container::{self, Run};
use super::katib::{is_suggestion, log_of};
use super::{Component, Events, PodState, pod_state, pod_trouble};
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

/// The last words of failed pods, taken down as soon as one fails: whoever gives up on the workload
/// may take its pods away, and their logs with them.
#[derive(Default)]
pub(super) struct Failures {
    noted: BTreeSet<(String, Run)>,
    last: Option<LastWords>,
}

impl Failures {
    /// Those of the pod that failed first. No lines if its log is gone or may not be read.
    pub(super) fn last_words(&self) -> Option<&LastWords> {
        self.last.as_ref()
    }

    /// Notes failures among pods seen at once, the oldest first.
    pub(super) fn note_all<'p>(
        &mut self,
        kf: &Kf,
        component: &Component,
        pods: impl Iterator<Item = &'p Object>,
    ) {
        let mut pods: Vec<_> = pods.collect();
        pods.sort_by_cached_key(|pod| (ended(pod), pod.name().to_owned()));
        for pod in pods {
            self.note(kf, component, pod);
        }
    }

    /// Notes a pod's failure, each only once. A later one of the same rank takes its place; those of
    /// other ranks are what the first led to.
    pub(super) fn note(&mut self, kf: &Kf, component: &Component, pod: &Object) {
        if is_suggestion(pod) {
            return;
        }
        let container = component.default_container(pod);
        let failed = container.as_deref().and_then(|container| container::failed_run(pod, container));
        let (run, is_previous) = match failed {
            Some(failed) => failed,
            None if pod_state(pod) == PodState::Failed => (0, false),
            None => return,
        };
        let label = component.rank_of(pod).label();
        let is_new = self.noted.insert((pod.name().to_owned(), run));
        if !is_new || self.last.as_ref().is_some_and(|last| last.label != label) {
            return;
        }
        let mut request = kf.log(pod.name()).tail(Some(LINES)).previous(is_previous);
        if let Some(container) = &container {
            request = request.container(log_of(pod, container));
        }
        let lines = request.open().and_then(|log| log.lines()).unwrap_or_default();
        let trouble = pod_trouble(pod, &Events::default());
        let why = trouble.map_or_else(|| "failed".to_owned(), |trouble| trouble.text);
        self.last = Some(LastWords { label, why, lines });
    }
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
