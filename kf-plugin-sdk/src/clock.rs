//! Timestamps. A command can read the time only from the host.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Parses an RFC 3339 time, the format of Kubernetes. Returns `None` for times before 1970.
    pub fn parse(text: &str) -> Option<Self> {
        let time = humantime::parse_rfc3339(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
        u64::try_from(time.as_millis()).ok().map(Self)
    }

    /// Returns how long ago it was at `now`; zero if it is in the future.
    pub fn age(self, now: Self) -> Duration {
        Duration::from_millis(now.0.saturating_sub(self.0))
    }

    /// Returns how long after `now` it is; zero if it has passed.
    pub fn since(self, now: Self) -> Duration {
        now.age(self)
    }

    /// Adds a duration.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Subtracts a duration, saturating at 1970.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Formats as RFC 3339 in seconds, such as `2026-11-21T08:00:00Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // RFC 3339 has years up to 9999.
        let time = Duration::from_millis(self.0.min(253_402_300_799_000));
        humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + time).fmt(formatter)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Formats a duration for tables by its largest unit: `40s`, `5m`, `2h`, `3d`.
///
/// Durations under ten minutes also show seconds.
pub fn short_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 if !seconds.is_multiple_of(60) => format!("{minutes}m{}s", seconds % 60),
        120..10_800 => format!("{minutes}m"),
        10_800..172_800 => format!("{hours}h"),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_time_round_trips() {
        for text in ["2026-11-21T08:00:00Z", "1970-01-01T00:00:00Z", "2024-02-29T23:59:59Z"] {
            assert_eq!(Timestamp::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            Timestamp::parse("2026-11-21T08:00:00.250000Z").unwrap().0 % 1000,
            250,
            "micro times of events and leases"
        );
        assert_eq!(Timestamp::parse("yesterday"), None);
        assert_eq!(Timestamp(u64::MAX).to_string(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn durations_are_short() {
        let shown = |seconds| short_duration(Duration::from_secs(seconds));
        assert_eq!(shown(40), "40s");
        assert_eq!(shown(119), "119s");
        assert_eq!(shown(192), "3m12s");
        assert_eq!(shown(3000), "50m");
        assert_eq!(shown(86_400), "24h");
        assert_eq!(shown(3 * 86_400), "3d");
    }
}
