//! The catalogue of workload kinds.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Serialize, Serializer};

use super::katib::EXPERIMENT_LABEL;
use crate::abi::Kind;
use crate::error::{Error, Result};
use crate::kf::Kf;
use crate::objects::Object;

/// A kind of workload, in the order of tables.
///
/// Other kinds, such as daemon sets, can still appear as owners of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkloadKind {
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

/// How the pods of a workload are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PodsBy {
    /// By a label with the name of the workload.
    Label(&'static str),
    /// By the selector in its spec.
    Selector,
    /// The workload is a pod.
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

impl WorkloadKind {
    /// All kinds, in the order of tables.
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

    /// Returns its name as in `trainjob/mnist`.
    pub fn word(self) -> &'static str {
        self.facts().word
    }

    /// Returns its plural for messages, such as `training jobs`.
    pub fn plural(self) -> &'static str {
        self.facts().plural
    }

    /// Returns its resource name for RBAC, such as `trainjobs`.
    pub fn resource(self) -> &'static str {
        self.facts().resource
    }

    /// Returns its API group; empty for the core group.
    pub fn group(self) -> &'static str {
        self.facts().group
    }

    /// Returns its Kubernetes kind.
    pub fn kind(self) -> Kind {
        let facts = self.facts();
        Kind::new(facts.group, facts.kind)
    }

    /// Returns whether it runs to completion, like a job. A notebook runs until it is stopped; a pod depends on its owner.
    pub fn ends(self) -> bool {
        self.facts().ends
    }

    /// Returns whether its controller recreates its dependents while it is being deleted, so that a foreground deletion
    /// would never finish.
    pub fn is_recreated_while_deleted(self) -> bool {
        matches!(self, Self::Experiment | Self::Trial)
    }

    /// Returns whether it is a training job of the Training Operator, the predecessor of `TrainJob`.
    pub fn is_legacy_job(self) -> bool {
        self.facts().pods == JOB_NAME
    }

    pub(super) fn pods_by(self) -> PodsBy {
        self.facts().pods
    }

    /// Returns the names of its main containers, most likely first.
    pub(super) fn containers(self) -> &'static [&'static str] {
        self.facts().containers
    }

    /// Returns the kind of an object, if it is in the catalogue.
    pub fn of(object: &Object) -> Option<Self> {
        let (kind, group) = (object.kind(), object.group());
        Self::ALL.into_iter().find(|known| {
            let facts = known.facts();
            facts.kind == kind && (facts.group == group || object.str("/apiVersion").is_none())
        })
    }

    /// Parses a kind: `trainjob`, `trainjobs`, `TrainJob`, `trainjobs.trainer.kubeflow.org`, or a short name such as
    /// `isvc`.
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
            Error::invalid(format!("unknown kind `{word}`; expected one of {}", words.join(", ")))
        })
    }
}

/// Expands the kind in `KIND/NAME` if it is a short name that the API server serves.
///
/// The API server is only asked if the kind is not in the catalogue.
pub fn expand_kind(kf: &Kf, words: &str) -> String {
    let Some((word, name)) = words.split_once('/') else { return words.to_owned() };
    match WorkloadKind::named(word) {
        Err(_) => match served_as(kf, word) {
            Some(kind) => format!("{kind}/{name}"),
            None => words.to_owned(),
        },
        Ok(_) => words.to_owned(),
    }
}

/// Returns the kind that the API server serves under a short name.
fn served_as(kf: &Kf, short: &str) -> Option<WorkloadKind> {
    let short = short.to_lowercase();
    let groups: BTreeSet<&str> = WorkloadKind::ALL.into_iter().map(WorkloadKind::group).collect();
    let served = groups.into_iter().flat_map(|group| kf.discover(group).unwrap_or_default());
    let meant: Vec<_> = served.filter(|served| served.short_names.contains(&short)).collect();
    WorkloadKind::ALL.into_iter().find(|kind| {
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

impl fmt::Display for WorkloadKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

impl Serialize for WorkloadKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_of_kinds_are_unique() {
        let mut words = BTreeSet::new();
        for kind in WorkloadKind::ALL {
            let facts = kind.facts();
            for word in [facts.word, facts.resource].iter().chain(facts.aliases) {
                assert!(words.insert(*word), "{word}");
                assert_eq!(WorkloadKind::named(word), Ok(kind));
            }
        }
    }

    #[test]
    fn kind_is_parsed_from_common_forms() {
        for word in ["InferenceService", "isvc", "inferenceservices.serving.kserve.io"] {
            assert_eq!(WorkloadKind::named(word), Ok(WorkloadKind::InferenceService));
        }
        let error = WorkloadKind::named("jobs.example.org").unwrap_err();
        assert!(error.message.starts_with("unknown kind `jobs.example.org`; expected one of trainjob, "));
    }

    #[test]
    fn same_kind_of_another_group_is_not_in_catalogue() {
        let of = |version: &str| WorkloadKind::of(&json!({ "apiVersion": version, "kind": "Job" }).into());
        assert_eq!(of("batch/v1"), Some(WorkloadKind::Job));
        assert_eq!(of("batch.volcano.sh/v1alpha1"), None);
    }
}
