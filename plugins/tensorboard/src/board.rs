//! A TensorBoard for logs: of the cluster's own kind, or a Job.

use kf_plugin_sdk::abi::Kind;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::Workload;
use serde_json::json;

use crate::Tensorboard;
use crate::job;
use crate::logs::{LogLocation, Logs};

pub(crate) const GROUP: &str = "tensorboard.kubeflow.org";

/// The plural of the kind, for messages.
pub(crate) const TENSORBOARDS: &str = "tensorboards";

/// An existing TensorBoard.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    pub(crate) component: Workload,
    pub(crate) logs: String,
    /// It existed before.
    pub(crate) existed: bool,
    /// It is a Job, which ends by itself.
    pub(crate) is_job: bool,
}

pub(crate) fn kind() -> Kind {
    Kind::new(GROUP, "Tensorboard")
}

/// Finds the TensorBoard for the logs, or creates one.
pub(crate) fn find_or_create(kf: &Kf, wanted: &Tensorboard, location: &LogLocation) -> Result<Board> {
    // The controller of the kind supports neither these settings nor an end.
    let needs_job = wanted.rm || wanted.image.is_some() || wanted.service_account.is_some();
    if needs_job || !kf.serves(&kind())? {
        return job::find_or_create(kf, wanted, location);
    }
    let boards = kf.api(kind());
    let logs = location.logs.to_string();
    let same = |board: &Object| {
        board
            .str("/spec/logspath")
            .is_some_and(|path| path.trim_end_matches('/') == logs.trim_end_matches('/'))
    };
    // If the kind is broken, use a Job.
    let mut left_out = Skipped::default();
    let existing = match boards.list() {
        Err(error) if error.is_partial() => left_out.take(TENSORBOARDS, Err(error))?,
        existing => Some(existing?),
    };
    left_out.tell(kf);
    let Some(existing) = existing else { return job::find_or_create(kf, wanted, location) };
    if let Some(board) = existing.into_iter().find(same) {
        return Board::of(board, &logs, true);
    }
    let board = Object::from(json!({
        "apiVersion": format!("{GROUP}/v1alpha1"), "kind": "Tensorboard",
        "metadata": { "name": name(location) },
        "spec": { "logspath": logs },
    }));
    Board::of(boards.create(&board)?, &logs, false)
}

impl Board {
    pub(crate) fn of(object: Object, logs: &str, existed: bool) -> Result<Self> {
        let is_job = object.kind() == "Job";
        let component = Workload::of(object)
            .ok_or_else(|| Error::failed("the cluster returned an object that is not a TensorBoard"))?;
        Ok(Self { component, logs: logs.to_owned(), existed, is_job })
    }
}

/// The name of a TensorBoard. Derived from the logs, so that none is created twice.
pub(crate) fn name(location: &LogLocation) -> String {
    let owner = match (&location.of, &location.logs) {
        (Some(job), _) => job,
        (None, Logs::Claim { claim, .. }) => claim,
        (None, Logs::Bucket(uri)) => {
            uri.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or(uri)
        }
    };
    let owner: String = owner
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .take(30)
        .collect();
    format!("tensorboard-{}-{:08x}", owner.trim_matches('-'), fnv(&location.logs.to_string()))
}

/// FNV-1a. Not for security.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_labels_and_distinct() {
        let of = |uri: &str| name(&LogLocation { logs: Logs::parse(uri).unwrap(), of: None, node: None });
        assert_eq!(of("pvc://datasets/runs"), of("pvc://datasets/runs/"));
        assert_ne!(of("pvc://datasets/runs"), of("pvc://datasets/other"));
        assert!(of("s3://Big.Bucket/x").starts_with("tensorboard-big-bucket-"));
        assert!(of(&format!("pvc://{}/x", "c".repeat(200))).len() < 53);
    }
}
