//! Choosing the logs of a workload.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::objects::Object;
use crate::workloads::katib::is_suggestion;
use crate::workloads::{Rank, Workload, container};

/// The maximum number of ranks whose logs are shown together by default.
pub(super) const MAX_RANKS: usize = 16;

/// A choice of logs, and which part of them.
#[derive(Clone, Debug, Default)]
pub struct LogChoice {
    /// Follows the logs until they end, instead of printing what is available.
    pub follow: bool,
    /// Shows all ranks, steps and containers.
    pub all: bool,
    pub rank: Option<u32>,
    /// A step of a training job (`node`, `launcher`, `dataset-initializer`, `model-initializer`), or a role of a legacy
    /// job, such as `worker`.
    pub step: Option<String>,
    pub container: Option<String>,
    pub tail: Option<u32>,
    pub since: Option<Duration>,
    /// Shows the run before the last restart.
    pub previous: bool,
    pub timestamps: bool,
    /// Prefixes lines with the name of the workload, for logs of several workloads.
    pub with_name: bool,
}

/// A pod whose log was chosen.
pub(super) struct Chosen<'p> {
    pub(super) rank: Rank,
    pub(super) pod: &'p Object,
}

/// Pods whose logs were omitted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Omitted {
    None,
    /// All ranks but the first; the total number of ranks.
    OtherRanks(usize),
    /// All pods but the newest; the total number of pods.
    OtherPods(usize),
}

impl LogChoice {
    /// Chooses the newest pod of each rank, sorted by rank. Pods without an index, in a workload that runs to completion,
    /// are consecutive attempts and sorted by time. `ranks` is the expected number of ranks, if known.
    pub(super) fn of<'p>(
        &self,
        component: &Workload,
        pods: impl Iterator<Item = &'p Object>,
        ranks: Option<i64>,
    ) -> (Vec<Chosen<'p>>, Omitted) {
        let mut newest: BTreeMap<Rank, &Object> = BTreeMap::new();
        for pod in pods.filter(|pod| !is_suggestion(pod)) {
            let known = newest.entry(component.rank_of(pod)).or_insert(pod);
            if (pod.created(), pod.name()) > (known.created(), known.name()) {
                *known = pod;
            }
        }
        let trains = |rank: &Rank| matches!(rank.step.as_str(), "node" | "launcher");
        let some_train = newest.keys().any(trains);
        newest.retain(|rank, _| {
            let step = match &self.step {
                Some(step) => rank.step.eq_ignore_ascii_case(step),
                None => self.all || !some_train || trains(rank),
            };
            step && (self.rank.is_none() || rank.index == self.rank)
        });
        let expected = ranks.and_then(|ranks| usize::try_from(ranks).ok()).unwrap_or(0).max(newest.len());
        let omitted = if self.all || self.rank.is_some() || expected <= MAX_RANKS {
            Omitted::None
        } else if newest.keys().any(|rank| rank.index.is_some()) {
            newest.retain(|rank, _| rank.index == Some(0));
            Omitted::OtherRanks(expected)
        } else {
            let last = newest.iter().min_by_key(|(rank, pod)| (Reverse(pod.created()), (*rank).clone()));
            let last = last.map(|(rank, _)| rank.clone());
            newest.retain(|rank, _| Some(rank) == last.as_ref());
            Omitted::OtherPods(expected)
        };
        let mut chosen: Vec<_> = newest.into_iter().map(|(rank, pod)| Chosen { rank, pod }).collect();
        if component.kind.ends() {
            chosen.sort_by_cached_key(|Chosen { rank, pod }| {
                let began = rank.is_unnumbered().then(|| pod.created());
                (rank.trial.clone(), rank.step.clone(), rank.index, began, rank.pod.clone())
            });
        }
        (chosen, omitted)
    }

    /// Chooses the containers of a pod, in the order they run. If an init container failed, it is chosen, as the later
    /// containers never ran.
    pub(super) fn containers(&self, component: &Workload, pod: &Object) -> Result<Vec<String>> {
        if !self.all || self.container.is_some() {
            let one = container::choose_log(pod, component, self.container.as_deref())?;
            let never_ran = one.as_deref().is_some_and(|one| container::run(pod, one).is_none());
            let failed = container::failed_init(pod).filter(|_| never_ran && self.container.is_none());
            return Ok(failed.or(one).into_iter().collect());
        }
        let names = ["/spec/initContainers", "/spec/containers"].into_iter().flat_map(|at| pod.list(at));
        Ok(names.filter_map(|container| container.get("name")?.as_str().map(str::to_owned)).collect())
    }

    /// Refuses a rank beyond the last, which would never start.
    pub(super) fn check_rank(&self, component: &Workload, ranks: Option<i64>) -> Result<()> {
        let (Some(rank), None, Some(ranks)) = (self.rank, &self.step, ranks) else { return Ok(()) };
        let last = ranks.max(1) - 1;
        if i64::from(rank) <= last {
            return Ok(());
        }
        let which = if last == 0 { "only rank 0".to_owned() } else { format!("ranks 0 to {last}") };
        Err(Error::invalid(format!("{} has no rank {rank}; it has {which}", component.name)))
    }
}
