//! How much of what happened is shown.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;

/// Lines that are shown if nothing else is asked for. Busy namespaces have thousands an hour.
const LINES: usize = 100;

/// Only so many lines, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    All,
    Lines(usize),
}

impl FromStr for Tail {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            text => text.parse().map(Self::Lines).map_err(|_| "not a number of lines, or `all`".to_owned()),
        }
    }
}

/// The part of the events that is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) since: Option<Duration>,
    pub(crate) tail: Option<Tail>,
}

impl Window {
    /// Cuts rows whose latest come last, and says how many are left out without having been asked to.
    pub(crate) fn cut<T>(self, kf: &Kf, mut rows: Vec<T>, last: impl Fn(&T) -> Option<Timestamp>) -> Vec<T> {
        if let Some(since) = self.since {
            let now = kf.now();
            rows.retain(|row| last(row).is_some_and(|last| last.age(now) <= since));
        }
        let lines = match (self.tail, self.since) {
            (Some(Tail::Lines(lines)), _) => lines,
            (Some(Tail::All), _) | (None, Some(_)) => return rows,
            // A program reads as many as there are.
            (None, None) if !kf.output_format().is_table() => return rows,
            (None, None) => LINES,
        };
        let earlier = rows.len().saturating_sub(lines);
        if earlier > 0 && self.tail.is_none() {
            let all = kf.command_line().set("--tail", "all");
            kf.note(format!("{earlier} earlier left out; `{all}` shows all"));
        }
        rows.drain(..earlier);
        rows
    }
}

/// How far back it reaches, as the end of a sentence.
impl fmt::Display for Window {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.since {
            Some(since) => write!(formatter, " in the last {}", short_duration(since)),
            None => formatter.write_str(" in the last hour"),
        }
    }
}
