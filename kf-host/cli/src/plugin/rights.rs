//! A command's rights in lines a person can decide by.

use kf_cluster::grants::{RuleSet, Sentence, sentences};
use kf_registry::receipt::Receipt;

use crate::ui::{Tone, Ui};

/// `read pods and their logs (pods, pods/log)`: for errors and lists.
pub fn short_lines(rules: &RuleSet) -> Vec<String> {
    sentences(rules).iter().map(|line| format!("{} {} ({})", line.verbs, line.what, line.resources)).collect()
}

/// `read pods and their logs; create training jobs`: to stand in a sentence.
pub fn in_words(rules: &RuleSet) -> String {
    let can = sentences(rules).into_iter().map(|line| format!("{} {}", line.verbs, line.what));
    can.collect::<Vec<_>>().join("; ")
}

/// A line about rights, and whether it should catch the eye.
pub struct Line {
    pub text: String,
    pub tone: Tone,
}

/// What a command may do, and that it may do nothing else.
pub fn lines(name: &str, rules: &RuleSet, reads_files: bool) -> Vec<Line> {
    let plain = |text: String| Line { text, tone: Tone::Plain };
    let files = if reads_files { "It may open the one file you name on its command line. " } else { "" };
    if rules.is_empty() {
        let nothing = "It may do nothing else: no network, no files, no secrets.";
        return vec![plain(format!("{name} asks for no rights on the cluster. {files}{nothing}"))];
    }
    let mut lines = vec![plain(format!("In the namespace you use it in, {name} may"))];
    lines.extend(table("  ", &sentences(rules)));
    lines.push(plain(format!(
        "{files}It may do nothing else: no network, no other files, no secrets that are not named here."
    )));
    if starts_workloads(rules) {
        let containers = "What it creates runs containers: they can use what the namespace's pods can use.";
        lines.push(plain(containers.to_owned()));
    }
    lines
}

/// What an upgrade adds, and how much stays.
pub fn growth_lines(growth: &RuleSet, unchanged: usize) -> Vec<Line> {
    let mut lines = table("  + ", &sentences(growth));
    if unchanged > 0 {
        let s = if unchanged == 1 { "" } else { "s" };
        lines.push(Line { text: format!("  = {unchanged} permission{s} unchanged"), tone: Tone::Plain });
    }
    lines
}

pub fn show(ui: &Ui, lines: &[Line]) {
    for line in lines {
        ui.talk_toned(&line.text, line.tone);
    }
}

/// What stands below a command's help: where it comes from, and what it may do.
pub fn footer(receipt: &Receipt) -> String {
    let from = format!("{} {}, signed by {}", receipt.name, receipt.version, receipt.origin.owner);
    let rights = match RuleSet::parse(&receipt.rules) {
        Ok(rules) if rules.is_empty() => "It has no rights on the cluster.".to_owned(),
        Ok(rules) => {
            format!("It may {}.", in_words(&rules))
        }
        Err(_) => "Its rights cannot be read.".to_owned(),
    };
    format!("{from}. {rights}")
}

fn table(indent: &str, sentences: &[Sentence]) -> Vec<Line> {
    let width = |text: fn(&Sentence) -> &str| {
        sentences.iter().map(|line| text(line).chars().count()).max().unwrap_or(0)
    };
    let verbs = width(|line| &line.verbs);
    let what = width(|line| &line.what);
    let line = |line: &Sentence| {
        let text = format!("{indent}{:verbs$}  {:what$}  {}", line.verbs, line.what, line.resources);
        match line.danger {
            None => Line { text: text.trim_end().to_owned(), tone: Tone::Plain },
            Some(danger) => {
                Line { text: format!("{}   dangerous: {danger}", text.trim_end()), tone: Tone::Bad }
            }
        }
    };
    sentences.iter().map(line).collect()
}

/// Whether it creates something that runs pods.
fn starts_workloads(rules: &RuleSet) -> bool {
    const WORKLOADS: [&str; 12] = [
        "pods",
        "deployments",
        "statefulsets",
        "daemonsets",
        "replicasets",
        "jobs",
        "cronjobs",
        "jobsets",
        "trainjobs",
        "notebooks",
        "workspaces",
        "inferenceservices",
    ];
    rules.permissions().any(|permission| {
        !permission.verb.reads()
            && permission.resource.subresource.is_none()
            && WORKLOADS.contains(&permission.resource.plural.as_str())
    })
}
