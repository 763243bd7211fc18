//! The latest warnings about a workload, its parts and its pods.

use std::collections::BTreeSet;

use kf_plugin_sdk::prelude::*;
use serde::Serialize;

use crate::components::Workload;
use crate::rows::age;

/// The number of warnings shown.
const MAX_WARNINGS: usize = 10;

#[derive(Clone, Debug, PartialEq, Serialize, TableRow)]
pub(crate) struct Warning {
    #[serde(skip)]
    #[column(title = "LAST")]
    ago: String,
    #[column(skip)]
    last: Option<Timestamp>,
    times: i64,
    object: String,
    reason: String,
    message: String,
}

/// The warnings, newest first. Empty without permission to list events.
pub(crate) fn warnings(kf: &Kf, component: &Workload<'_>, now: Timestamp) -> Result<Vec<Warning>> {
    let events = kf.api("Event").fields("type=Warning").list();
    let events = Skipped::optional(kf, "events", events)?.unwrap_or_default();
    let own = [(component.kind.as_str(), component.name.as_str())].into_iter();
    let below = component.parts.iter().chain(&component.pods).map(|object| (object.kind(), object.name()));
    let about: BTreeSet<_> = own.chain(below).collect();
    let mut warnings: Vec<Warning> = events
        .iter()
        .filter(|event| event.str("/type") == Some("Warning"))
        .filter_map(|event| {
            let of = (event.str("/involvedObject/kind")?, event.str("/involvedObject/name")?);
            about.contains(&of).then(|| warning(event, of, now))
        })
        .collect();
    warnings.sort_by_key(|warning| std::cmp::Reverse(warning.last));
    warnings.truncate(MAX_WARNINGS);
    Ok(warnings)
}

fn warning(event: &Object, (kind, name): (&str, &str), now: Timestamp) -> Warning {
    let last = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"]
        .into_iter()
        .find_map(|pointer| event.time(pointer));
    let message = event.str("/message").unwrap_or_default();
    Warning {
        ago: age(last, now),
        last,
        times: event.int("/series/count").or(event.int("/count")).unwrap_or(1),
        object: format!("{}/{name}", kind.to_lowercase()),
        reason: event.str("/reason").unwrap_or_default().to_owned(),
        message: message.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}
