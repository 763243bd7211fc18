use std::fmt;

use serde_json::Value;

use super::kinds::PodsBy;
use super::verdict::{Evidence, Verdict, verdict};
use super::{Events, Rank, WorkloadKind, container, expand_kind, own_experiments, pick, rank_of};
use crate::error::{Error, ErrorCode, Result};
use crate::kf::Kf;
use crate::objects::{Api, Object};
use crate::skipped::Skipped;

/// A workload that the user named.
#[derive(Clone, Debug)]
pub struct Workload {
    pub kind: WorkloadKind,
    pub name: String,
    /// The object as it was when it was found.
    pub object: Object,
}

/// Formats as `trainjob/mnist`.
impl fmt::Display for Workload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.kind, self.name)
    }
}

impl Workload {
    /// Finds `NAME` or `KIND/NAME` of any kind in the namespace of the run. `KIND` can be a short name that the API
    /// server serves.
    ///
    /// Objects owned by another match are ignored, such as the job set of a training job. Kinds that are not served or
    /// not permitted are skipped, and named in the error if nothing is found. Kinds that are broken are skipped with a
    /// warning.
    ///
    /// A name without a kind gets all kinds concurrently, so the manifest should request `get` on each as `optional`.
    /// An experiment that `kf tune` runs itself is found by its trials, which needs `list` on training jobs.
    pub fn find(kf: &Kf, words: &str) -> Result<Self> {
        Self::find_among(kf, words, &WorkloadKind::ALL)
    }

    /// Like [`Self::find`], limited to some kinds.
    pub fn find_among(kf: &Kf, words: &str, kinds: &[WorkloadKind]) -> Result<Self> {
        let words = expand_kind(kf, words);
        let words = words.as_str();
        match words.split_once('/') {
            Some((word, name)) => {
                let kind = WorkloadKind::named(word)?;
                if !kinds.contains(&kind) {
                    let known: Vec<_> = kinds.iter().map(|kind| kind.word()).collect();
                    return Err(Error::invalid(format!(
                        "unsupported kind `{kind}`; expected one of {}",
                        known.join(", ")
                    )));
                }
                Self::get(kf, kind, name)
            }
            None => Self::search(kf, words, kinds),
        }
    }

    /// Gets a workload by kind and name.
    pub fn get(kf: &Kf, kind: WorkloadKind, name: &str) -> Result<Self> {
        let got = kf.api(kind.kind()).get(name);
        let may_be_own = kind == WorkloadKind::Experiment
            && got
                .as_ref()
                .is_err_and(|error| error.is(ErrorCode::NotFound) || error.is(ErrorCode::Forbidden));
        if may_be_own && let Some(own) = Self::own_experiment(kf, name)? {
            return Ok(own);
        }
        match got {
            Ok(object) => Ok(Self { kind, name: name.to_owned(), object }),
            Err(error) if error.is(ErrorCode::NotFound) && kf.serves(&kind.kind())? => {
                let namespace = kf.namespace();
                Err(Error::not_found(format!("no {kind} `{name}` in {namespace}")).hint("kf status"))
            }
            Err(error) => Err(error),
        }
    }

    /// Creates a workload from an object that was already read; `None` if its kind is not in the catalogue.
    pub fn of(object: Object) -> Option<Self> {
        let kind = WorkloadKind::of(&object)?;
        Some(Self { kind, name: object.name().to_owned(), object })
    }

    fn search(kf: &Kf, name: &str, kinds: &[WorkloadKind]) -> Result<Self> {
        let mut found: Vec<Self> = Vec::new();
        let mut refused: Vec<(WorkloadKind, Error)> = Vec::new();
        let mut skipped = Skipped::default();
        let asked: Vec<_> = kinds.iter().map(|kind| kind.kind()).collect();
        for (&kind, answer) in kinds.iter().zip(kf.get_many(&asked, name)) {
            match skipped.take(kind.plural(), answer) {
                Ok(Some(object)) => found.push(Self { kind, name: name.to_owned(), object }),
                Ok(None) => {}
                // Users of training jobs rarely have access to job sets, and rarely name one.
                Err(error) if error.is(ErrorCode::Forbidden) && kind == WorkloadKind::JobSet => {}
                Err(error) if error.is(ErrorCode::Forbidden) => refused.push((kind, error)),
                Err(error) => return Err(error),
            }
        }
        let owners: Vec<_> = found.iter().map(|found| found.object.kind().to_owned()).collect();
        found.retain(|found| {
            let owner = found.object.controller().filter(|(_, owner)| *owner == name);
            owner.is_none_or(|(kind, _)| !owners.iter().any(|known| known == kind))
        });
        if found.len() > 1 {
            let names: Vec<_> = found.iter().map(Self::to_string).collect();
            let first = names.first().cloned().unwrap_or_default();
            return Err(Error::invalid(format!("`{name}` is ambiguous: {}", names.join(" or ")))
                .hint(kf.command_line().replace(name, &first)));
        }
        if let Some(found) = found.pop() {
            skipped.tell(kf);
            return Ok(found);
        }
        if kinds.contains(&WorkloadKind::Experiment)
            && let Some(own) = Self::own_experiment(kf, name)?
        {
            skipped.tell(kf);
            return Ok(own);
        }
        match skipped.first_error() {
            None => Err(nothing_found(kf, name, kinds, refused)),
            Some(first) => Err(unreadable(kf, name, kinds, first, &skipped)),
        }
    }

    /// Finds an experiment that `kf tune` runs itself, by its trials.
    fn own_experiment(kf: &Kf, name: &str) -> Result<Option<Self>> {
        let found = own_experiments::find(kf, name)?;
        Ok(found.map(|object| Self { kind: WorkloadKind::Experiment, name: name.to_owned(), object }))
    }

    /// Returns whether it is an experiment that `kf tune` runs itself, which has no object on the server.
    pub fn is_own_experiment(&self) -> bool {
        own_experiments::is_own_experiment(&self.object)
    }

    /// Selects its object; for an experiment that `kf tune` runs itself, its trials.
    pub fn selection(&self, kf: &Kf) -> Api {
        if self.is_own_experiment()
            && let Some(trials) = own_experiments::selector(&self.name)
        {
            return kf.api(WorkloadKind::TrainJob.kind()).labels(trials);
        }
        kf.api(self.kind.kind()).fields(format!("metadata.name={}", self.name))
    }

    /// Selects its pods, and possibly others; see [`Workload::owns`].
    pub fn pod_selection(&self, kf: &Kf) -> Api {
        let pods = kf.api("Pod");
        if self.is_own_experiment() {
            return pods.labels(own_experiments::JOB_LABEL);
        }
        match self.kind.pods_by() {
            PodsBy::Label(label) => pods.labels(format!("{label}={}", self.name)),
            PodsBy::Selector => pods.labels(self.selector()),
            PodsBy::Itself => pods.fields(format!("metadata.name={}", self.name)),
        }
    }

    /// Returns whether a pod of [`Workload::pod_selection`] belongs to it. A pod older than the workload belonged to an
    /// earlier one of the same name.
    pub fn owns(&self, pod: &Object) -> bool {
        if self.kind.pods_by() == PodsBy::Selector {
            // A recreated deployment can adopt the pods of the previous one.
            return true;
        }
        if self.is_own_experiment() && !own_experiments::owns(&self.name, pod) {
            return false;
        }
        match (pod.created(), self.object.created()) {
            (Some(pod), Some(component)) => pod >= component,
            _ => true,
        }
    }

    /// Returns its pods among these. Not supported for deployments and stateful sets, whose pods are not known by a label.
    pub fn pods_among<'a>(&self, pods: impl IntoIterator<Item = &'a Object>) -> Vec<Object> {
        let selected = |pod: &&Object| match self.kind.pods_by() {
            _ if self.is_own_experiment() => true,
            PodsBy::Label(label) => pod.label(label) == Some(&self.name),
            PodsBy::Itself => pod.name() == self.name,
            PodsBy::Selector => false,
        };
        pods.into_iter().filter(selected).filter(|pod| self.owns(pod)).cloned().collect()
    }

    /// Lists its pods, in no order.
    pub fn pods(&self, kf: &Kf) -> Result<Vec<Object>> {
        let mut pods = self.pod_selection(kf).list()?;
        pods.retain(|pod| self.owns(pod));
        Ok(pods)
    }

    /// Returns the rank of one of its pods. In an experiment, ranks are numbered within each trial.
    pub fn rank_of(&self, pod: &Object) -> Rank {
        let mut rank = rank_of(pod);
        if self.is_own_experiment() {
            own_experiments::trial_of(pod).unwrap_or_default().clone_into(&mut rank.trial);
        }
        rank
    }

    /// Picks the pod for a shell or a forwarded port: the newest running pod, ready ones first. If no pod is running,
    /// the error says why.
    pub fn pick_pod(&self, kf: &Kf) -> Result<Object> {
        self.pick_rank(kf, None)
    }

    /// Like [`Self::pick_pod`], limited to a rank if one is set.
    pub fn pick_rank(&self, kf: &Kf, rank: Option<u32>) -> Result<Object> {
        let pods = self.pods(kf)?;
        match pick::newest_running(&pods, rank) {
            Some(pod) => Ok(pod.clone()),
            None => Err(pick::nothing_runs(kf, self, &pods, rank)),
        }
    }

    /// Returns the main container of one of its pods; `None` if the pod lists no containers.
    pub fn default_container(&self, pod: &Object) -> Option<String> {
        container::choose(pod, Some(self), None).ok().flatten()
    }

    /// Returns the named container, or the main one.
    pub fn container(&self, pod: &Object, named: Option<&str>) -> Result<String> {
        container::choose(pod, Some(self), named)?
            .ok_or_else(|| Error::not_found(format!("pod {} has no containers", pod.name())))
    }

    /// Determines its state and the reason, from its pods and their warning events.
    ///
    /// Needs `list` on pods. Uses `list` on events and Kueue workloads, and `get` on `pods/log` and volume claims, if
    /// permitted.
    pub fn verdict(&self, kf: &Kf) -> Result<Verdict> {
        let events = Events::read(kf)?;
        let pods = self.pods(kf)?;
        let workloads = if self.kind.ends() && self.is_held() { self.workloads(kf)? } else { Vec::new() };
        let mut verdict = self.judge_queued(&pods, &workloads, &events);
        verdict.investigate(kf, &events);
        Ok(verdict)
    }

    /// Like [`Self::verdict`], from objects that were already read.
    pub fn judge(&self, pods: &[Object], events: &Events) -> Verdict {
        self.judge_queued(pods, &[], events)
    }

    pub(super) fn judge_queued(&self, pods: &[Object], workloads: &[Object], events: &Events) -> Verdict {
        let pods: Vec<&Object> = pods.iter().collect();
        let workloads: Vec<&Object> = workloads.iter().collect();
        verdict(&Evidence {
            kind: Some(self.kind),
            name: &self.name,
            object: Some(&self.object),
            parts: &[],
            pods: &pods,
            queue: &workloads,
            events,
        })
    }

    /// Lists the Kueue workloads of the namespace; empty without Kueue or without permission.
    pub(super) fn workloads(&self, kf: &Kf) -> Result<Vec<Object>> {
        let workloads = kf.api("kueue.x-k8s.io/Workload").list();
        Ok(Skipped::optional(kf, "Kueue workloads", workloads)?.unwrap_or_default())
    }

    /// Returns the number of pods that its spec sets; `None` if another object sets it.
    pub fn ranks(&self) -> Option<i64> {
        let object = &self.object;
        match self.kind {
            WorkloadKind::TrainJob => object.int("/spec/trainer/numNodes"),
            WorkloadKind::Job => object.int("/spec/parallelism"),
            kind if kind.is_legacy_job() => replicas_of_roles(object),
            _ => None,
        }
    }

    /// Returns whether it is suspended, by a user or by a queue.
    pub(super) fn is_held(&self) -> bool {
        super::verdict::is_held(&self.object)
    }

    /// Returns the label selector in its spec, or one that matches nothing if there is none.
    fn selector(&self) -> String {
        let labels = self.object.at("/spec/selector/matchLabels").and_then(Value::as_object);
        let equal = labels
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
        let expressions = self.object.list("/spec/selector/matchExpressions").iter().filter_map(expression);
        let terms: Vec<_> = equal.chain(expressions).collect();
        if terms.is_empty() { format!("kf.kubeflow.org/none={}", self.name) } else { terms.join(",") }
    }
}

/// Sums the replicas of all roles of a legacy job, such as `spec.pytorchReplicaSpecs.Worker.replicas`.
pub(super) fn replicas_of_roles(object: &Object) -> Option<i64> {
    let spec = object.at("/spec").and_then(Value::as_object)?;
    let (_, roles) = spec.iter().find(|(field, _)| field.ends_with("ReplicaSpecs"))?;
    let replicas = |role: &Value| role.get("replicas").and_then(Value::as_i64).unwrap_or(1);
    Some(roles.as_object()?.values().map(replicas).fold(0, i64::saturating_add))
}

fn expression(term: &Value) -> Option<String> {
    let key = term.get("key")?.as_str()?;
    let values = term.get("values").and_then(Value::as_array).into_iter().flatten();
    let values: Vec<_> = values.filter_map(Value::as_str).collect();
    match term.get("operator")?.as_str()? {
        "In" => Some(format!("{key} in ({})", values.join(","))),
        "NotIn" => Some(format!("{key} notin ({})", values.join(","))),
        "Exists" => Some(key.to_owned()),
        "DoesNotExist" => Some(format!("!{key}")),
        _ => None,
    }
}

/// The error if nothing was found and some kinds could not be read.
fn unreadable(kf: &Kf, name: &str, kinds: &[WorkloadKind], first: &Error, skipped: &Skipped) -> Error {
    if skipped.len() == kinds.len() {
        return first.clone();
    }
    let message = format!("no workload `{name}` found in {}; skipped: {}", kf.namespace(), skipped.words());
    Error::new(first.code, message)
}

/// The error if nothing was found in the kinds that the user has permission to read.
fn nothing_found(kf: &Kf, name: &str, kinds: &[WorkloadKind], refused: Vec<(WorkloadKind, Error)>) -> Error {
    let skipped: Vec<_> = refused.iter().map(|(kind, _)| kind.plural()).collect();
    let what = match kinds {
        [only] => only.word(),
        _ => "workload",
    };
    let missing = format!("no {what} `{name}` in {}", kf.namespace());
    if refused.is_empty() {
        return Error::not_found(missing).hint("kf status");
    }
    // Without access to pods, or to any kind, the "forbidden" error is more useful than a list of skipped kinds.
    let seen = kinds.iter().filter(|kind| !refused.iter().any(|(refused, _)| refused == *kind));
    let has_no_access = refused.iter().any(|(kind, _)| *kind == WorkloadKind::Pod) || seen.count() == 0;
    if has_no_access {
        return refused.into_iter().next_back().map_or_else(|| Error::not_found(missing), |(_, error)| error);
    }
    Error::not_found(format!("{missing}; skipped (no permission to get): {}", skipped.join(", ")))
        .hint("kf status")
}
