use std::collections::BTreeMap;

use serde_json::Value;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::kf::Kf;
use crate::objects::Object;
use crate::skipped::Skipped;

/// The latest warning event about each object of a namespace. Kubernetes keeps events for an hour.
#[derive(Clone, Debug, Default)]
pub struct Events {
    warnings: BTreeMap<(String, String), Warning>,
}

#[derive(Clone, Debug)]
struct Warning {
    at: Timestamp,
    /// When it first occurred; repetitions only update `at`.
    first: Timestamp,
    uid: Option<String>,
    reason: String,
    message: String,
}

impl Warning {
    /// Compares whole seconds, the precision of creation times.
    fn is_after(&self, since: Timestamp) -> bool {
        let [first, at, since] = [self.first, self.at, since].map(|time| time.0 / 1000);
        first > since || (first == since && at > since) || self.first == Timestamp::default()
    }
}

impl Events {
    /// Lists the events of the namespace. Empty if they cannot be read or the user has no permission to list them.
    pub fn read(kf: &Kf) -> Result<Self> {
        let events = Skipped::optional(kf, "events", Self::list(kf))?;
        Ok(events.map(|events| Self::of(&events)).unwrap_or_default())
    }

    /// Lists the events again, and keeps the known ones if that fails.
    pub(super) fn refresh(&mut self, kf: &Kf) -> Result<()> {
        match Self::list(kf) {
            Err(error) if error.is_partial() => Ok(()),
            events => {
                let events = Skipped::optional(kf, "events", events)?;
                *self = events.map(|events| Self::of(&events)).unwrap_or_default();
                Ok(())
            }
        }
    }

    fn list(kf: &Kf) -> Result<Vec<Object>> {
        kf.api("Event").fields("type=Warning").list()
    }

    /// Collects the warnings among these events.
    pub fn of(events: &[Object]) -> Self {
        let mut warnings = Self::default();
        for event in events {
            warnings.note(event);
        }
        warnings
    }

    /// Adds an event if it is a warning and the latest about its object.
    pub fn note(&mut self, event: &Object) {
        let (Some("Warning"), Some(kind), Some(name)) =
            (event.str("/type"), event.str("/involvedObject/kind"), event.str("/involvedObject/name"))
        else {
            return;
        };
        let warning = Warning {
            at: when(event),
            first: first_time(event, &["/metadata/creationTimestamp", "/firstTimestamp", "/eventTime"]),
            uid: event.str("/involvedObject/uid").map(str::to_owned),
            reason: event.str("/reason").unwrap_or_default().to_owned(),
            message: event.str("/message").unwrap_or_default().to_owned(),
        };
        let key = (kind.to_owned(), name.to_owned());
        if self.warnings.get(&key).is_none_or(|known| known.at <= warning.at) {
            self.warnings.insert(key, warning);
        }
    }

    /// Returns the reason and message of the latest warning about an object, ignoring earlier objects of the same name.
    pub fn warning(&self, object: &Object) -> Option<(&str, &str)> {
        let warning = self.warnings.get(&(object.kind().to_owned(), object.name().to_owned()))?;
        let same = match (&warning.uid, object.uid()) {
            (Some(of), Some(this)) => of == this,
            _ => true,
        };
        same.then_some((warning.reason.as_str(), warning.message.as_str()))
    }

    /// Returns the latest warning about any object of a kind whose name has a prefix. Warnings that first occurred
    /// before `since`, the creation time of the workload, are ignored, as they may be about an earlier workload of the
    /// same name; those of the same second only count if they are repeated later.
    pub fn warning_like(&self, kind: &str, prefix: &str, since: Option<Timestamp>) -> Option<(&str, &str)> {
        self.warnings
            .iter()
            .filter(|((of, name), _)| of == kind && name.starts_with(prefix))
            .filter(|(_, warning)| since.is_none_or(|since| warning.is_after(since)))
            .max_by_key(|(_, warning)| warning.at)
            .map(|(_, warning)| (warning.reason.as_str(), warning.message.as_str()))
    }
}

/// Returns when an event last occurred. Different sources set different fields.
fn when(event: &Object) -> Timestamp {
    let last = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
    first_time(event, &last)
}

/// Returns the first of these fields that is set.
fn first_time(event: &Object, fields: &[&str]) -> Timestamp {
    fields
        .iter()
        .filter(|pointer| event.at(pointer).is_some_and(Value::is_string))
        .find_map(|pointer| event.time(pointer))
        .unwrap_or_default()
}
