//! The rights that a command requests, that its user accepted, or that its registry allows.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use kf_core::Permissions;
use kf_core::grants::{
    RuleError, RuleSet, Sentence, Strength, joined, sentences, sentences_within, shortened,
};
use kf_core::pod_http::PodHeader;
use kf_core::tree::PathArguments;

/// The right of `[permissions] selection`, in words.
pub const SELECTION: &str = "change which namespace later commands use";

/// The right of `[permissions] terminal`, in words.
pub const TERMINAL: &str = "pass your terminal and stdin to programs in pods";

/// What a command requests, what its user accepted, or its ceiling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// On the cluster's objects.
    pub rules: RuleSet,
    /// To change which namespace later commands use.
    pub selection: bool,
    /// To pass the user's terminal and stdin to programs in pods.
    pub terminal: bool,
    /// Headers it may send to pods besides those that every command may send.
    pub headers: BTreeSet<PodHeader>,
}

impl Rights {
    pub fn parse(permissions: &Permissions) -> Result<Self, RuleError> {
        let Permissions { kubernetes, selection, terminal, headers } = permissions;
        Ok(Self {
            rules: RuleSet::parse(kubernetes)?,
            selection: *selection,
            terminal: *terminal,
            headers: headers.clone(),
        })
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.switches().is_empty()
    }

    /// What `new` has beyond these; empty if no consent is needed.
    pub fn growth(&self, new: &Self) -> Self {
        Self {
            rules: self.rules.growth(&new.rules),
            selection: new.selection && !self.selection,
            terminal: new.terminal && !self.terminal,
            headers: new.headers.difference(&self.headers).cloned().collect(),
        }
    }

    /// Whether these include all that `other` has.
    pub fn cover(&self, other: &Self) -> bool {
        self.growth(other).is_empty()
    }

    /// The right of `[permissions] headers`, in words.
    pub fn header_words(&self) -> Option<String> {
        let names: Vec<String> = self.headers.iter().map(|header| shortened(header.as_str())).collect();
        let s = if names.len() == 1 { "" } else { "s" };
        let names = joined(&names, MAX_HEADERS_CHARS);
        (!names.is_empty()).then(|| format!("send pods the header{s} {names}, which may reveal who you are"))
    }

    /// The number of permissions.
    pub fn count(&self) -> usize {
        let Self { rules, selection: _, terminal: _, headers } = self;
        // All headers share one line, and each counts.
        let more_headers = headers.len().saturating_sub(1);
        rules.permissions().count() + self.switches().len() + more_headers
    }

    /// The rights that are not rules on the cluster's objects, in words.
    pub fn switches(&self) -> Vec<String> {
        let Self { rules: _, selection, terminal, headers: _ } = self;
        [(*selection, SELECTION), (*terminal, TERMINAL)]
            .into_iter()
            .filter(|(held, _)| *held)
            .map(|(_, words)| words.to_owned())
            .chain(self.header_words())
            .collect()
    }
}

/// How many rights one sentence or error lists at most.
const MAX_LISTED: usize = 12;

/// The longest list of headers, in characters.
const MAX_HEADERS_CHARS: usize = 60;

/// The longest list of kinds in a question, in characters.
const MAX_QUESTION_CHARS: usize = 60;

/// Lines such as `read pods and pod logs`, for errors and lists, the strongest first.
pub fn short_lines(rights: &Rights) -> Vec<String> {
    capped(all_lines(rights))
}

/// The same without a limit, for those who have to review all of them.
pub fn all_lines(rights: &Rights) -> Vec<String> {
    let line = |line: &Sentence| match line.resources.as_str() {
        "" => format!("{} {}", line.verbs, line.what),
        exact => format!("{} {} ({exact})", line.verbs, line.what),
    };
    strongest_first(rights, &sentences(&rights.rules), line)
}

/// Part of a sentence, such as `create training jobs; read pods and pod logs`, the strongest first.
pub fn in_words(rights: &Rights) -> String {
    capped(strongest_first(rights, &sentences(&rights.rules), verbs_and_kinds)).join("; ")
}

/// The strongest new right, and whether there are more: for a question below the whole list.
pub fn in_brief(rights: &Rights, paths: &PathArguments) -> String {
    let rules = sentences_within(&rights.rules, MAX_QUESTION_CHARS);
    let mut all = strongest_first(rights, &rules, verbs_and_kinds);
    all.extend((!paths.is_empty()).then(|| paths_in_words(paths, MAX_QUESTION_CHARS)));
    match all.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first, ..] => format!("{first}, and everything else that is new"),
    }
}

fn verbs_and_kinds(line: &Sentence) -> String {
    format!("{} {}", line.verbs, line.what)
}

/// The rules' lines and the other rights, which rank with forwarded ports.
fn strongest_first(rights: &Rights, rules: &[Sentence], line: fn(&Sentence) -> String) -> Vec<String> {
    let rules = rules.iter().rev().map(|sentence| (sentence.strength, line(sentence)));
    let switches = rights.switches().into_iter().map(|words| (Strength::ForwardsPorts, words));
    let mut all: Vec<(Strength, String)> = rules.chain(switches).collect();
    all.sort_by_key(|(strength, _)| Reverse(*strength));
    all.into_iter().map(|(_, words)| words).collect()
}

/// Part of a sentence, such as `read the file that you pass as --config`.
pub fn paths_in_words(paths: &PathArguments, chars: usize) -> String {
    let list = |words: &BTreeSet<String>| {
        let words: Vec<String> = words.iter().map(|word| shortened(word)).collect();
        joined(&words, chars)
    };
    let file = || format!("read the file that you pass as {}", list(&paths.files));
    let directory =
        || format!("read everything below the directory that you pass as {}", list(&paths.directories));
    match (paths.files.is_empty(), paths.directories.is_empty()) {
        (true, true) => String::new(),
        (false, true) => file(),
        (true, false) => directory(),
        (false, false) => format!("{}, and {}", file(), directory()),
    }
}

fn capped(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(MAX_LISTED);
    lines.truncate(MAX_LISTED);
    lines.extend((more > 0).then(|| format!("and {more} more")));
    lines
}

#[cfg(test)]
mod tests {
    use kf_core::Permissions;
    use serde_json::json;

    use super::*;

    fn rights(groups: &[String]) -> Rights {
        let rule =
            |group: &String| json!({"apiGroups": [group], "resources": ["things"], "verbs": ["create"]});
        let read = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "data": true});
        let kubernetes = groups.iter().map(rule).chain([read]).collect();
        Rights::parse(&Permissions { kubernetes, ..Permissions::default() }).unwrap()
    }

    #[test]
    fn lists_are_capped_and_begin_with_the_strongest() {
        let groups: Vec<String> = (0..60).map(|n| format!("{}.{n:02}.evil.io", "g".repeat(60))).collect();
        let lines = short_lines(&rights(&groups));
        assert_eq!(lines.first().unwrap(), "read secrets with their data");
        assert_eq!((lines.len(), lines.last().unwrap().as_str()), (MAX_LISTED + 1, "and 49 more"));
        let question = in_brief(&rights(&groups), &PathArguments::default());
        assert_eq!(question, "read secrets with their data, and everything else that is new");
        assert!(in_words(&rights(&groups)).starts_with("read secrets with their data; "));
    }

    #[test]
    fn paths_are_named_by_argument() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let paths = PathArguments { files: words(&["word 2"]), directories: words(&["--from-dir", "-d"]) };
        assert_eq!(
            paths_in_words(&paths, 100),
            "read the file that you pass as word 2, and read everything below the directory that you pass as \
             --from-dir and -d"
        );
        let none = Rights::default();
        assert_eq!(in_brief(&none, &PathArguments::default()), "");
        let terminal = Rights { terminal: true, ..Rights::default() };
        let all = Rights { terminal: true, ..rights(&[]) };
        assert_eq!(in_words(&all), format!("read secrets with their data; {TERMINAL}"));
        assert_eq!(in_brief(&terminal, &paths), format!("{TERMINAL}, and everything else that is new"));
        let file = PathArguments { directories: words(&[]), ..paths };
        assert_eq!(in_brief(&none, &file), "read the file that you pass as word 2");
    }
}
