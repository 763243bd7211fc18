//! Which logs of a component a person wants.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::objects::Object;
use crate::workloads::katib::is_suggestion;
use crate::workloads::{Component, Rank, container};

/// Ranks whose logs are shown together unless all are asked for. More than that is no reading.
pub(super) const MOST_RANKS: usize = 16;

/// Which logs, and how much of them.
#[derive(Clone, Debug, Default)]
pub struct LogChoice {
    /// Stays until the end; else prints what is there.
    pub follow: bool,
    /// Every rank, step and container.
    pub all: bool,
    pub rank: Option<u32>,
    /// Of a training job: `node`, `launcher`, `dataset-initializer`, `model-initializer`; of a legacy
    /// one its role, such as `worker`.
    pub step: Option<String>,
    pub container: Option<String>,
    pub tail: Option<u32>,
    pub since: Option<Duration>,
    /// The run before the last restart.
    pub previous: bool,
    pub timestamps: bool,
    /// Starts every line with the component's name, where logs of several are shown.
    pub with_name: bool,
}

/// A pod whose log is wanted.
pub(super) struct Chosen<'p> {
    pub(super) rank: Rank,
    pub(super) pod: &'p Object,
}

/// What is left out of the picture.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LeftOut {
    Nothing,
    /// All ranks but the first of so many.
    OtherRanks(usize),
    /// All pods but the newest of so many.
    OtherPods(usize),
}

impl LogChoice {
    /// The newest pod of each rank that was chosen, in order of rank; those without a number in the order of time,
    /// where the component `ends`: they are attempts, one after the other. `ranks` is how many there will be, if that
    /// is known.
    pub(super) fn of<'p>(
        &self,
        component: &Component,
        pods: impl Iterator<Item = &'p Object>,
        ranks: Option<i64>,
    ) -> (Vec<Chosen<'p>>, LeftOut) {
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
        let left_out = if self.all || self.rank.is_some() || expected <= MOST_RANKS {
            LeftOut::Nothing
        } else if newest.keys().any(|rank| rank.index.is_some()) {
            newest.retain(|rank, _| rank.index == Some(0));
            LeftOut::OtherRanks(expected)
        } else {
            let last = newest.iter().min_by_key(|(rank, pod)| (Reverse(pod.created()), (*rank).clone()));
            let last = last.map(|(rank, _)| rank.clone());
            newest.retain(|rank, _| Some(rank) == last.as_ref());
            LeftOut::OtherPods(expected)
        };
        let mut chosen: Vec<_> = newest.into_iter().map(|(rank, pod)| Chosen { rank, pod }).collect();
        if component.kind.ends() {
            chosen.sort_by_cached_key(|Chosen { rank, pod }| {
                let began = rank.is_unnumbered().then(|| pod.created());
                (rank.trial.clone(), rank.step.clone(), rank.index, began, rank.pod.clone())
            });
        }
        (chosen, left_out)
    }

    /// The containers of a pod whose logs are wanted, in the order they run: where an init container failed, that one,
    /// for those after it never ran.
    pub(super) fn containers(&self, component: &Component, pod: &Object) -> Result<Vec<String>> {
        if !self.all || self.container.is_some() {
            let one = container::choose_log(pod, component, self.container.as_deref())?;
            let never_ran = one.as_deref().is_some_and(|one| container::run(pod, one).is_none());
            let failed = container::failed_init(pod).filter(|_| never_ran && self.container.is_none());
            return Ok(failed.or(one).into_iter().collect());
        }
        let names = ["/spec/initContainers", "/spec/containers"].into_iter().flat_map(|at| pod.list(at));
        Ok(names.filter_map(|container| container.get("name")?.as_str().map(str::to_owned)).collect())
    }

    /// A rank beyond the last would be waited for in vain.
    pub(super) fn check_rank(&self, component: &Component, ranks: Option<i64>) -> Result<()> {
        let (Some(rank), None, Some(ranks)) = (self.rank, &self.step, ranks) else { return Ok(()) };
        let last = ranks.max(1) - 1;
        if i64::from(rank) <= last {
            return Ok(());
        }
        let which = if last == 0 { "only rank 0".to_owned() } else { format!("ranks 0 to {last}") };
        Err(Error::invalid(format!("{} has no rank {rank}, it has {which}", component.name)))
    }
}
