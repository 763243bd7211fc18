//! What runs in a namespace, and why something does not.
//!
//! A *component* is what a person names: a training job, a notebook, an inference service, or just a
//! pod. [`ComponentKind`] is the catalogue of their kinds, [`Component::find`] finds one by name, and
//! its methods lead to its pods, the container that does the work, and the one line that says why it
//! is not running.
//!
//! Kubernetes says why a workload is not running in many places: conditions of the workload, the
//! state of each container of each pod, and events that expire after an hour. This module reads
//! them all and answers with one line. It works on documents, so it survives renamed and missing
//! fields, and it never needs a kind to be served.

mod belonging;
mod completion;
mod component;
mod container;
mod events;
mod failure;
mod follow;
mod gpu;
mod kinds;
mod measured;
mod outcome;
mod pick;
mod place;
mod pod;
mod ranks;
mod scheduling;
mod standing;
mod verdict;

pub use belonging::component_of;
pub use completion::{complete_among, complete_component, complete_named};
pub use component::Component;
pub use events::Events;
pub use failure::LastWords;
pub use follow::{Follow, LogChoice, Stop};
pub use gpu::is_gpu;
pub use kinds::ComponentKind;
pub use measured::{Amounts, Measured};
pub use outcome::{Outcome, outcome};
pub use place::{Place, PlaceChoice};
pub use pod::{PodState, Severity, Trouble, combine, is_ready, pod_state, pod_trouble, restarts};
pub use ranks::{Rank, rank_of};
pub use standing::{StandingRow, StandingScreen, StandingTable, mirrored};
pub use verdict::{Clue, Evidence, State, Verdict, verdict};

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
