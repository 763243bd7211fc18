//! Rules in a data scientist's words, for consent and help.
//!
//! The author of the rules wants them accepted, so their text must not decide how much space a line takes or
//! where it is shown: long lists end in a count of the rest, long names are shortened in the middle, and the
//! strongest rights come last, next to the question. Among rights of equal strength, and within a line, the kinds
//! that best show what a command is for come first.

use std::collections::{BTreeMap, BTreeSet};

use super::danger::{Danger, writes};
use super::known::{Known, known, rank};
use super::rule::{Scope, Verb};
use super::set::{Permission, RuleSet};
use super::strength::{Strength, asks};

/// The longest list of kinds in a [`Sentence`], in characters.
const MAX_LIST_CHARS: usize = 360;

/// The same for rights from [`Strength::ForwardsPorts`] up, which must fit on a screen with everything below them.
const MAX_STRONG_LIST_CHARS: usize = 200;

/// The most names of objects that are shown for one kind.
const MAX_NAMES: usize = 3;

/// The longest name of an object or a kind, in characters.
const MAX_NAME_CHARS: usize = 50;

/// More kinds than this are shown by their words alone, without their exact names.
const MAX_EXACT: usize = 2;

/// One line of what a command is allowed to do: `create and watch · training jobs · trainjobs.trainer…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence {
    pub verbs: String,
    /// The kinds, in plain words: `volumes and pod logs`. Kinds that kf has no words for have their exact
    /// names.
    pub what: String,
    /// The names in Kubernetes, `pods/log`, if they differ from the words and the line has at most two kinds.
    pub resources: String,
    pub strength: Strength,
    /// In every namespace.
    pub everywhere: bool,
    /// Which of several commands ask for the strongest of these rights.
    pub by: Vec<String>,
}

impl Sentence {
    pub fn danger(&self) -> Option<Danger> {
        match self.strength {
            Strength::Dangerous(danger) => Some(danger),
            _ => None,
        }
    }
}

/// Where a set of rules applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Only the namespace of a run.
    Namespace,
    /// The namespace and beyond.
    Beyond,
    /// Only cluster-wide.
    Cluster,
}

impl Reach {
    pub fn of<'a>(permissions: impl IntoIterator<Item = &'a Permission>) -> Self {
        let in_namespace = |permission: &Permission| {
            let subject = Subject::of(permission);
            subject.scope == Scope::Environment && !subject.known().is_some_and(|kind| kind.cluster_scoped)
        };
        let (inside, outside): (Vec<_>, Vec<_>) =
            permissions.into_iter().map(in_namespace).partition(|inside| *inside);
        match (inside.is_empty(), outside.is_empty()) {
            (_, true) => Self::Namespace,
            (false, false) => Self::Beyond,
            (true, false) => Self::Cluster,
        }
    }
}

/// All permissions of a set in as few lines as possible, from the weakest to the strongest.
pub fn sentences(rules: &RuleSet) -> Vec<Sentence> {
    sentences_within(rules, MAX_LIST_CHARS)
}

/// The same with shorter or longer lists.
pub fn sentences_within(rules: &RuleSet, list_chars: usize) -> Vec<Sentence> {
    describe(&[("", rules)], list_chars)
}

/// What several commands are allowed to do together, each line with the names of the commands that ask for it.
pub fn sentences_of_all(commands: &[(&str, &RuleSet)]) -> Vec<Sentence> {
    describe(commands, MAX_LIST_CHARS)
}

fn describe(commands: &[(&str, &RuleSet)], list_chars: usize) -> Vec<Sentence> {
    let mut subjects: BTreeMap<(Subject<'_>, Option<&str>), Vec<Asked<'_>>> = BTreeMap::new();
    for (command, rules) in commands {
        for permission in rules.permissions() {
            let name = permission.name.as_ref().map(|name| name.as_str());
            subjects.entry((Subject::of(permission), name)).or_default().push((command, permission));
        }
    }
    let mut lines: BTreeMap<Place<'_>, (Subjects<'_>, BTreeSet<&str>)> = BTreeMap::new();
    for ((subject, name), asked) in subjects {
        let permissions: Vec<&Permission> = asked.iter().map(|(_, permission)| *permission).collect();
        let place = Place::of(&subject, &permissions);
        // A command that only reads what another one changes does not ask for the change.
        let asks = |(_, permission): &&Asked<'_>| Strength::of(permission) == place.strength;
        let by: Vec<&str> = asked.iter().filter(asks).map(|(command, _)| *command).collect();
        let (what, all) = lines.entry(place).or_default();
        what.entry(subject).or_default().insert(name);
        all.extend(by);
    }
    let mut lines: Vec<_> = lines.into_iter().collect();
    lines.sort_by_cached_key(|(place, (what, _))| {
        (place.strength, place.everywhere, what.keys().map(Subject::rank).min())
    });
    let sentence = |(place, (what, by)): (Place<'_>, (Subjects<'_>, BTreeSet<&str>))| {
        let by = by.into_iter().filter(|name| !name.is_empty()).map(str::to_owned).collect();
        place.sentence(&what, list_chars, by)
    };
    lines.into_iter().map(sentence).collect()
}

/// A permission and the command that asks for it.
type Asked<'a> = (&'a str, &'a Permission);

/// The subjects of a line, with the names of objects; none means any name.
type Subjects<'a> = BTreeMap<Subject<'a>, BTreeSet<Option<&'a str>>>;

/// What the subjects of one line have in common; sorts the lines.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place<'a> {
    strength: Strength,
    /// In the whole cluster, and not only because the kind is cluster-scoped.
    everywhere: bool,
    verbs: String,
    /// Set for kinds that kf has no words for.
    group: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn of(subject: &Subject<'a>, permissions: &[&Permission]) -> Self {
        let known = subject.known();
        let strength = permissions.iter().map(|permission| Strength::of(permission)).max();
        Self {
            strength: strength.unwrap_or(Strength::Reads),
            everywhere: subject.scope == Scope::Cluster && !known.is_some_and(|known| known.cluster_scoped),
            verbs: phrase(subject, permissions),
            group: known.is_none().then_some(subject.group),
        }
    }

    fn sentence(self, subjects: &Subjects<'_>, list_chars: usize, by: Vec<String>) -> Sentence {
        let list_chars = match self.strength {
            strength if strength < Strength::ForwardsPorts => list_chars,
            _ => list_chars.min(MAX_STRONG_LIST_CHARS),
        };
        let mut subjects: Vec<_> = subjects.iter().collect();
        subjects.sort_by_key(|(subject, _)| subject.rank());
        let nouns: Vec<String> = subjects.iter().map(|(subject, names)| subject.noun(names)).collect();
        let mut what = joined(&nouns, list_chars);
        if self.everywhere {
            what.push_str(" in the whole cluster");
        }
        let exact: Vec<String> = subjects.iter().map(|(subject, _)| subject.exact()).collect();
        let is_listed = |exact: &String| what.split([' ', ',']).any(|word| word == exact);
        let few = exact.len() <= MAX_EXACT && !exact.iter().all(is_listed);
        let resources = if few { exact.join(", ") } else { String::new() };
        let Self { strength, everywhere, verbs, group: _ } = self;
        Sentence { verbs, what, resources, strength, everywhere, by }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Subject<'a> {
    group: &'a str,
    plural: &'a str,
    subresource: Option<&'a str>,
    scope: Scope,
    data: bool,
}

impl<'a> Subject<'a> {
    fn of(permission: &'a Permission) -> Self {
        Self {
            group: permission.group.as_str(),
            plural: permission.resource.plural.as_str(),
            subresource: permission.resource.subresource.as_ref().map(|sub| sub.as_str()),
            scope: permission.scope,
            data: permission.data,
        }
    }

    fn known(&self) -> Option<&'static Known> {
        known(self.group, self.plural)
    }

    /// Kinds that kf has no words for come last.
    fn rank(&self) -> usize {
        rank(self.group, self.plural)
    }

    fn noun(&self, names: &BTreeSet<Option<&str>>) -> String {
        let noun = match self.known() {
            None => self.exact(),
            Some(kind) => match (self.group, self.plural, self.subresource) {
                (.., None)
                | (
                    "",
                    "pods",
                    Some("exec" | "attach" | "portforward" | "ephemeralcontainers" | "eviction"),
                )
                | ("", "serviceaccounts", Some("token")) => kind.words.to_owned(),
                ("", "pods", Some("log")) => "pod logs".to_owned(),
                (.., Some(sub)) => format!("the {} of {}", shortened(sub), kind.words),
            },
        };
        let noun = if self.data { format!("{noun} with their data") } else { noun };
        if names.contains(&None) {
            return noun;
        }
        let named: Vec<String> = names.iter().flatten().take(MAX_NAMES).map(|name| quoted(name)).collect();
        match names.len().saturating_sub(named.len()) {
            0 => format!("{noun} named {}", joined(&named, usize::MAX)),
            more => format!("{noun} named {} and {more} more", named.join(", ")),
        }
    }

    fn exact(&self) -> String {
        let mut text = self.plural.to_owned();
        if !self.group.is_empty() {
            text.push('.');
            text.push_str(self.group);
        }
        if let Some(sub) = self.subresource {
            text.push('/');
            text.push_str(sub);
        }
        shortened(&text)
    }
}

/// What the permissions of one subject let a command do with it.
fn phrase(subject: &Subject<'_>, permissions: &[&Permission]) -> String {
    match (subject.group, subject.plural, subject.subresource) {
        ("", "pods", Some("exec")) => return "run commands in".into(),
        ("", "pods", Some("attach")) => return "join the terminal of".into(),
        ("", "pods", Some("portforward")) => return "forward ports of".into(),
        _ => {}
    }
    if permissions.iter().all(|permission| asks(permission)) {
        return "ask".into();
    }
    let has = |verb| permissions.iter().any(|permission| permission.verb == verb);
    let changes = has(Verb::Create) || has(Verb::Update) || has(Verb::Patch);
    match (subject.group, subject.plural, subject.subresource) {
        ("", "pods", Some("ephemeralcontainers")) if changes => return "add containers to".into(),
        ("", "pods", Some("eviction")) if changes => return "evict".into(),
        ("", "serviceaccounts", Some("token")) if changes => return "mint tokens of".into(),
        _ => {}
    }
    let mut words: Vec<&str> = Vec::new();
    if has(Verb::Create) {
        words.push("create");
    }
    if has(Verb::Update) || has(Verb::Patch) {
        words.push("change");
    }
    if permissions.iter().any(|permission| permission.force) {
        words.push("take over");
    }
    if has(Verb::Delete) || has(Verb::DeleteCollection) {
        words.push("delete");
    }
    let unusual: BTreeSet<Verb> = permissions
        .iter()
        .map(|permission| permission.verb)
        .filter(|verb| *verb > Verb::DeleteCollection)
        .collect();
    words.extend(unusual.into_iter().map(Verb::as_str));
    let reads = |permission: &&Permission| permission.verb.reads();
    if permissions.iter().any(|permission| reads(permission) && writes(permission)) {
        // A session, with any verb.
        words.push("use");
    } else if has(Verb::Watch) && !words.is_empty() {
        words.push("watch");
    } else if permissions.iter().any(reads) {
        words.push("read");
    }
    joined(&words.into_iter().map(str::to_owned).collect::<Vec<_>>(), usize::MAX)
}

/// `a`, `a and b`, `a, b and 57 more`: each once, and at least one, in about `chars` characters.
pub fn joined(words: &[String], chars: usize) -> String {
    let mut seen = BTreeSet::new();
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| seen.insert(*word)).collect();
    let mut left = chars;
    let fits = |word: &&&str| {
        let fits = word.len() <= left;
        left = left.saturating_sub(word.len().saturating_add(2));
        fits
    };
    let shown = words.iter().take_while(fits).count().max(1).min(words.len());
    let (shown, more) = words.split_at(shown);
    match (shown, more.len()) {
        ([], _) => String::new(),
        ([one], 0) => (*one).to_owned(),
        ([most @ .., last], 0) => format!("{} and {last}", most.join(", ")),
        (shown, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A name, quoted if it could be mistaken for the words around it.
fn quoted(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:@".contains(&byte);
    if name.bytes().all(plain) { shortened(name) } else { shortened(&format!("{name:?}")) }
}

/// At most 50 characters of a name, without the middle: the end of a domain name shows its owner.
pub fn shortened(name: &str) -> String {
    let length = name.chars().count();
    if length <= MAX_NAME_CHARS {
        return name.to_owned();
    }
    let head: String = name.chars().take(MAX_NAME_CHARS / 3).collect();
    let tail_chars = MAX_NAME_CHARS.saturating_sub(MAX_NAME_CHARS / 3 + 1);
    let tail: String = name.chars().skip(length.saturating_sub(tail_chars)).collect();
    format!("{head}…{tail}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(values: &[Value]) -> Vec<String> {
        sentences(&RuleSet::parse(values).unwrap())
            .into_iter()
            .map(|line| format!("{} | {} | {}", line.verbs, line.what, line.resources))
            .collect()
    }

    fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
        json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
    }

    #[test]
    fn rights_of_training_command_read_naturally() {
        let trainer = "trainer.kubeflow.org";
        let lines = read(&[
            rule(trainer, &["trainjobs"], &["get", "list", "watch", "create", "patch"]),
            rule(trainer, &["trainingruntimes"], &["get", "list"]),
            json!({"apiGroups": [trainer], "resources": ["clustertrainingruntimes"],
                   "verbs": ["get", "list"], "scope": "cluster"}),
            rule("", &["pods", "pods/log"], &["get", "list", "watch"]),
        ]);
        assert_eq!(
            lines,
            [
                "read | pods, pod logs, training runtimes and cluster training runtimes | ",
                "create, change and watch | training jobs | trainjobs.trainer.kubeflow.org",
            ]
        );
    }

    #[test]
    fn strongest_right_is_last_on_its_own_line() {
        let lines = sentences(
            &RuleSet::parse(&[
                json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "data": true}),
                rule("", &["pods"], &["get", "create"]),
                rule("", &["configmaps"], &["create", "delete"]),
                rule("evil.io", &["widgets"], &["create"]),
                rule("", &["events"], &["list"]),
            ])
            .unwrap(),
        );
        let shown: Vec<String> = lines.iter().map(|line| format!("{} {}", line.verbs, line.what)).collect();
        assert_eq!(
            shown,
            [
                "read events",
                "create and delete config maps",
                "create widgets.evil.io",
                "create and read pods",
                "read secrets with their data",
            ]
        );
        assert_eq!(lines[3].danger(), None);
        assert_eq!(lines[4].danger(), Some(Danger::Secrets));
    }

    #[test]
    fn every_permission_is_shown() {
        let lines = read(&[
            rule("", &["pods/exec"], &["get", "create"]),
            rule("", &["pods/attach", "pods/eviction", "pods/ephemeralcontainers"], &["create", "patch"]),
            json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "delete"],
                   "resourceNames": ["kf"]}),
            json!({"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"], "force": true}),
            json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list"], "scope": "cluster"}),
            rule("rbac.authorization.k8s.io", &["roles"], &["escalate", "bind"]),
            rule("policy", &["podsecuritypolicies"], &["use"]),
        ]);
        assert_eq!(
            lines,
            [
                "read | pods in the whole cluster | ",
                "use | podsecuritypolicies.policy | ",
                "evict | pods | pods/eviction",
                "delete and read | config maps named kf | configmaps",
                "add containers to | pods | pods/ephemeralcontainers",
                "join the terminal of | pods | pods/attach",
                "run commands in | pods | pods/exec",
                "change and take over | deployments | deployments.apps",
                "escalate and bind | roles | roles.rbac.authorization.k8s.io",
            ]
        );
    }

    #[test]
    fn kind_of_unknown_group_is_shown_by_its_exact_name() {
        let evil = |plural: &str, verbs: &[&str]| read(&[rule("evil.io", &[plural], verbs)]).concat();
        assert_eq!(evil("trainjobs", &["create", "get"]), "create and read | trainjobs.evil.io | ");
        assert_eq!(evil("secrets", &["get"]), "read | secrets.evil.io | ");
        assert_eq!(evil("pods/exec", &["get", "create"]), "create and use | pods.evil.io/exec | ");
        assert_eq!(evil("pods/log", &["get"]), "read | pods.evil.io/log | ");
        assert_eq!(evil("serviceaccounts/token", &["create"]), "create | serviceaccounts.evil.io/token | ");
        let wipes = rule("selfsubject.evil.io", &["selfsubjectwipes"], &["create", "delete"]);
        assert_eq!(read(&[wipes]), ["create and delete | selfsubjectwipes.selfsubject.evil.io | "]);
        let reviews = rule("authorization.k8s.io", &["selfsubjectaccessreviews"], &["create", "delete"]);
        assert!(read(&[reviews]).concat().starts_with("create and delete | "));
        assert_eq!(
            read(&[rule("metrics.k8s.io", &["pods"], &["list"])]),
            ["read | resource usage of pods | pods.metrics.k8s.io"]
        );
    }

    #[test]
    fn long_list_of_names_is_shortened() {
        let names: Vec<String> = (0..60).map(|n| format!("{n:02}-{}", "x".repeat(240))).collect();
        let lines = read(&[
            json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": names}),
        ]);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(" and 57 more"), "{lines:?}");
        assert!(lines[0].chars().count() < 300, "{lines:?}");
    }

    #[test]
    fn length_of_line_is_bounded_for_any_rules() {
        let long = |n: usize| format!("{n:02}{}", "k".repeat(60));
        let group =
            |n: usize| format!("{n:02}{}.{}.{}.evil.io", "g".repeat(50), "g".repeat(60), "g".repeat(60));
        let kinds: Vec<String> = (0..50).map(long).collect();
        let names: Vec<String> = (0..4).map(|n| format!("{n}-{}", "x".repeat(240))).collect();
        let every_verb = "get list watch create update patch delete deletecollection impersonate escalate bind \
                          approve sign attest use";
        let every_verb: Vec<&str> = every_verb.split_whitespace().collect();
        let groups: Vec<String> = (0..2).map(group).collect();
        let lines = sentences(
            &RuleSet::parse(&[
                json!({"apiGroups": groups, "resources": kinds, "verbs": ["create"], "resourceNames": names}),
                json!({"apiGroups": groups, "resources": ["things/exec"], "verbs": every_verb}),
            ])
            .unwrap(),
        );
        assert_eq!(lines.len(), 4);
        for line in &lines {
            let chars = |text: &str| text.chars().count();
            assert!(chars(&line.what) < 560 && chars(&line.verbs) < 160, "{line:?}");
            assert!(chars(&line.resources) < 200, "{line:?}");
            assert!(line.what.contains("…"), "{line:?}");
        }
    }

    #[test]
    fn ambiguous_name_is_quoted() {
        let lines = read(&[json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"],
            "resourceNames": ["a,b", "system:node", "x)\"and"]})]);
        assert_eq!(lines, [r#"read | config maps named "a,b", system:node and "x)\"and" | configmaps"#]);
    }

    #[test]
    fn end_of_long_group_stays_visible() {
        let group = format!("trainer.kubeflow.org.{}.evil.io", "a".repeat(60));
        let lines = read(&[rule(&group, &["trainjobs"], &["create"])]);
        assert!(lines[0].contains("trainjobs.train") && lines[0].contains(".evil.io"), "{lines:?}");
    }
}
