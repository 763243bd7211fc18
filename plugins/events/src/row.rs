//! One row for all events that report the same thing.
//!
//! A repeated event can be one object with a count, a series, or many objects. Components that emit events differ
//! in this, and in the time fields they set.

use std::collections::BTreeMap;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use serde::Serialize;

/// What happened, how often, and when.
#[derive(Clone, Debug, PartialEq, Serialize, TableRow)]
#[row(name = "self.object.clone()")]
pub(crate) struct EventRow {
    #[serde(skip)]
    #[column(title = "LAST")]
    ago: String,
    #[column(skip)]
    pub(crate) last: Option<Timestamp>,
    #[column(skip)]
    first: Option<Timestamp>,
    #[serde(skip)]
    #[column(title = "TYPE")]
    type_cell: Cell,
    #[column(skip)]
    r#type: String,
    times: i64,
    object: String,
    reason: String,
    message: String,
    #[column(wide)]
    source: Option<String>,
}

/// UID and name of the involved object, type, reason and message.
type GroupKey = (String, String, String, String, String);

/// The rows of events, newest last.
pub(crate) fn rows<'a>(events: impl Iterator<Item = &'a Object>, now: Timestamp) -> Vec<EventRow> {
    let mut found: BTreeMap<GroupKey, EventRow> = BTreeMap::new();
    for event in events {
        let row = row_of(event, now);
        // By UID: a job that was deleted and created again is another object.
        let uid = event.str("/involvedObject/uid").unwrap_or_default().to_owned();
        let same = (uid, row.object.clone(), row.r#type.clone(), row.reason.clone(), row.message.clone());
        match found.get_mut(&same) {
            None => drop(found.insert(same, row)),
            Some(known) => known.merge(row, now),
        }
    }
    let mut rows: Vec<_> = found.into_values().collect();
    rows.sort_by(|left, right| (left.last, &left.object).cmp(&(right.last, &right.object)));
    rows
}

impl EventRow {
    fn merge(&mut self, other: Self, now: Timestamp) {
        self.times = self.times.saturating_add(other.times);
        self.last = self.last.max(other.last);
        self.first = match (self.first, other.first) {
            (Some(left), Some(right)) => Some(left.min(right)),
            (left, right) => left.or(right),
        };
        self.ago = ago(self.last, now);
    }

    /// Whether the other row reports the same thing, regardless of time and count.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let key =
            |row: &Self| (row.object.clone(), row.r#type.clone(), row.reason.clone(), row.message.clone());
        key(self) == key(other)
    }

    /// Keeps the age of an earlier row, so that the row does not change by time alone.
    pub(crate) fn keep_age(&mut self, before: &Self) {
        if self.last == before.last {
            self.ago.clone_from(&before.ago);
        }
    }
}

fn row_of(event: &Object, now: Timestamp) -> EventRow {
    let text = |pointer: &str| event.str(pointer).unwrap_or_default();
    let last = last(event);
    let kind = text("/involvedObject/kind").to_lowercase();
    let warning = text("/type") == "Warning";
    EventRow {
        ago: ago(last, now),
        last,
        first: first(event),
        type_cell: Cell::toned(text("/type"), if warning { Tone::Warning } else { Tone::Faint }),
        r#type: text("/type").to_owned(),
        times: event.int("/series/count").or(event.int("/count")).unwrap_or(1).max(1),
        object: format!("{kind}/{}", text("/involvedObject/name")),
        reason: text("/reason").to_owned(),
        message: text("/message").split_whitespace().collect::<Vec<_>>().join(" "),
        source: event
            .str("/source/component")
            .filter(|source| !source.is_empty())
            .or(event.str("/reportingComponent"))
            .filter(|source| !source.is_empty())
            .map(str::to_owned),
    }
}

/// When the event was last seen. Components set different fields and leave the others null.
fn last(event: &Object) -> Option<Timestamp> {
    let seen = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime"];
    let seen = seen.into_iter().filter_map(|pointer| event.time(pointer)).max();
    seen.or_else(|| event.time("/firstTimestamp")).or_else(|| event.created())
}

fn first(event: &Object) -> Option<Timestamp> {
    let seen = ["/firstTimestamp", "/eventTime"].into_iter().filter_map(|pointer| event.time(pointer)).min();
    seen.or_else(|| event.created())
}

fn ago(last: Option<Timestamp>, now: Timestamp) -> String {
    last.map(|last| short_duration(last.age(now))).unwrap_or_default()
}
