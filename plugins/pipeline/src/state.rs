//! The state of a run or a task.

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use serde::Serialize;

/// A state, in the server's form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct State(String);

impl State {
    pub(crate) fn of(object: &Object) -> Self {
        Self(object.str("/state").unwrap_or("PENDING").to_owned())
    }

    pub(crate) fn is_final(&self) -> bool {
        matches!(self.0.as_str(), "SUCCEEDED" | "FAILED" | "CANCELED" | "SKIPPED")
    }

    pub(crate) fn is_good(&self) -> bool {
        matches!(self.0.as_str(), "SUCCEEDED" | "SKIPPED")
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.0 == "FAILED"
    }

    /// Such as `Succeeded`.
    pub(crate) fn as_text(&self) -> String {
        let mut letters = self.0.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters.map(|letter| letter.to_ascii_lowercase())).collect()
    }

    pub(crate) fn cell(&self) -> Cell {
        let tone = match self.0.as_str() {
            "SUCCEEDED" | "RUNNING" => Tone::Good,
            "FAILED" => Tone::Bad,
            "PENDING" | "PAUSED" | "CANCELING" => Tone::Warning,
            _ => Tone::Faint,
        };
        Cell::toned(self.as_text(), tone)
    }
}

/// The first line of the error.
pub(crate) fn error(object: &Object) -> Option<String> {
    let message = object.str("/error/message")?;
    let line = message.lines().find(|line| !line.trim().is_empty())?;
    Some(line.trim().to_owned())
}

/// The time since a timestamp.
pub(crate) fn age(object: &Object, pointer: &str, now: Timestamp) -> String {
    object.time(pointer).map(|time| short_duration(time.age(now))).unwrap_or_default()
}

/// The time from the start to the end, or to now.
pub(crate) fn took(object: &Object, start: &str, end: &str, now: Timestamp) -> Option<String> {
    let begun = object.time(start)?;
    // The zero time means that it has not ended.
    let end = object.time(end).filter(|end| *end >= begun).unwrap_or(now);
    Some(short_duration(begun.age(end)))
}
