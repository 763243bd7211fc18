//! What runs in a namespace, and why something does not.
//!
//! Kubernetes says why a workload is not running in many places: conditions of the workload, the
//! state of each container of each pod, and events that expire after an hour. This module reads
//! them all and answers with one line. It works on documents, so it survives renamed and missing
//! fields, and it never needs a kind to be served.

mod container;
mod events;
mod failure;
mod follow;
mod outcome;
mod pod;
mod ranks;
mod target;

pub use events::Events;
pub use failure::LastWords;
pub use follow::{Follow, LogChoice, Stop};
pub use outcome::{Outcome, outcome};
pub use pod::{PodState, Severity, Trouble, combine, is_ready, pod_state, pod_trouble, restarts};
pub use ranks::{Rank, rank_of};
pub use target::{Target, TargetKind};

/// One line of at most so many characters, cut at a word.
pub(crate) fn clip(text: &str, limit: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= limit {
        return line;
    }
    let cut: String = line.chars().take(limit.saturating_sub(1)).collect();
    let cut = cut.rsplit_once(' ').map_or(cut.as_str(), |(words, _)| words);
    format!("{cut}…")
}
