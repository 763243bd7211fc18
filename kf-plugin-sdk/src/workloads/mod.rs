//! The workloads of a namespace, their states, and why they are not running.
//!
//! A workload is anything that runs pods: a training job, a notebook, an inference service, or a single pod.
//! [`WorkloadKind`] is the catalogue of their kinds, [`Workload::find`] finds one by name, and its methods return its
//! pods, its main container, and one line that says why it is not running.
//!
//! Kubernetes reports why a workload is not running in many places: conditions of the workload, the states of the
//! containers of its pods, and events that expire after an hour. This module reads them all and returns one line. It
//! works on documents, so it tolerates renamed and missing fields and kinds that are not served.

mod belonging;
mod completion;
mod container;
mod events;
mod failure;
mod follow;
mod gpu;
mod katib;
mod kinds;
mod outcome;
mod own_experiments;
mod permanent;
mod pick;
mod place;
mod pod;
mod pull;
mod ranks;
mod relevance;
mod scheduling;
mod usage;
mod verdict;
mod watched;
mod workload;

pub use belonging::workload_of;
pub use completion::{complete_among, complete_named, complete_workload};
pub use events::Events;
pub use failure::FailureLog;
pub use follow::{Follow, LogChoice, MAX_FOLLOWED, Stop, follow_all};
pub use gpu::is_gpu;
pub use kinds::{WorkloadKind, expand_kind};
pub use outcome::{Outcome, outcome};
pub use own_experiments::{
    OWN_DEFINITION, OWN_EXPERIMENT_LABEL, OWN_OBSERVATION, OWN_PARAMETERS, OWN_TRIAL_LABEL,
    is_own_experiment, own_experiments,
};
pub use place::{Place, PlaceChoice};
use pod::running_init;
pub use pod::{PodState, Severity, Trouble, combine, is_ready, pod_state, pod_trouble, restarts};
pub use ranks::{Rank, rank_of};
pub use usage::{Amounts, Measured};
pub use verdict::{Clue, Evidence, State, Verdict, refusal, verdict};
pub use watched::{WatchedRow, WatchedScreen, WatchedTable, mirrored};
pub use workload::Workload;

/// Joins a text to one line of at most `limit` characters. The middle of a longer line is cut at word boundaries: it
/// begins with what failed and ends with why.
pub(crate) fn clip(text: &str, limit: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let length = line.chars().count();
    if length <= limit {
        return line;
    }
    let (first, last) = (limit / 3, limit.saturating_sub(limit / 3 + 1));
    let head: String = line.chars().take(first).collect();
    let tail: String = line.chars().skip(length.saturating_sub(last)).collect();
    let head = head.rsplit_once(' ').map_or(head.as_str(), |(words, _)| words);
    let tail = tail.split_once(' ').map_or(tail.as_str(), |(_, words)| words);
    if tail.is_empty() { format!("{head}…") } else { format!("{head} … {tail}") }
}

/// Joins a chain of errors to one line of at most `limit` characters by dropping its first links; the last is the cause.
pub(crate) fn cause(text: &str, limit: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut chain = line.strip_suffix(": unknown").unwrap_or(&line);
    while chain.chars().count() > limit {
        match chain.split_once(": ") {
            Some((_, rest)) if !rest.is_empty() => chain = rest,
            _ => break,
        }
    }
    clip(chain, limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_line_is_cut_in_the_middle() {
        let line =
            format!("RuntimeError: cannot load {} for layer 3: size mismatch", "weights ".repeat(50).trim());
        let clipped = clip(&line, 80);
        assert!(clipped.starts_with("RuntimeError: cannot load … "), "{clipped}");
        assert!(clipped.ends_with("weights for layer 3: size mismatch"), "{clipped}");
        for limit in 0..120 {
            let text = clip(&line, limit);
            assert!(text.chars().count() <= limit.max(1) + 2, "{limit}: {text}");
            clip(&"ä".repeat(200), limit);
        }
        assert_eq!(clip("short\n  line", 80), "short line");
    }

    #[test]
    fn chain_of_errors_is_cut_at_the_start() {
        let chain = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc \
                     create failed: unable to start container process: error during container init: exec: \
                     \"python3\": executable file not found in $PATH: unknown";
        assert_eq!(
            cause(chain, 80),
            "error during container init: exec: \"python3\": executable file not found in $PATH"
        );
        assert_eq!(cause(chain, 40), "executable file not found in $PATH");
        assert_eq!(cause("short: chain", 80), "short: chain");
        assert!(cause(&format!("a: {}", "word ".repeat(100)), 40).chars().count() <= 42);
    }
}
