//! A TensorBoard over a place: the cluster's own kind, or a Job.

use kf_plugin_sdk::border::Kind;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::Component;
use serde_json::json;

use crate::Tensorboard;
use crate::logs::{Logs, Place};
use crate::own;

pub(crate) const GROUP: &str = "tensorboard.kubeflow.org";

/// The kind in a sentence about what is left out.
pub(crate) const TENSORBOARDS: &str = "tensorboards";

/// A TensorBoard that is there.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    pub(crate) component: Component,
    pub(crate) logs: String,
    /// It was there before.
    pub(crate) is_old: bool,
    /// It is a Job, which ends by itself.
    pub(crate) is_own: bool,
}

pub(crate) fn kind() -> Kind {
    Kind::new(GROUP, "Tensorboard")
}

/// The one that shows the place, or a new one.
pub(crate) fn find_or_make(kf: &Kf, wanted: &Tensorboard, place: &Place) -> Result<Board> {
    // What the kind's controller makes can be neither changed nor made to end.
    let own = wanted.rm || wanted.image.is_some() || wanted.service_account.is_some();
    if own || !kf.serves(&kind())? {
        return own::find_or_make(kf, wanted, place);
    }
    let boards = kf.api(kind());
    let logs = place.logs.to_string();
    let same = |board: &Object| {
        board
            .str("/spec/logspath")
            .is_some_and(|path| path.trim_end_matches('/') == logs.trim_end_matches('/'))
    };
    // Where the kind is broken, a Job does.
    let mut left_out = LeftOut::default();
    let there = match boards.list() {
        Err(error) if error.is_partial() => left_out.take(TENSORBOARDS, Err(error))?,
        there => Some(there?),
    };
    left_out.tell(kf);
    let Some(there) = there else { return own::find_or_make(kf, wanted, place) };
    if let Some(board) = there.into_iter().find(same) {
        return Board::of(board, &logs, true);
    }
    let board = Object::from(json!({
        "apiVersion": format!("{GROUP}/v1alpha1"), "kind": "Tensorboard",
        "metadata": { "name": name(place) },
        "spec": { "logspath": logs },
    }));
    Board::of(boards.create(&board)?, &logs, false)
}

impl Board {
    pub(crate) fn of(object: Object, logs: &str, is_old: bool) -> Result<Self> {
        let is_own = object.kind() == "Job";
        let component = Component::of(object)
            .ok_or_else(|| Error::failed("the cluster made something else than a TensorBoard"))?;
        Ok(Self { component, logs: logs.to_owned(), is_old, is_own })
    }
}

/// The same place always has the same name, so that nothing is made twice.
pub(crate) fn name(place: &Place) -> String {
    let of = match (&place.of, &place.logs) {
        (Some(job), _) => job,
        (None, Logs::Claim { claim, .. }) => claim,
        (None, Logs::Bucket(uri)) => {
            uri.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or(uri)
        }
    };
    let of: String = of
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .take(30)
        .collect();
    format!("tensorboard-{}-{:08x}", of.trim_matches('-'), fnv(&place.logs.to_string()))
}

/// FNV-1a: it tells places apart and guards nothing.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_and_tell_places_apart() {
        let of = |uri: &str| name(&Place { logs: Logs::parse(uri).unwrap(), of: None, node: None });
        assert_eq!(of("pvc://datasets/runs"), of("pvc://datasets/runs/"));
        assert_ne!(of("pvc://datasets/runs"), of("pvc://datasets/other"));
        assert!(of("s3://Big.Bucket/x").starts_with("tensorboard-big-bucket-"));
        assert!(of(&format!("pvc://{}/x", "c".repeat(200))).len() < 53);
    }
}
