//! What a command asks for, what its user accepted, and the most its registry allows.

use std::collections::BTreeSet;

use kf_core::Permissions;
use kf_core::grants::{RuleError, RuleSet, sentences};
use kf_core::pod_http::PodHeader;

/// The right of `[permissions] selection`, in words.
pub const SELECTION: &str = "change which namespace later commands use";

/// The right of `[permissions] terminal`, in words.
pub const TERMINAL: &str = "hand your terminal and stdin to programs in pods";

/// What a command asks for, what its user accepted, or the most its registry allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// On the cluster's objects.
    pub rules: RuleSet,
    /// To change which namespace later commands use.
    pub selection: bool,
    /// To hand the user's terminal and stdin to what runs in a pod.
    pub terminal: bool,
    /// Headers it may send to pods beside the plain ones.
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

    /// What `new` has beyond these; empty if nobody needs to be asked.
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
        let names: Vec<&str> = self.headers.iter().map(PodHeader::as_str).collect();
        let s = if names.len() == 1 { "" } else { "s" };
        let words =
            || format!("send pods the header{s} {}, which may tell them who you are", names.join(", "));
        (!names.is_empty()).then(words)
    }

    /// How many single permissions they are.
    pub fn count(&self) -> usize {
        let Self { rules, selection: _, terminal: _, headers } = self;
        // One line tells of all headers, and each is a right.
        let told_as_one = headers.len().saturating_sub(1);
        rules.permissions().count() + self.switches().len() + told_as_one
    }

    /// In words, the rights that are not rules on the cluster's objects.
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

/// `read pods and their logs (pods, pods/log)`: for errors and lists.
pub fn short_lines(rights: &Rights) -> Vec<String> {
    let rules = sentences(&rights.rules);
    let lines = rules.iter().map(|line| format!("{} {} ({})", line.verbs, line.what, line.resources));
    lines.chain(rights.switches()).collect()
}

/// `read pods and their logs; create training jobs`: to stand in a sentence.
pub fn in_words(rights: &Rights) -> String {
    let rules = sentences(&rights.rules).into_iter().map(|line| format!("{} {}", line.verbs, line.what));
    rules.chain(rights.switches()).collect::<Vec<_>>().join("; ")
}
