use std::collections::BTreeSet;

use super::container::{self, Run};
use super::katib::{is_suggestion, log_of};
use super::{Events, PodState, Workload, pod_state, pod_trouble};
use crate::kf::Kf;
use crate::objects::Object;

/// The end of the log of a failed pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureLog {
    /// The label of the pod, such as `node-1`.
    pub label: String,
    /// The reason, such as `exit 1`.
    pub why: String,
    pub lines: Vec<String>,
}

/// The number of lines to read from the log of a failed pod.
const TAIL_LINES: u32 = 10;

/// Records the logs of failed pods as soon as they fail, as the controller may delete the pods together with their logs.
#[derive(Default)]
pub(super) struct Failures {
    noted: BTreeSet<(String, Run)>,
    last: Option<FailureLog>,
}

impl Failures {
    /// Returns the log of the pod that failed first; without lines if the log cannot be read.
    pub(super) fn failure_log(&self) -> Option<&FailureLog> {
        self.last.as_ref()
    }

    /// Records the failures among several pods, oldest first.
    pub(super) fn note_all<'p>(
        &mut self,
        kf: &Kf,
        component: &Workload,
        pods: impl Iterator<Item = &'p Object>,
    ) {
        let mut pods: Vec<_> = pods.collect();
        pods.sort_by_cached_key(|pod| (ended(pod), pod.name().to_owned()));
        for pod in pods {
            self.note(kf, component, pod);
        }
    }

    /// Records the failure of a pod, once. A later failure of the same rank replaces it; failures of other ranks are
    /// ignored as consequences of the first.
    pub(super) fn note(&mut self, kf: &Kf, component: &Workload, pod: &Object) {
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
        let mut request = kf.log(pod.name()).tail(Some(TAIL_LINES)).previous(is_previous);
        if let Some(container) = &container {
            request = request.container(log_of(pod, container));
        }
        let lines = request.open().and_then(|log| log.lines()).unwrap_or_default();
        let trouble = pod_trouble(pod, &Events::default());
        let why = trouble.map_or_else(|| "failed".to_owned(), |trouble| trouble.text);
        self.last = Some(FailureLog { label, why, lines });
    }
}

/// Returns when the first of its containers ended, as RFC 3339 text, which sorts by time.
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
