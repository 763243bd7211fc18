//! The results as Markdown.

use std::fmt::Write as _;
use std::time::Duration;

use kf_core::size::Decimal;
use kf_tests::rounds::shown;

use crate::measure::{Action, Cost};
use crate::published::Took;

/// The results for a number of plugins.
pub(crate) struct Size {
    pub(crate) plugins: usize,
    pub(crate) authors: usize,
    /// How long it took to publish all of them, or why they cannot be published or added.
    pub(crate) published: Result<Took, String>,
    pub(crate) actions: Vec<Action>,
}

impl Size {
    /// What an action with kf took, if it succeeded.
    pub(crate) fn kf(&self, name: &str) -> Option<&Cost> {
        let action = self.actions.iter().find(|action| action.name == name)?;
        action.kf.as_ref().filter(|cost| cost.failed.is_none())
    }

    /// The bytes of an action with krew's index.
    pub(crate) fn krew(&self, name: &str) -> Option<u64> {
        let mut all = self.actions.iter().filter_map(|action| action.krew.as_ref());
        all.find(|(found, _)| *found == name).map(|(_, cost)| cost.bytes)
    }
}

/// The rows for a number of plugins.
pub(crate) fn table(size: &Size) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(text, "\n## {} plugins by {} authors\n", grouped(size.plugins), grouped(size.authors))?;
    match &size.published {
        Ok(Took { stage, sign, assemble }) => {
            let [stage, sign, assemble] = [stage, sign, assemble].map(|time| seconds(*time));
            writeln!(
                text,
                "Publishing all of them took {stage} to stage, {sign} to sign and {assemble} to assemble.\n"
            )?;
        }
        Err(error) => writeln!(text, "Not measured with kf: {error}\n")?,
    }
    writeln!(
        text,
        "| kf | requests | bytes | time | krew's index | bytes | time | bytes, kf to git | time, kf to git |"
    )?;
    writeln!(text, "|---|---:|---:|---:|---|---:|---:|---:|---:|")?;
    let mut before = "";
    for Action { name, kf, krew } in &size.actions {
        let kf = kf.as_ref();
        let (requests, bytes, time) = match kf {
            Some(Cost { failed: Some(error), .. }) => ("–".to_owned(), error.clone(), "–".to_owned()),
            Some(cost) => (cost.requests.to_string(), with_component(cost), shown(cost.time)),
            None => Default::default(),
        };
        let label = if *name == before { "" } else { *name };
        before = *name;
        let measured = kf.filter(|cost| cost.failed.is_none());
        match krew {
            Some((peer, cost)) => {
                let bytes_ratio = measured.map(|kf| ratio(kf.bytes as f64, cost.bytes as f64));
                let time_ratio = measured.map(|kf| ratio(kf.time.as_secs_f64(), cost.time.as_secs_f64()));
                writeln!(
                    text,
                    "| {label} | {requests} | {bytes} | {time} | {peer} | {} | {} | {} | {} |",
                    exact(cost.bytes),
                    shown(cost.time),
                    bytes_ratio.unwrap_or_default(),
                    time_ratio.unwrap_or_default()
                )?;
            }
            None => writeln!(text, "| {label} | {requests} | {bytes} | {time} | | | | | |")?,
        }
    }
    Ok(text)
}

fn with_component(cost: &Cost) -> String {
    match cost.component {
        0 => exact(cost.bytes),
        component => format!("{} + {}", exact(cost.bytes), Decimal(component)),
    }
}

/// Small sizes in bytes.
pub(crate) fn exact(bytes: u64) -> String {
    if bytes < 10_000 { format!("{} B", grouped_u64(bytes)) } else { Decimal(bytes).to_string() }
}

pub(crate) fn ratio(one: f64, other: f64) -> String {
    match one / other {
        ratio if ratio < 0.1 => format!("{ratio:.4}"),
        ratio if ratio < 10.0 => format!("{ratio:.2}"),
        ratio => format!("{ratio:.0}"),
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// With commas between thousands.
pub(crate) fn grouped(number: usize) -> String {
    grouped_u64(number as u64)
}

fn grouped_u64(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", grouped_u64(number / 1000), number % 1000),
    }
}
