use std::fmt;

use serde_json::Value;

use super::kinds::PodsBy;
use super::verdict::{Evidence, Verdict, verdict};
use super::{ComponentKind, Events, Rank, container, own_experiments, pick, rank_of, spelled_out};
use crate::error::{Error, ErrorCode, Result};
use crate::kf::Kf;
use crate::left_out::LeftOut;
use crate::objects::{Api, Object};

/// Something a person named.
#[derive(Clone, Debug)]
pub struct Component {
    pub kind: ComponentKind,
    pub name: String,
    /// As it was when it was found.
    pub object: Object,
}

/// As in `trainjob/mnist`.
impl fmt::Display for Component {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.kind, self.name)
    }
}

impl Component {
    /// Finds `NAME` or `KIND/NAME` in the namespace of the run, of any kind. `KIND` may be a short name that the API
    /// server serves for it.
    /// An experiment that `kf tune` runs itself is found by its trials, for which the manifest should ask for `list` on
    /// training jobs.
    ///
    /// What belongs to another match is left out: a training job's job set has its name. Kinds that
    /// are not served or not permitted are passed over; only when nothing is found they are named. A kind that is
    /// broken is left out, and said to be.
    /// A bare name asks for every kind at once, so the manifest should ask for `get` on each, as
    /// `optional`.
    pub fn find(kf: &Kf, words: &str) -> Result<Self> {
        Self::find_among(kf, words, &ComponentKind::ALL)
    }

    /// The same, of some kinds only.
    pub fn find_among(kf: &Kf, words: &str, kinds: &[ComponentKind]) -> Result<Self> {
        let words = spelled_out(kf, words);
        let words = words.as_str();
        match words.split_once('/') {
            Some((word, name)) => {
                let kind = ComponentKind::named(word)?;
                if !kinds.contains(&kind) {
                    let known: Vec<_> = kinds.iter().map(|kind| kind.word()).collect();
                    return Err(Error::invalid(format!("{words} is none of {}", known.join(", "))));
                }
                Self::get(kf, kind, name)
            }
            None => Self::search(kf, words, kinds),
        }
    }

    /// The object of this kind and name.
    pub fn get(kf: &Kf, kind: ComponentKind, name: &str) -> Result<Self> {
        let got = kf.api(kind.kind()).get(name);
        let may_be_own = kind == ComponentKind::Experiment
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

    /// What is already at hand, such as an object of a list; none if its kind is not in the catalogue.
    pub fn of(object: Object) -> Option<Self> {
        let kind = ComponentKind::of(&object)?;
        Some(Self { kind, name: object.name().to_owned(), object })
    }

    fn search(kf: &Kf, name: &str, kinds: &[ComponentKind]) -> Result<Self> {
        let mut found: Vec<Self> = Vec::new();
        let mut refused: Vec<(ComponentKind, Error)> = Vec::new();
        let mut left_out = LeftOut::default();
        let asked: Vec<_> = kinds.iter().map(|kind| kind.kind()).collect();
        for (&kind, answer) in kinds.iter().zip(kf.get_many(&asked, name)) {
            match left_out.take(kind.plural(), answer) {
                Ok(Some(object)) => found.push(Self { kind, name: name.to_owned(), object }),
                Ok(None) => {}
                // Few users of training jobs may see job sets, and few would name one.
                Err(error) if error.is(ErrorCode::Forbidden) && kind == ComponentKind::JobSet => {}
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
            return Err(Error::invalid(format!("`{name}` can be {}", names.join(" or ")))
                .hint(kf.command_line().replace(name, &first)));
        }
        if let Some(found) = found.pop() {
            left_out.tell(kf);
            return Ok(found);
        }
        if kinds.contains(&ComponentKind::Experiment)
            && let Some(own) = Self::own_experiment(kf, name)?
        {
            left_out.tell(kf);
            return Ok(own);
        }
        match left_out.first_error() {
            None => Err(nothing_found(kf, name, kinds, refused)),
            Some(first) => Err(not_known(kf, name, kinds, first, &left_out)),
        }
    }

    /// An experiment that `kf tune` runs itself: its trials are all there is of it.
    fn own_experiment(kf: &Kf, name: &str) -> Result<Option<Self>> {
        let found = own_experiments::find(kf, name)?;
        Ok(found.map(|object| Self { kind: ComponentKind::Experiment, name: name.to_owned(), object }))
    }

    /// Whether it is an experiment that `kf tune` runs itself. Its object is made of its trials, and no server has it.
    pub fn is_own_experiment(&self) -> bool {
        own_experiments::is_own_experiment(&self.object)
    }

    /// Itself, as a selection of one; of an experiment that `kf tune` runs itself, its trials.
    pub fn itself(&self, kf: &Kf) -> Api {
        if self.is_own_experiment()
            && let Some(trials) = own_experiments::selector(&self.name)
        {
            return kf.api(ComponentKind::TrainJob.kind()).labels(trials);
        }
        kf.api(self.kind.kind()).fields(format!("metadata.name={}", self.name))
    }

    /// A selection that holds its pods. It may hold others too: see [`Component::owns`].
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

    /// Whether a pod of the selection is its own. A pod older than the component belonged to an
    /// earlier one of the same name, and may still be ending.
    pub fn owns(&self, pod: &Object) -> bool {
        if self.kind.pods_by() == PodsBy::Selector {
            // A deployment made anew may adopt the pods of the one before it.
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

    /// Its pods among these, where they are known by a label, as all but those of deployments and stateful
    /// sets are.
    pub fn pods_among<'a>(&self, pods: impl IntoIterator<Item = &'a Object>) -> Vec<Object> {
        let selected = |pod: &&Object| match self.kind.pods_by() {
            _ if self.is_own_experiment() => true,
            PodsBy::Label(label) => pod.label(label) == Some(&self.name),
            PodsBy::Itself => pod.name() == self.name,
            PodsBy::Selector => false,
        };
        pods.into_iter().filter(selected).filter(|pod| self.owns(pod)).cloned().collect()
    }

    /// Its pods, in no order.
    pub fn pods(&self, kf: &Kf) -> Result<Vec<Object>> {
        let mut pods = self.pod_selection(kf).list()?;
        pods.retain(|pod| self.owns(pod));
        Ok(pods)
    }

    /// Which of its pods a pod is. The pods of training jobs are numbered anew in each trial of an experiment.
    pub fn rank_of(&self, pod: &Object) -> Rank {
        let mut rank = rank_of(pod);
        if self.is_own_experiment() {
            own_experiments::trial_of(pod).unwrap_or_default().clone_into(&mut rank.trial);
        }
        rank
    }

    /// The pod to work in, for a shell or a forwarded port: the newest that runs, ready ones first.
    /// If none runs, the error says why.
    pub fn pick_pod(&self, kf: &Kf) -> Result<Object> {
        self.pick_rank(kf, None)
    }

    /// The same, of one rank if one is named.
    pub fn pick_rank(&self, kf: &Kf, rank: Option<u32>) -> Result<Object> {
        let pods = self.pods(kf)?;
        match pick::newest_running(&pods, rank) {
            Some(pod) => Ok(pod.clone()),
            None => Err(pick::nothing_runs(kf, self, &pods, rank)),
        }
    }

    /// The container of one of its pods that does the work; none if the pod lists no containers.
    pub fn default_container(&self, pod: &Object) -> Option<String> {
        container::choose(pod, Some(self), None).ok().flatten()
    }

    /// The container a person named, or the default one.
    pub fn container(&self, pod: &Object, named: Option<&str>) -> Result<String> {
        container::choose(pod, Some(self), named)?
            .ok_or_else(|| Error::not_found(format!("pod {} has no containers", pod.name())))
    }

    /// How it is doing and why, from its pods and the warnings about them.
    ///
    /// Needs `list` on pods; with `list` on events and on Kueue's workloads, `get` on `pods/log` and on
    /// volume claims it knows more.
    pub fn verdict(&self, kf: &Kf) -> Result<Verdict> {
        let events = Events::read(kf)?;
        let pods = self.pods(kf)?;
        let workloads = if self.kind.ends() && self.is_held() { self.workloads(kf)? } else { Vec::new() };
        let mut verdict = self.judge_queued(&pods, &workloads, &events);
        verdict.investigate(kf, &events);
        Ok(verdict)
    }

    /// The same, of what was read already.
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

    /// Kueue's workloads of the namespace; none where there is no Kueue, or no right to look.
    pub(super) fn workloads(&self, kf: &Kf) -> Result<Vec<Object>> {
        let workloads = kf.api("kueue.x-k8s.io/Workload").list();
        Ok(LeftOut::optional(kf, "workloads of Kueue", workloads)?.unwrap_or_default())
    }

    /// How many pods it runs at once, as its spec says; none if it leaves that to something else.
    pub fn ranks(&self) -> Option<i64> {
        let object = &self.object;
        match self.kind {
            ComponentKind::TrainJob => object.int("/spec/trainer/numNodes"),
            ComponentKind::Job => object.int("/spec/parallelism"),
            kind if kind.is_legacy_job() => replicas_of_roles(object),
            _ => None,
        }
    }

    /// Suspended by someone, or by a queue that has no room yet.
    pub(super) fn is_held(&self) -> bool {
        super::verdict::is_held(&self.object)
    }

    /// The label selector in its spec; one that fits nothing if there is none.
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

/// A legacy job has a replica spec a role: `spec.pytorchReplicaSpecs.Worker.replicas`.
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

/// Nothing that can be read has the name, and something cannot be read.
fn not_known(kf: &Kf, name: &str, kinds: &[ComponentKind], first: &Error, left_out: &LeftOut) -> Error {
    if left_out.len() == kinds.len() {
        return first.clone();
    }
    let message =
        format!("no component `{name}` in {} can be found; left out: {}", kf.namespace(), left_out.words());
    Error::new(first.code, message)
}

/// Nothing has the name, as far as the user may look.
fn nothing_found(
    kf: &Kf,
    name: &str,
    kinds: &[ComponentKind],
    refused: Vec<(ComponentKind, Error)>,
) -> Error {
    let unseen: Vec<_> = refused.iter().map(|(kind, _)| kind.plural()).collect();
    let what = match kinds {
        [only] => only.word(),
        _ => "component",
    };
    let missing = format!("no {what} `{name}` in {}", kf.namespace());
    if refused.is_empty() {
        return Error::not_found(missing).hint("kf status");
    }
    // Who may see neither pods nor anything else has no use for a list of what they may not see.
    let seen = kinds.iter().filter(|kind| !refused.iter().any(|(refused, _)| refused == *kind));
    let blind = refused.iter().any(|(kind, _)| *kind == ComponentKind::Pod) || seen.count() == 0;
    if blind {
        return refused.into_iter().next_back().map_or_else(|| Error::not_found(missing), |(_, error)| error);
    }
    // What may not be seen cannot be named either.
    Error::not_found(format!("{missing}, as far as you may look; you may not see {}", unseen.join(", ")))
        .hint("kf status")
}
