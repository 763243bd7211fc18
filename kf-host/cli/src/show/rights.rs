//! A command's rights, in the lines in which a person can decide by them.

use kf_command::installed::Installed;
use kf_command::rights::{Rights, in_words};
use kf_core::grants::{RuleSet, Sentence, sentences};
use kf_core::tree::{CommandTree, ValueType};
use kf_core::ui::Tone;
use kf_registry::index::Origin;

use crate::ui::Ui;

/// A line about rights, and whether it should catch the eye.
pub struct Line {
    pub text: String,
    pub tone: Tone,
}

/// What a command may do, and that it may do nothing else.
pub fn lines(name: &str, rights: &Rights, tree: &CommandTree) -> Vec<Line> {
    let plain = |text: String| Line { text, tone: Tone::Plain };
    let files = match (tree.names_a(ValueType::File), tree.names_a(ValueType::Directory)) {
        (false, false) => "",
        (true, false) => "It may open the one file you name on its command line. ",
        (false, true) => "It may read what is below the one directory you name on its command line. ",
        (true, true) => {
            "It may open the one file, and read what is below the one directory, that you name on its command line. "
        }
    };
    let switches = rights.switches().into_iter().map(|words| format!("It may {words}."));
    if rights.rules.is_empty() {
        let nothing = "It may do nothing else: no network, no files, no secrets.";
        let switches: String = switches.map(|sentence| sentence + " ").collect();
        return vec![plain(format!("{name} asks for no rights on the cluster. {switches}{files}{nothing}"))];
    }
    let mut lines = vec![plain(format!("In the namespace you use it in, {name} may"))];
    lines.extend(table("  ", &sentences(&rights.rules)));
    lines.extend(switches.map(|text| Line { text, tone: Tone::Warning }));
    lines.push(plain(format!(
        "{files}It may do nothing else: no network, no other files, no secrets that are not named here."
    )));
    if starts_workloads(&rights.rules) {
        let containers = "What it creates runs containers: they can use what the namespace's pods can use.";
        lines.push(plain(containers.to_owned()));
    }
    lines
}

/// What an upgrade adds, and how much stays.
pub fn growth_lines(growth: &Rights, unchanged: usize) -> Vec<Line> {
    let mut lines = table("  + ", &sentences(&growth.rules));
    let switches = growth.switches().into_iter();
    lines.extend(switches.map(|words| Line { text: format!("  + {words}"), tone: Tone::Warning }));
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
pub fn footer(installed: &Installed) -> String {
    let receipt = &installed.receipt;
    let vouches = match &receipt.origin {
        Origin::Registry { owner, .. } => format!("signed by {owner}"),
        Origin::BuiltIn => "built in".to_owned(),
        Origin::Local { path } => format!("from {}", path.display()),
    };
    let from = format!("{} {}, {vouches}", receipt.name, receipt.version);
    let rights = match installed.rights() {
        Ok(rights) if rights.is_empty() => "It has no rights on the cluster.".to_owned(),
        Ok(rights) => format!("It may {}.", in_words(&rights)),
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
