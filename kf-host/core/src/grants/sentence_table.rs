//! Rights and the sentences that describe them.
//!
//! The first table has a sentence for every type of right. The other tests go through every kind that kf has words
//! for, and every verb, and check that a sentence describes exactly what the right allows.

use serde_json::{Value, json};

use super::known::{Containers, KNOWN, containers};
use super::words::{Reach, sentences, sentences_of_all};
use super::{RuleSet, Verb, consequences};

fn rules(values: &[Value]) -> RuleSet {
    RuleSet::parse(values).unwrap()
}

fn rule(group: &str, resource: &str, verbs: &[&str], scope: &str) -> Value {
    json!({"apiGroups": [group], "resources": [resource], "verbs": verbs, "scope": scope})
}

/// The sentence for one rule, with `!` if it is dangerous, and its consequences.
fn described(rule: Value) -> (String, String) {
    let rules = rules(&[rule]);
    let [line] = sentences(&rules).try_into().unwrap();
    let danger = if line.danger().is_some() { " !" } else { "" };
    (format!("{} | {}{danger}", line.verbs, line.what), consequences(&rules).join(" "))
}

const RUNS: &str = "What it creates or changes runs containers: through them it can use every secret and service account of the namespace.";
const MAY_RUN: &str = "kf does not know everything it creates or changes. If that runs containers, it can use every secret and service account of the namespace.";
const ENTERS: &str = "Commands in a pod can use what the pod can: its service account, secrets and volumes.";

#[test]
fn sentence_describes_each_type_of_right() {
    const TRAINER: &str = "trainer.kubeflow.org";
    const NONE: &str = "";
    /// Group, resource, verbs and scope, and the line and its consequences.
    type Row =
        (&'static str, &'static str, &'static [&'static str], &'static str, &'static str, &'static str);
    let table: &[Row] = &[
        ("", "pods", &["get", "list"], "environment", "read | pods", NONE),
        ("", "pods/log", &["get"], "environment", "read | pod logs", NONE),
        ("", "pods", &["get", "list", "watch"], "cluster", "read | pods in the whole cluster", NONE),
        (TRAINER, "trainjobs", &["get", "watch"], "environment", "read | training jobs", NONE),
        (TRAINER, "trainjobs", &["get", "delete"], "environment", "delete and read | training jobs", NONE),
        (TRAINER, "trainjobs", &["create"], "environment", "create | training jobs", RUNS),
        (
            TRAINER,
            "trainjobs",
            &["create", "patch", "watch"],
            "environment",
            "create, change and watch | training jobs",
            RUNS,
        ),
        (TRAINER, "clustertrainingruntimes", &["get"], "cluster", "read | cluster training runtimes", NONE),
        (
            "kubeflow.org",
            "workspacekinds",
            &["list"],
            "cluster",
            "read | the cluster's workspace kinds",
            NONE,
        ),
        ("evil.io", "widgets", &["get"], "cluster", "read | widgets.evil.io in the whole cluster", NONE),
        ("evil.io", "widgets", &["create"], "environment", "create | widgets.evil.io", MAY_RUN),
        ("", "configmaps", &["create", "patch"], "environment", "create and change | config maps", NONE),
        (
            "",
            "configmaps/finalizers",
            &["update"],
            "environment",
            "change | the finalizers of config maps",
            NONE,
        ),
        ("", "pods/exec", &["get", "create"], "environment", "run commands in | pods", ENTERS),
        ("", "pods/attach", &["get", "create"], "environment", "join the terminal of | pods", ENTERS),
        ("", "pods/portforward", &["get", "create"], "environment", "forward ports of | pods", NONE),
        ("", "pods/ephemeralcontainers", &["patch"], "environment", "add containers to | pods", RUNS),
        ("", "pods/eviction", &["create"], "environment", "evict | pods", NONE),
        ("", "secrets", &["get"], "environment", "read | secrets !", "Dangerous: secrets hold credentials."),
        (
            "",
            "serviceaccounts/token",
            &["create"],
            "environment",
            "mint tokens of | service accounts !",
            "Dangerous: it can mint tokens.",
        ),
        ("", "namespaces", &["get"], "cluster", "read | the cluster's namespaces", NONE),
        (
            "",
            "namespaces",
            &["create", "get"],
            "cluster",
            "create and read | the cluster's namespaces !",
            "Dangerous: a namespace holds its policies and everything in it.",
        ),
        (
            "authorization.k8s.io",
            "selfsubjectaccessreviews",
            &["create"],
            "environment",
            "ask | what you may do",
            NONE,
        ),
        (
            "authentication.k8s.io",
            "selfsubjectreviews",
            &["create"],
            "environment",
            "ask | who you are",
            NONE,
        ),
        (
            "rbac.authorization.k8s.io",
            "roles",
            &["escalate"],
            "environment",
            "escalate | roles !",
            "Dangerous: it can grant rights.",
        ),
    ];
    for (group, resource, verbs, scope, expected, implied) in table {
        let (line, consequences) = described(rule(group, resource, verbs, scope));
        assert_eq!(
            (line.as_str(), consequences.as_str()),
            (*expected, *implied),
            "{verbs:?} {resource}.{group}"
        );
    }
}

const VERBS: [(Verb, &str); 8] = [
    (Verb::Get, "read"),
    (Verb::List, "read"),
    (Verb::Watch, "read"),
    (Verb::Create, "create"),
    (Verb::Update, "change"),
    (Verb::Patch, "change"),
    (Verb::Delete, "delete"),
    (Verb::DeleteCollection, "delete"),
];

#[test]
fn sentence_of_known_kind_has_its_verb_and_place() {
    for kind in KNOWN {
        for (verb, word) in VERBS {
            for scope in ["environment", "cluster"] {
                let rule = rule(kind.group, kind.plural, &[verb.as_str()], scope);
                let (line, consequences) = described(rule.clone());
                let word = if kind.is_review && verb == Verb::Create { "ask" } else { word };
                let place =
                    if scope == "cluster" && !kind.cluster_scoped { " in the whole cluster" } else { "" };
                let line = line.trim_end_matches(" !");
                assert_eq!(line, format!("{word} | {}{place}", kind.words), "{rule}");
                let runs = matches!(verb, Verb::Create | Verb::Update | Verb::Patch)
                    && kind.containers != Containers::Never;
                assert_eq!(consequences.contains("runs containers"), runs, "{rule}: {consequences}");
            }
        }
    }
}

#[test]
fn read_and_delete_rights_do_not_mention_containers() {
    let all: Vec<Value> = KNOWN
        .iter()
        .filter(|kind| kind.group != "rbac.authorization.k8s.io")
        .map(|kind| rule(kind.group, kind.plural, &["get", "list", "watch", "delete"], "environment"))
        .collect();
    let text = all.chunks(32).flat_map(|part| consequences(&rules(part))).collect::<String>();
    assert!(!text.contains("containers"), "{text}");
    assert!(all.iter().all(|one| {
        rules(std::slice::from_ref(one)).permissions().all(|p| containers(p) == Containers::Never)
    }));
}

#[test]
fn rights_of_equal_strength_start_with_the_most_telling_kind() {
    let job = |resource: &str, verbs: &[&str]| rule("kubeflow.org", resource, verbs, "environment");
    let lines = sentences(&rules(&[
        job("jaxjobs", &["create", "watch"]),
        job("pytorchjobs", &["create", "watch"]),
        rule("batch", "jobs", &["create", "delete"], "environment"),
        rule("trainer.kubeflow.org", "trainjobs", &["create", "watch"], "environment"),
        rule("", "events", &["list"], "environment"),
        rule("", "pods", &["list"], "environment"),
        rule("", "pods/exec", &["get", "create"], "environment"),
    ]));
    let shown: Vec<String> = lines.iter().map(|line| format!("{} {}", line.verbs, line.what)).collect();
    assert_eq!(
        shown,
        [
            "read pods and events",
            "create and watch training jobs, PyTorch jobs and JAX jobs",
            "create and delete jobs",
            "run commands in pods",
        ]
    );
}

#[test]
fn reach_depends_on_scope_and_kind() {
    let inside = rule("", "pods", &["get"], "environment");
    let review = rule("authorization.k8s.io", "selfsubjectaccessreviews", &["create"], "environment");
    let everywhere = rule("", "serviceaccounts", &["get"], "cluster");
    let of_the_cluster = rule("", "namespaces", &["create"], "cluster");
    for (rules_, reach) in [
        (vec![inside.clone()], Reach::Namespace),
        (vec![inside.clone(), everywhere.clone()], Reach::Beyond),
        (vec![inside, of_the_cluster.clone()], Reach::Beyond),
        (vec![review, everywhere, of_the_cluster], Reach::Cluster),
    ] {
        assert_eq!(Reach::of(rules(&rules_).permissions()), reach, "{rules_:?}");
    }
}

#[test]
fn rights_of_several_commands_are_merged_with_their_names() {
    let logs =
        rules(&[rule("", "pods", &["list"], "environment"), rule("", "pods/log", &["get"], "environment")]);
    let train = rules(&[
        rule("", "pods", &["list"], "environment"),
        rule("trainer.kubeflow.org", "trainjobs", &["create"], "environment"),
    ]);
    let remove = rules(&[rule("trainer.kubeflow.org", "trainjobs", &["get", "delete"], "environment")]);
    let lines = sentences_of_all(&[("logs", &logs), ("train", &train), ("remove", &remove)]);
    let shown: Vec<String> =
        lines.iter().map(|line| format!("{} {}: {}", line.verbs, line.what, line.by.join(", "))).collect();
    assert_eq!(
        shown,
        ["read pods and pod logs: logs, train", "create, delete and read training jobs: train"]
    );
    assert!(sentences(&train).iter().all(|line| line.by.is_empty()));
}
