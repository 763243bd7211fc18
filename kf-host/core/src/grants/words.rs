//! Rules in a data scientist's words, for consent and help.

use std::collections::{BTreeMap, BTreeSet};

use super::danger::{Danger, danger};
use super::rule::{Scope, Verb};
use super::set::{Permission, RuleSet};

/// One line of what a command may do: `create and watch · training jobs · trainjobs.trainer…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence {
    pub verbs: String,
    /// What it is about, in plain words: `pods and their logs`.
    pub what: String,
    /// The same in Kubernetes' words: `pods, pods/log`.
    pub resources: String,
    pub danger: Option<Danger>,
}

/// Every permission of a set in as few lines as say it, the dangerous ones last.
pub fn sentences(rules: &RuleSet) -> Vec<Sentence> {
    let mut subjects: BTreeMap<Subject, BTreeSet<Verb>> = BTreeMap::new();
    for permission in rules.permissions() {
        subjects.entry(Subject::of(permission)).or_default().insert(permission.verb);
    }
    // By danger, then reading last, for changes matter more; one API group a line.
    let mut lines: BTreeMap<(Option<Danger>, bool, String, String), Vec<Subject>> = BTreeMap::new();
    for (subject, verbs) in subjects {
        let verbs = phrase(&subject, &verbs);
        let key = (subject.danger, verbs == "read", verbs, subject.group.clone());
        lines.entry(key).or_default().push(subject);
    }
    lines
        .into_iter()
        .map(|((danger, _, verbs, _), subjects)| Sentence {
            verbs,
            what: joined(&subjects.iter().map(Subject::noun).collect::<Vec<_>>()),
            resources: subjects.iter().map(Subject::exact).collect::<Vec<_>>().join(", "),
            danger,
        })
        .collect()
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Subject {
    group: String,
    plural: String,
    subresource: Option<String>,
    scope: Scope,
    name: Option<String>,
    data: bool,
    force: bool,
    danger: Option<Danger>,
}

impl Subject {
    fn of(permission: &Permission) -> Self {
        Self {
            group: permission.group.to_string(),
            plural: permission.resource.plural.to_string(),
            subresource: permission.resource.subresource.as_ref().map(ToString::to_string),
            scope: permission.scope,
            name: permission.name.as_ref().map(ToString::to_string),
            data: permission.data,
            force: permission.force,
            danger: danger(permission),
        }
    }

    fn noun(&self) -> String {
        let kind = plain_words(&self.plural);
        let noun = match self.subresource.as_deref() {
            None => kind.to_owned(),
            Some("log") => "their logs".to_owned(),
            Some("exec" | "attach" | "portforward") => kind.to_owned(),
            Some(sub) => format!("the {sub} of {kind}"),
        };
        let noun = if self.data { format!("{noun} with their data") } else { noun };
        match &self.name {
            Some(name) => format!("{noun} named {name}"),
            None => noun,
        }
    }

    fn exact(&self) -> String {
        let mut text = self.plural.clone();
        if !self.group.is_empty() {
            text.push('.');
            text.push_str(&self.group);
        }
        if let Some(sub) = &self.subresource {
            text.push('/');
            text.push_str(sub);
        }
        if self.scope == Scope::Cluster {
            text.push_str(" (cluster)");
        }
        text
    }
}

fn phrase(subject: &Subject, verbs: &BTreeSet<Verb>) -> String {
    if subject.plural.starts_with("selfsubject") {
        return "ask".into();
    }
    match subject.subresource.as_deref() {
        Some("exec") => return "run commands in".into(),
        Some("attach") => return "join the terminal of".into(),
        Some("portforward") => return "forward ports of".into(),
        _ => {}
    }
    let has = |verb| verbs.contains(&verb);
    let mut words: Vec<&str> = Vec::new();
    if has(Verb::Create) {
        words.push("create");
    }
    if has(Verb::Update) || has(Verb::Patch) {
        words.push(if subject.force { "take over" } else { "change" });
    }
    if has(Verb::Delete) || has(Verb::DeleteCollection) {
        words.push("delete");
    }
    words.extend(verbs.iter().filter(|v| **v > Verb::DeleteCollection).map(|v| v.as_str()));
    if has(Verb::Watch) && !words.is_empty() {
        words.push("watch");
    } else if verbs.iter().any(|v| v.reads()) {
        words.push("read");
    }
    joined(&words.into_iter().map(str::to_owned).collect::<Vec<_>>())
}

/// `a`, `a and b`, `a, b and c`, each once.
fn joined(words: &[String]) -> String {
    let mut seen = BTreeSet::new();
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|w| seen.insert(*w)).collect();
    match words.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

fn plain_words(plural: &str) -> &str {
    match plural {
        "trainjobs" => "training jobs",
        "trainingruntimes" | "clustertrainingruntimes" => "training runtimes",
        "inferenceservices" => "inference services",
        "servingruntimes" | "clusterservingruntimes" => "serving runtimes",
        "pytorchjobs" => "PyTorch jobs",
        "tfjobs" => "TensorFlow jobs",
        "mpijobs" => "MPI jobs",
        "xgboostjobs" => "XGBoost jobs",
        "paddlejobs" => "Paddle jobs",
        "jaxjobs" => "JAX jobs",
        "workloads" => "queued workloads",
        "tensorboards" => "TensorBoards",
        "experiments" => "tuning experiments",
        "sparkapplications" => "Spark applications",
        "persistentvolumeclaims" => "volumes",
        "configmaps" => "config maps",
        "serviceaccounts" => "service accounts",
        "rolebindings" => "role bindings",
        "resourcequotas" => "quotas",
        "cronjobs" => "scheduled jobs",
        "statefulsets" => "stateful sets",
        "jobsets" => "job sets",
        "selfsubjectreviews" => "who you are",
        "selfsubjectaccessreviews" => "what you may do",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(values: &[serde_json::Value]) -> Vec<String> {
        sentences(&RuleSet::parse(values).unwrap())
            .into_iter()
            .map(|line| format!("{} | {} | {}", line.verbs, line.what, line.resources))
            .collect()
    }

    #[test]
    fn a_training_command_reads_as_people_would_say_it() {
        let lines = read(&[
            json!({"apiGroups": ["trainer.kubeflow.org"], "resources": ["trainjobs"],
                   "verbs": ["get", "list", "watch", "create", "patch"]}),
            json!({"apiGroups": ["trainer.kubeflow.org"], "resources": ["trainingruntimes"],
                   "verbs": ["get", "list"]}),
            json!({"apiGroups": ["trainer.kubeflow.org"], "resources": ["clustertrainingruntimes"],
                   "verbs": ["get", "list"], "scope": "cluster"}),
            json!({"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list", "watch"]}),
        ]);
        assert_eq!(
            lines,
            [
                "create, change and watch | training jobs | trainjobs.trainer.kubeflow.org",
                "read | pods and their logs | pods, pods/log",
                "read | training runtimes | clustertrainingruntimes.trainer.kubeflow.org (cluster), \
                 trainingruntimes.trainer.kubeflow.org",
            ]
        );
    }

    #[test]
    fn a_dangerous_right_stands_on_its_own_line_and_last() {
        let rules = RuleSet::parse(&[
            json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "data": true}),
            json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}),
        ])
        .unwrap();
        let lines = sentences(&rules);
        assert_eq!(lines[0].danger, None);
        assert_eq!(lines[1].danger, Some(Danger::Secrets));
        assert_eq!(lines[1].what, "secrets with their data");
    }

    #[test]
    fn every_permission_is_said() {
        let lines = read(&[
            json!({"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]}),
            json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "delete"],
                   "resourceNames": ["kf"]}),
        ]);
        assert_eq!(
            lines,
            ["delete and read | config maps named kf | configmaps", "run commands in | pods | pods/exec"]
        );
    }
}
