//! Durations between two times, for users.

use jiff::{SignedDuration, Timestamp};

/// The duration in whole units of the largest unit with at least two.
pub fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).max(SignedDuration::ZERO).as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let unit = units.into_iter().find(|(length, _)| seconds >= 2 * length);
    let (length, name) = unit.unwrap_or((1, "s"));
    format!("{} {name}", seconds / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_uses_largest_unit_with_at_least_two() {
        let after = |seconds| span(Timestamp::UNIX_EPOCH, Timestamp::from_second(seconds).unwrap());
        for (seconds, text) in [
            (-5, "0 s"),
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_199, "119 min"),
            (7_200, "2 h"),
            (172_799, "47 h"),
            (172_800, "2 d"),
            (31_536_000, "365 d"),
        ] {
            assert_eq!(after(seconds), text, "{seconds}");
        }
    }
}
