use std::collections::BTreeMap;

use serde_json::Value;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::kf::Kf;
use crate::left_out::LeftOut;
use crate::objects::Object;

/// The latest warning about each object of a namespace. Kubernetes keeps events for an hour.
#[derive(Clone, Debug, Default)]
pub struct Events {
    warnings: BTreeMap<(String, String), Warning>,
}

#[derive(Clone, Debug)]
struct Warning {
    at: Timestamp,
    /// When it was given for the first time, by the API server's clock; repetitions move `at` alone.
    first: Timestamp,
    uid: Option<String>,
    reason: String,
    message: String,
}

impl Warning {
    /// Creation times are of whole seconds.
    fn is_after(&self, since: Timestamp) -> bool {
        let [first, at, since] = [self.first, self.at, since].map(|time| time.0 / 1000);
        first > since || (first == since && at > since) || self.first == Timestamp::default()
    }
}

impl Events {
    /// Reads them. Without the right to list events, or where events cannot be read now, there are none.
    pub fn read(kf: &Kf) -> Result<Self> {
        let events = LeftOut::optional(kf, "events", Self::list(kf))?;
        Ok(events.map(|events| Self::of(&events)).unwrap_or_default())
    }

    /// Reads them again. Those that are known stay where they cannot be read now.
    pub(super) fn renew(&mut self, kf: &Kf) -> Result<()> {
        match Self::list(kf) {
            Err(error) if error.is_partial() => Ok(()),
            events => {
                let events = LeftOut::optional(kf, "events", events)?;
                *self = events.map(|events| Self::of(&events)).unwrap_or_default();
                Ok(())
            }
        }
    }

    fn list(kf: &Kf) -> Result<Vec<Object>> {
        kf.api("Event").fields("type=Warning").list()
    }

    /// The warnings among these events.
    pub fn of(events: &[Object]) -> Self {
        let mut warnings = Self::default();
        for event in events {
            warnings.note(event);
        }
        warnings
    }

    /// Takes in one more event, if it is a warning and the latest about its object.
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

    /// Reason and message of the latest warning about an object, unless it was about an earlier
    /// object of the same name.
    pub fn warning(&self, object: &Object) -> Option<(&str, &str)> {
        let warning = self.warnings.get(&(object.kind().to_owned(), object.name().to_owned()))?;
        let same = match (&warning.uid, object.uid()) {
            (Some(of), Some(this)) => of == this,
            _ => true,
        };
        same.then_some((warning.reason.as_str(), warning.message.as_str()))
    }

    /// The latest warning about any object of a kind whose name starts so, and not about one of an earlier component of
    /// the same name: nothing that was first given before `since`, when this one was created, nor in that very second, in
    /// which the earlier one may still have been there. A warning that holds is repeated after that.
    pub fn warning_like(&self, kind: &str, prefix: &str, since: Option<Timestamp>) -> Option<(&str, &str)> {
        self.warnings
            .iter()
            .filter(|((of, name), _)| of == kind && name.starts_with(prefix))
            .filter(|(_, warning)| since.is_none_or(|since| warning.is_after(since)))
            .max_by_key(|(_, warning)| warning.at)
            .map(|(_, warning)| (warning.reason.as_str(), warning.message.as_str()))
    }
}

/// When an event was last seen; its makers fill different fields.
fn when(event: &Object) -> Timestamp {
    let last = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
    first_time(event, &last)
}

/// The first of these fields that is filled.
fn first_time(event: &Object, fields: &[&str]) -> Timestamp {
    fields
        .iter()
        .filter(|pointer| event.at(pointer).is_some_and(Value::is_string))
        .find_map(|pointer| event.time(pointer))
        .unwrap_or_default()
}
