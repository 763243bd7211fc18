//! The kinds that kf has words for, by API group and plural.
//!
//! A plural alone is not enough: anyone can serve `trainjobs` in a group of their own. A kind that is not in
//! this list is shown by its exact name, and whether it runs containers is unknown.

use super::rule::Verb;
use super::set::Permission;
use crate::names::Subresource;

/// Whether creating or changing an object of a kind starts containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Containers {
    Never,
    /// Not enough is known about the kind.
    Possibly,
    /// Its controller starts the object's pod template.
    Always,
}

/// Whether a permission lets a command start containers.
///
/// Deleting and reading start none. Commands in running containers are not counted here.
pub fn containers(permission: &Permission) -> Containers {
    if !matches!(permission.verb, Verb::Create | Verb::Update | Verb::Patch) {
        return Containers::Never;
    }
    let (group, plural) = (permission.group.as_str(), permission.resource.plural.as_str());
    let kind = known(group, plural);
    let subresource = permission.resource.subresource.as_ref().map(Subresource::as_str);
    match (group, plural, subresource) {
        ("", "pods", Some("ephemeralcontainers")) => Containers::Always,
        ("", "pods", Some("exec" | "attach" | "portforward" | "eviction" | "log"))
        | ("", "serviceaccounts", Some("token")) => Containers::Never,
        (.., Some("status" | "finalizers")) if kind.is_some() => Containers::Never,
        (.., None | Some("scale")) => kind.map_or(Containers::Possibly, |kind| kind.containers),
        _ => Containers::Possibly,
    }
}

/// A kind that kf has words for.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) group: &'static str,
    pub(super) plural: &'static str,
    /// In the words of a data scientist. For a cluster-scoped kind they include "cluster".
    pub(super) words: &'static str,
    pub(super) containers: Containers,
    /// The kind is cluster-scoped, so a sentence about it need not mention the whole cluster.
    pub(super) cluster_scoped: bool,
    /// Creating one only asks the API server about rights, and stores nothing.
    pub(super) is_review: bool,
}

const fn inert(group: &'static str, plural: &'static str, words: &'static str) -> Known {
    Known { group, plural, words, containers: Containers::Never, cluster_scoped: false, is_review: false }
}

const fn runs(group: &'static str, plural: &'static str, words: &'static str) -> Known {
    Known { group, plural, words, containers: Containers::Always, cluster_scoped: false, is_review: false }
}

const fn unsure(group: &'static str, plural: &'static str, words: &'static str) -> Known {
    Known { group, plural, words, containers: Containers::Possibly, cluster_scoped: false, is_review: false }
}

const fn review(group: &'static str, plural: &'static str, words: &'static str) -> Known {
    Known { is_review: true, ..inert(group, plural, words) }
}

const fn of_cluster(known: Known) -> Known {
    Known { cluster_scoped: true, ..known }
}

/// Sorted by group and plural.
pub(super) const KNOWN: &[Known] = &[
    inert("", "configmaps", "config maps"),
    inert("", "endpoints", "endpoints"),
    inert("", "events", "events"),
    inert("", "limitranges", "limit ranges"),
    of_cluster(inert("", "namespaces", "the cluster's namespaces")),
    of_cluster(unsure("", "nodes", "the cluster's nodes")),
    inert("", "persistentvolumeclaims", "volumes"),
    of_cluster(inert("", "persistentvolumes", "the cluster's persistent volumes")),
    runs("", "pods", "pods"),
    runs("", "podtemplates", "pod templates"),
    runs("", "replicationcontrollers", "replication controllers"),
    inert("", "resourcequotas", "quotas"),
    inert("", "secrets", "secrets"),
    inert("", "serviceaccounts", "service accounts"),
    inert("", "services", "services"),
    runs("apps", "daemonsets", "daemon sets"),
    runs("apps", "deployments", "deployments"),
    runs("apps", "replicasets", "replica sets"),
    runs("apps", "statefulsets", "stateful sets"),
    runs("argoproj.io", "cronworkflows", "scheduled Argo workflows"),
    runs("argoproj.io", "workflows", "Argo workflows"),
    runs("argoproj.io", "workflowtemplates", "Argo workflow templates"),
    of_cluster(review("authentication.k8s.io", "selfsubjectreviews", "who you are")),
    review("authorization.k8s.io", "localsubjectaccessreviews", "what others may do"),
    of_cluster(review("authorization.k8s.io", "selfsubjectaccessreviews", "what you may do")),
    of_cluster(review("authorization.k8s.io", "selfsubjectrulesreviews", "what you may do")),
    of_cluster(review("authorization.k8s.io", "subjectaccessreviews", "what others may do")),
    runs("batch", "cronjobs", "scheduled jobs"),
    runs("batch", "jobs", "jobs"),
    inert("coordination.k8s.io", "leases", "leases"),
    inert("discovery.k8s.io", "endpointslices", "endpoint slices"),
    inert("events.k8s.io", "events", "events"),
    runs("jobset.x-k8s.io", "jobsets", "job sets"),
    runs("kubeflow.org", "experiments", "tuning experiments"),
    runs("kubeflow.org", "jaxjobs", "JAX jobs"),
    runs("kubeflow.org", "mpijobs", "MPI jobs"),
    runs("kubeflow.org", "notebooks", "notebooks"),
    runs("kubeflow.org", "paddlejobs", "Paddle jobs"),
    runs("kubeflow.org", "pytorchjobs", "PyTorch jobs"),
    runs("kubeflow.org", "tfjobs", "TensorFlow jobs"),
    runs("kubeflow.org", "trials", "trials"),
    of_cluster(runs("kubeflow.org", "workspacekinds", "the cluster's workspace kinds")),
    runs("kubeflow.org", "workspaces", "workspaces"),
    runs("kubeflow.org", "xgboostjobs", "XGBoost jobs"),
    unsure("kueue.x-k8s.io", "localqueues", "queues"),
    unsure("kueue.x-k8s.io", "workloads", "queued workloads"),
    of_cluster(inert("metrics.k8s.io", "nodes", "resource usage of the cluster's nodes")),
    inert("metrics.k8s.io", "pods", "resource usage of pods"),
    inert("networking.k8s.io", "ingresses", "ingresses"),
    inert("networking.k8s.io", "networkpolicies", "network policies"),
    inert("policy", "poddisruptionbudgets", "disruption budgets"),
    runs("ray.io", "rayclusters", "Ray clusters"),
    runs("ray.io", "rayjobs", "Ray jobs"),
    runs("ray.io", "rayservices", "Ray services"),
    of_cluster(inert("rbac.authorization.k8s.io", "clusterrolebindings", "cluster role bindings")),
    of_cluster(inert("rbac.authorization.k8s.io", "clusterroles", "cluster roles")),
    inert("rbac.authorization.k8s.io", "rolebindings", "role bindings"),
    inert("rbac.authorization.k8s.io", "roles", "roles"),
    of_cluster(inert("scheduling.k8s.io", "priorityclasses", "the cluster's priority classes")),
    of_cluster(runs("serving.kserve.io", "clusterservingruntimes", "cluster serving runtimes")),
    runs("serving.kserve.io", "inferencegraphs", "inference graphs"),
    runs("serving.kserve.io", "inferenceservices", "inference services"),
    runs("serving.kserve.io", "servingruntimes", "serving runtimes"),
    runs("sparkoperator.k8s.io", "scheduledsparkapplications", "scheduled Spark applications"),
    runs("sparkoperator.k8s.io", "sparkapplications", "Spark applications"),
    of_cluster(inert("storage.k8s.io", "storageclasses", "the cluster's storage classes")),
    runs("tensorboard.kubeflow.org", "tensorboards", "TensorBoards"),
    of_cluster(runs("trainer.kubeflow.org", "clustertrainingruntimes", "cluster training runtimes")),
    runs("trainer.kubeflow.org", "trainingruntimes", "training runtimes"),
    runs("trainer.kubeflow.org", "trainjobs", "training jobs"),
    inert("visibility.kueue.x-k8s.io", "localqueues", "queues"),
];

/// The kinds that best show what a command is for, by group and plural, the best first.
const NAMED_FIRST: &[(&str, &str)] = &[
    ("trainer.kubeflow.org", "trainjobs"),
    ("kubeflow.org", "experiments"),
    ("kubeflow.org", "notebooks"),
    ("kubeflow.org", "workspaces"),
    ("serving.kserve.io", "inferenceservices"),
    ("kubeflow.org", "pytorchjobs"),
    ("kubeflow.org", "tfjobs"),
    ("kubeflow.org", "mpijobs"),
    ("kubeflow.org", "xgboostjobs"),
    ("kubeflow.org", "paddlejobs"),
    ("kubeflow.org", "jaxjobs"),
    ("kubeflow.org", "trials"),
    ("sparkoperator.k8s.io", "sparkapplications"),
    ("tensorboard.kubeflow.org", "tensorboards"),
    ("jobset.x-k8s.io", "jobsets"),
    ("batch", "jobs"),
    ("", "secrets"),
    ("", "pods"),
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("trainer.kubeflow.org", "trainingruntimes"),
    ("trainer.kubeflow.org", "clustertrainingruntimes"),
    ("", "configmaps"),
    ("", "persistentvolumeclaims"),
];

/// The position of a kind in a list of kinds: those that best show what a command is for come first.
pub(super) fn rank(group: &str, plural: &str) -> usize {
    NAMED_FIRST.iter().position(|kind| *kind == (group, plural)).unwrap_or(usize::MAX)
}

/// The kind with this group and plural, if kf has words for it.
pub(super) fn known(group: &str, plural: &str) -> Option<&'static Known> {
    let found = KNOWN.binary_search_by(|known| (known.group, known.plural).cmp(&(group, plural)));
    found.ok().and_then(|at| KNOWN.get(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_kind_is_found_by_group_and_plural() {
        for kind in KNOWN {
            let found = known(kind.group, kind.plural).map(|found| found.words);
            assert_eq!(found, Some(kind.words), "{}.{} is out of order", kind.plural, kind.group);
            assert!(known("evil.io", kind.plural).is_none(), "{}", kind.plural);
        }
        assert!(known("", "podz").is_none());
    }

    #[test]
    fn telling_kinds_are_known_and_unique() {
        for (at, (group, plural)) in NAMED_FIRST.iter().enumerate() {
            assert!(known(group, plural).is_some(), "{plural}.{group}");
            assert_eq!(rank(group, plural), at, "{plural}.{group}");
            assert_eq!(rank("evil.io", plural), usize::MAX);
        }
    }

    #[test]
    fn words_of_cluster_scoped_kind_mention_the_cluster() {
        for kind in KNOWN.iter().filter(|kind| !kind.is_review) {
            assert_eq!(
                kind.words.contains("cluster"),
                kind.cluster_scoped || kind.plural.contains("cluster"),
                "{}",
                kind.words
            );
        }
    }
}
