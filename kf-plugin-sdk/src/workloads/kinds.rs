//! The catalogue: every kind a person may name, and what kf knows about it.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Serialize, Serializer};

use super::katib::EXPERIMENT_LABEL;
use crate::border::Kind;
use crate::error::{Error, Result};
use crate::kf::Kf;
use crate::objects::Object;

/// A kind of component, in the order a table shows them.
///
/// What is not listed here can still turn up as the owner of pods (a daemon set, say), but has no
/// word of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ComponentKind {
    TrainJob,
    PyTorchJob,
    TFJob,
    MPIJob,
    XGBoostJob,
    PaddleJob,
    JAXJob,
    Experiment,
    Trial,
    SparkApplication,
    JobSet,
    Job,
    Notebook,
    Workspace,
    InferenceService,
    Tensorboard,
    Deployment,
    StatefulSet,
    Pod,
}

/// How a component's pods are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PodsBy {
    /// By a label that holds the component's name.
    Label(&'static str),
    /// By the selector in its spec.
    Selector,
    /// It is a pod.
    Itself,
}

struct Facts {
    word: &'static str,
    kind: &'static str,
    group: &'static str,
    resource: &'static str,
    plural: &'static str,
    aliases: &'static [&'static str],
    ends: bool,
    pods: PodsBy,
    containers: &'static [&'static str],
}

impl Facts {
    const fn new(
        word: &'static str,
        kind: &'static str,
        group: &'static str,
        resource: &'static str,
        plural: &'static str,
        pods: PodsBy,
    ) -> Self {
        Self { word, kind, group, resource, plural, aliases: &[], ends: false, pods, containers: &[] }
    }

    const fn ends(self) -> Self {
        Self { ends: true, ..self }
    }

    const fn aliases(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    const fn containers(self, containers: &'static [&'static str]) -> Self {
        Self { containers, ..self }
    }
}

const KUBEFLOW: &str = "kubeflow.org";
const JOB_SET_NAME: PodsBy = PodsBy::Label("jobset.sigs.k8s.io/jobset-name");
const JOB_NAME: PodsBy = PodsBy::Label("training.kubeflow.org/job-name");

impl ComponentKind {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 19] = [
        Self::TrainJob,
        Self::PyTorchJob,
        Self::TFJob,
        Self::MPIJob,
        Self::XGBoostJob,
        Self::PaddleJob,
        Self::JAXJob,
        Self::Experiment,
        Self::Trial,
        Self::SparkApplication,
        Self::JobSet,
        Self::Job,
        Self::Notebook,
        Self::Workspace,
        Self::InferenceService,
        Self::Tensorboard,
        Self::Deployment,
        Self::StatefulSet,
        Self::Pod,
    ];

    const fn facts(self) -> Facts {
        use PodsBy::{Itself, Label, Selector};
        match self {
            Self::TrainJob => Facts::new(
                "trainjob",
                "TrainJob",
                "trainer.kubeflow.org",
                "trainjobs",
                "training jobs",
                JOB_SET_NAME,
            )
            .containers(&["node"])
            .ends(),
            Self::PyTorchJob => {
                legacy("pytorchjob", "PyTorchJob", "pytorchjobs", "PyTorch jobs", &["pytorch"])
            }
            Self::TFJob => legacy("tfjob", "TFJob", "tfjobs", "TensorFlow jobs", &["tensorflow"]),
            Self::MPIJob => legacy("mpijob", "MPIJob", "mpijobs", "MPI jobs", &["mpi"]),
            Self::XGBoostJob => {
                legacy("xgboostjob", "XGBoostJob", "xgboostjobs", "XGBoost jobs", &["xgboost"])
            }
            Self::PaddleJob => legacy("paddlejob", "PaddleJob", "paddlejobs", "Paddle jobs", &["paddle"]),
            Self::JAXJob => legacy("jaxjob", "JAXJob", "jaxjobs", "JAX jobs", &["jax"]),
            Self::Experiment => Facts::new(
                "experiment",
                "Experiment",
                KUBEFLOW,
                "experiments",
                "experiments",
                Label(EXPERIMENT_LABEL),
            )
            .ends(),
            Self::Trial => {
                Facts::new("trial", "Trial", KUBEFLOW, "trials", "trials", Label("katib.kubeflow.org/trial"))
                    .ends()
            }
            Self::SparkApplication => Facts::new(
                "sparkapplication",
                "SparkApplication",
                "sparkoperator.k8s.io",
                "sparkapplications",
                "Spark applications",
                Label("sparkoperator.k8s.io/app-name"),
            )
            .aliases(&["sparkapp", "spark"])
            .containers(&["spark-kubernetes-driver", "spark-kubernetes-executor"])
            .ends(),
            Self::JobSet => {
                Facts::new("jobset", "JobSet", "jobset.x-k8s.io", "jobsets", "job sets", JOB_SET_NAME)
                    .containers(&["node"])
                    .ends()
            }
            Self::Job => {
                Facts::new("job", "Job", "batch", "jobs", "jobs", Label("batch.kubernetes.io/job-name"))
                    .ends()
            }
            Self::Notebook => {
                Facts::new("notebook", "Notebook", KUBEFLOW, "notebooks", "notebooks", Label("notebook-name"))
            }
            Self::Workspace => Facts::new(
                "workspace",
                "Workspace",
                KUBEFLOW,
                "workspaces",
                "workspaces",
                Label("notebooks.kubeflow.org/workspace-name"),
            )
            .containers(&["main"]),
            Self::InferenceService => Facts::new(
                "inferenceservice",
                "InferenceService",
                "serving.kserve.io",
                "inferenceservices",
                "inference services",
                Label("serving.kserve.io/inferenceservice"),
            )
            .aliases(&["isvc", "inference"])
            .containers(&["kserve-container", "worker-container"]),
            Self::Tensorboard => Facts::new(
                "tensorboard",
                "Tensorboard",
                "tensorboard.kubeflow.org",
                "tensorboards",
                "TensorBoards",
                Label("app"),
            ),
            Self::Deployment => {
                Facts::new("deployment", "Deployment", "apps", "deployments", "deployments", Selector)
                    .aliases(&["deploy"])
            }
            Self::StatefulSet => {
                Facts::new("statefulset", "StatefulSet", "apps", "statefulsets", "stateful sets", Selector)
                    .aliases(&["sts"])
            }
            Self::Pod => Facts::new("pod", "Pod", "", "pods", "pods", Itself).aliases(&["po"]),
        }
    }

    /// As in `trainjob/mnist`.
    pub fn word(self) -> &'static str {
        self.facts().word
    }

    /// For people, such as `training jobs`.
    pub fn plural(self) -> &'static str {
        self.facts().plural
    }

    /// As RBAC names it, such as `trainjobs`.
    pub fn resource(self) -> &'static str {
        self.facts().resource
    }

    /// Its group; empty for the core group.
    pub fn group(self) -> &'static str {
        self.facts().group
    }

    pub fn kind(self) -> Kind {
        let facts = self.facts();
        Kind::new(facts.group, facts.kind)
    }

    /// Whether it ends by itself: a job does, a notebook stays until someone stops it. A pod does
    /// what its owner wants.
    pub fn ends(self) -> bool {
        self.facts().ends
    }

    /// Whether its controller makes its parts again even while it is being deleted. Deleted in the foreground, what
    /// waits for the end of its parts would never go.
    pub fn is_remade_while_deleted(self) -> bool {
        matches!(self, Self::Experiment | Self::Trial)
    }

    /// The training jobs of the Training Operator, the generation before `TrainJob`.
    pub fn is_legacy_job(self) -> bool {
        self.facts().pods == JOB_NAME
    }

    pub(super) fn pods_by(self) -> PodsBy {
        self.facts().pods
    }

    /// The containers that do the work, the likeliest first.
    pub(super) fn containers(self) -> &'static [&'static str] {
        self.facts().containers
    }

    /// The kind of an object, if it is in the catalogue.
    pub fn of(object: &Object) -> Option<Self> {
        let (kind, group) = (object.kind(), object.group());
        Self::ALL.into_iter().find(|known| {
            let facts = known.facts();
            facts.kind == kind && (facts.group == group || object.str("/apiVersion").is_none())
        })
    }

    /// The kind a person means: `trainjob`, `trainjobs`, `TrainJob`, `trainjobs.trainer.kubeflow.org`,
    /// or a short name such as `isvc`.
    pub fn named(word: &str) -> Result<Self> {
        let lower = word.to_lowercase();
        let (short, group) = lower.split_once('.').map_or((lower.as_str(), None), |(s, g)| (s, Some(g)));
        let is = |kind: &Self| {
            let facts = kind.facts();
            let named = short == facts.word || short == facts.resource || facts.aliases.contains(&short);
            named && group.is_none_or(|group| group == facts.group)
        };
        Self::ALL.into_iter().find(is).ok_or_else(|| {
            let words: Vec<_> = Self::ALL.iter().map(|kind| kind.word()).collect();
            Error::invalid(format!("`{word}` is no kind known here; it can be {}", words.join(", ")))
        })
    }
}

/// `KIND/NAME` as it is, or with the kind in full where it is a short name that the API server serves for it.
///
/// Only for a word that is no kind of the catalogue is the API server asked.
pub fn spelled_out(kf: &Kf, words: &str) -> String {
    let Some((word, name)) = words.split_once('/') else { return words.to_owned() };
    match ComponentKind::named(word) {
        Err(_) => match served_as(kf, word) {
            Some(kind) => format!("{kind}/{name}"),
            None => words.to_owned(),
        },
        Ok(_) => words.to_owned(),
    }
}

/// The kind that is served under a short name.
fn served_as(kf: &Kf, short: &str) -> Option<ComponentKind> {
    let short = short.to_lowercase();
    let groups: BTreeSet<&str> = ComponentKind::ALL.into_iter().map(ComponentKind::group).collect();
    let served = groups.into_iter().flat_map(|group| kf.discover(group).unwrap_or_default());
    let meant: Vec<_> = served.filter(|served| served.short_names.contains(&short)).collect();
    ComponentKind::ALL.into_iter().find(|kind| {
        let Kind { group, kind, .. } = kind.kind();
        meant.iter().any(|served| (&served.group, &served.kind) == (&group, &kind))
    })
}

const fn legacy(
    word: &'static str,
    kind: &'static str,
    resource: &'static str,
    plural: &'static str,
    containers: &'static [&'static str],
) -> Facts {
    Facts::new(word, kind, KUBEFLOW, resource, plural, JOB_NAME).containers(containers).ends()
}

impl fmt::Display for ComponentKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

impl Serialize for ComponentKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_word_means_two_kinds() {
        let mut words = BTreeSet::new();
        for kind in ComponentKind::ALL {
            let facts = kind.facts();
            for word in [facts.word, facts.resource].iter().chain(facts.aliases) {
                assert!(words.insert(*word), "{word}");
                assert_eq!(ComponentKind::named(word), Ok(kind));
            }
        }
    }

    #[test]
    fn a_kind_is_named_in_any_common_way() {
        for word in ["InferenceService", "isvc", "inferenceservices.serving.kserve.io"] {
            assert_eq!(ComponentKind::named(word), Ok(ComponentKind::InferenceService));
        }
        let error = ComponentKind::named("jobs.example.org").unwrap_err();
        assert!(error.message.starts_with("`jobs.example.org` is no kind known here; it can be trainjob, "));
    }

    #[test]
    fn a_kind_of_the_same_name_in_another_group_is_not_meant() {
        let of = |version: &str| ComponentKind::of(&json!({ "apiVersion": version, "kind": "Job" }).into());
        assert_eq!(of("batch/v1"), Some(ComponentKind::Job));
        assert_eq!(of("batch.volcano.sh/v1alpha1"), None);
    }
}
