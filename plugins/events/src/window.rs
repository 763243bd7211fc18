//! How many of the events are shown.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;

/// The default for `--tail`. Busy namespaces have thousands of events an hour.
const DEFAULT_LINES: usize = 100;

/// The value of `--tail`.
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
            text => {
                text.parse().map(Self::Lines).map_err(|_| "expected a number of lines or `all`".to_owned())
            }
        }
    }
}

/// The time and number limits of the output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) since: Option<Duration>,
    pub(crate) tail: Option<Tail>,
}

impl Window {
    /// Limits rows that are sorted newest last. Prints a note if the default limit hides some.
    pub(crate) fn limit<T>(
        self,
        kf: &Kf,
        mut rows: Vec<T>,
        last: impl Fn(&T) -> Option<Timestamp>,
    ) -> Vec<T> {
        if let Some(since) = self.since {
            let now = kf.now();
            rows.retain(|row| last(row).is_some_and(|last| last.age(now) <= since));
        }
        let lines = match (self.tail, self.since) {
            (Some(Tail::Lines(lines)), _) => lines,
            (Some(Tail::All), _) | (None, Some(_)) => return rows,
            // Structured output is complete.
            (None, None) if !kf.output_format().is_table() => return rows,
            (None, None) => DEFAULT_LINES,
        };
        let earlier = rows.len().saturating_sub(lines);
        if earlier > 0 && self.tail.is_none() {
            let all = kf.command_line().set("--tail", "all");
            kf.note(format!("{earlier} earlier events not shown; `{all}` shows all"));
        }
        rows.drain(..earlier);
        rows
    }
}

/// The time limit, as the end of a sentence.
impl fmt::Display for Window {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.since {
            Some(since) => write!(formatter, " in the last {}", short_duration(since)),
            None => formatter.write_str(" in the last hour"),
        }
    }
}
