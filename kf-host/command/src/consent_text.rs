//! What a command may do, in the words that its user consents to.
//!
//! The text is made here once, for the screen before the prompt, `kf command describe` and the pages of
//! a registry's site: a user reads the same sentences everywhere. Callers only lay it out.
//!
//! The most important paragraphs are last, right above the prompt: rights are sorted from the weakest to the strongest,
//! followed by their consequences.

use kf_core::grants::{Reach, RuleSet, Sentence, consequences, joined, sentences, sentences_of_all};
use kf_core::tree::PathArguments;

use crate::plan::Plan;
use crate::rights::{Rights, paths_in_words};

/// How long the list of arguments that name paths can be, for one command and for several.
const MAX_PATHS_CHARS: usize = 60;
const MAX_PATHS_OF_ALL_CHARS: usize = 160;

/// How long the list of commands that request a right can be.
const MAX_REQUESTERS_CHARS: usize = 60;

/// A part of the text. Its strings have no line ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paragraph {
    /// The number of permissions that were accepted before.
    Unchanged(usize),
    /// Introduces the rights on the cluster, or says that there are none.
    Head(String),
    /// A right on the cluster.
    Right(Sentence),
    /// Another right, such as to read a file.
    Other(String),
    /// What the rights on the cluster imply.
    Consequence { text: String, dangerous: bool },
}

/// All rights of a command.
pub fn of_command(name: &str, rights: &Rights, paths: &PathArguments) -> Vec<Paragraph> {
    if rights.is_empty() && paths.is_empty() {
        let none = format!("{name} requests no rights: no cluster, no network, no files, no secrets.");
        return vec![Paragraph::Head(none)];
    }
    let mut text = Vec::new();
    if rights.rules.is_empty() {
        text.push(Paragraph::Head(format!("{name} requests no rights on the cluster.")));
    } else {
        let scope = scope(Reach::of(rights.rules.permissions()), "it");
        text.push(Paragraph::Head(format!("{scope}{name} may only:")));
        text.extend(sentences(&rights.rules).into_iter().map(Paragraph::Right));
    }
    text.extend(other_rights(rights, paths));
    text.extend(implied(&rights.rules));
    text
}

/// The rights that an upgrade adds, the number of unchanged ones, and the consequences of all.
pub fn of_growth(plan: &Plan) -> Vec<Paragraph> {
    let mut text: Vec<Paragraph> = unchanged(plan.kept()).into_iter().collect();
    if !plan.needs_consent() {
        return text;
    }
    text.extend(sentences(&plan.growth.rules).into_iter().map(Paragraph::Right));
    text.extend(other_rights(&plan.growth, &plan.new_paths));
    text.extend(implied(&plan.rights.rules));
    text
}

/// One of several commands that are added or upgraded together.
#[derive(Clone, Copy)]
pub struct Requester<'a> {
    pub name: &'a str,
    /// All its rights after the change.
    pub rights: &'a Rights,
    /// The rights that are new, and the arguments that are new as paths.
    pub growth: &'a Rights,
    pub paths: &'a PathArguments,
    /// The number of rights that were accepted before.
    pub kept: usize,
}

impl<'a> Requester<'a> {
    pub fn new(name: &'a str, plan: &'a Plan) -> Self {
        Self { name, rights: &plan.rights, growth: &plan.growth, paths: &plan.new_paths, kept: plan.kept() }
    }
}

/// The rights of several commands together: each right once, with the commands that request its strongest form, unless
/// all do.
pub fn of_all(commands: &[Requester<'_>]) -> Vec<Paragraph> {
    let growth: Vec<(&str, &RuleSet)> =
        commands.iter().map(|command| (command.name, &command.growth.rules)).collect();
    let kept = commands.iter().map(|command| command.kept).sum();
    let mut text: Vec<Paragraph> = unchanged(kept).into_iter().collect();
    let reach = Reach::of(growth.iter().flat_map(|(_, rules)| rules.permissions()));
    let any_rules = growth.iter().any(|(_, rules)| !rules.is_empty());
    if kept == 0 && any_rules {
        let scope = scope(reach, "them");
        let together = if scope.is_empty() { "Together" } else { "together" };
        text.push(Paragraph::Head(format!("{scope}{together} they may only:")));
    }
    let asking = |mut sentence: Sentence| {
        if sentence.by.len() == commands.len() {
            sentence.by.clear();
        }
        Paragraph::Right(sentence)
    };
    text.extend(sentences_of_all(&growth).into_iter().map(asking));
    text.extend(other_rights_of_all(commands));
    let all = commands.iter().flat_map(|command| command.rights.rules.permissions()).cloned();
    text.extend(implied(&RuleSet::from_permissions(all)));
    text
}

/// The commands that request a right, if not all do: `, requested by train and tune`.
pub fn requesters(sentence: &Sentence) -> String {
    match joined(&sentence.by, MAX_REQUESTERS_CHARS) {
        by if by.is_empty() => by,
        by => format!(", requested by {by}"),
    }
}

fn scope(reach: Reach, it: &str) -> String {
    match reach {
        Reach::Namespace => format!("In the namespace you use {it} in, "),
        Reach::Beyond => format!("In the namespace you use {it} in, and elsewhere where noted, "),
        Reach::Cluster => String::new(),
    }
}

fn unchanged(kept: usize) -> Option<Paragraph> {
    (kept > 0).then_some(Paragraph::Unchanged(kept))
}

/// The rights that are not about the cluster's objects.
fn other_rights(rights: &Rights, paths: &PathArguments) -> impl Iterator<Item = Paragraph> {
    let opens = (!paths.is_empty()).then(|| paths_in_words(paths, MAX_PATHS_CHARS));
    let words = opens.into_iter().chain(rights.switches());
    words.map(|words| Paragraph::Other(format!("It may {words}.")))
}

fn other_rights_of_all(commands: &[Requester<'_>]) -> Vec<Paragraph> {
    let mut paths = PathArguments::default();
    let mut all = Rights::default();
    for Requester { name, growth, paths: new, .. } in commands {
        let of = |word: &String| format!("{word} of {name}");
        paths.files.extend(new.files.iter().map(of));
        paths.directories.extend(new.directories.iter().map(of));
        all.selection |= growth.selection;
        all.terminal |= growth.terminal;
        all.headers.extend(growth.headers.iter().cloned());
    }
    let opens =
        (!paths.is_empty()).then(|| format!("They may {}.", paths_in_words(&paths, MAX_PATHS_OF_ALL_CHARS)));
    let switches = all.switches().into_iter().map(|words| {
        let asking = commands.iter().filter(|command| command.growth.switches().contains(&words));
        let asking: Vec<String> = asking.map(|command| command.name.to_owned()).collect();
        // Headers of several commands are shown in one list.
        let who = if asking.is_empty() { "They".to_owned() } else { joined(&asking, MAX_REQUESTERS_CHARS) };
        format!("{who} may {words}.")
    });
    opens.into_iter().chain(switches).map(Paragraph::Other).collect()
}

fn implied(rules: &RuleSet) -> Vec<Paragraph> {
    let paragraph = |text: String| {
        let dangerous = text.starts_with("Dangerous");
        Paragraph::Consequence { text, dangerous }
    };
    consequences(rules).into_iter().map(paragraph).collect()
}
