//! The position in a log, by the timestamps of its lines, and how to resume from it.
//!
//! The kubelet can put the time in front of every line. Two lines of a container have the same one only if they were
//! written in the same nanosecond, and the file keeps their order. So the last line that was emitted proves two things
//! about a log that is requested again since a moment before it: that it is the log of the same run, as no other run
//! wrote that line, and where the new lines start.

use jiff::{SignedDuration, Timestamp};
use memchr::{memchr, memchr2};

/// The longest timestamp, with the space after it: `2026-11-25T04:00:00.123456789+00:00 `.
const MAX_STAMP_BYTES: usize = 40;

/// How far timestamps may go back from one line to the next, as stdout and stderr are copied concurrently.
const SLACK: SignedDuration = SignedDuration::from_secs(1);

/// How much of newer lines is held back before the last line counts as missing.
const MAX_HELD_BYTES: usize = 256 << 10;

/// How much of a log was emitted.
#[derive(Clone, Debug, Default)]
pub(super) struct LogPosition {
    /// The time of its first line.
    first: Option<Timestamp>,
    last: Line,
}

/// The last line that was emitted.
#[derive(Clone, Debug, Default)]
struct Line {
    /// Its timestamp, byte for byte; empty before the first line.
    stamp: Vec<u8>,
    /// How many lines so far have this timestamp, including this one.
    repeats: usize,
    /// Its end was not emitted.
    is_open: bool,
    /// How many bytes of it were emitted.
    bytes: usize,
}

impl LogPosition {
    /// Whether no line was emitted yet.
    pub(super) fn is_start(&self) -> bool {
        self.last.stamp.is_empty()
    }

    pub(super) fn first(&self) -> Option<Timestamp> {
        self.first
    }

    pub(super) fn last(&self) -> Option<Timestamp> {
        time(&self.last.stamp)
    }

    /// Since when to request the log so that the last line is in it.
    pub(super) fn resume_at(&self) -> Option<Timestamp> {
        self.last()?.saturating_sub(SLACK).ok()
    }

    fn begin(&mut self, stamp: &[u8]) {
        if self.first.is_none() {
            self.first = time(stamp);
        }
        let last = &mut self.last;
        last.bytes = 0;
        last.is_open = true;
        if last.stamp == stamp {
            last.repeats += 1;
        } else {
            last.stamp.clear();
            last.stamp.extend_from_slice(stamp);
            last.repeats = 1;
        }
    }

    fn add(&mut self, bytes: usize, ended: bool) {
        self.last.is_open = !ended;
        self.last.bytes += bytes;
    }
}

/// The lines of one connection. Removes their timestamps, and skips what was emitted before.
#[derive(Debug)]
pub(super) struct Lines {
    /// Not the first connection: its lines have timestamps, and the first ones may be known.
    resumed: bool,
    /// The start of a line, without the end of its timestamp.
    head: Vec<u8>,
    /// How to handle the rest of the current line; `None` between lines.
    handling: Option<Handling>,
    /// A line with a timestamp was read.
    stamped: bool,
    /// The lines of this log have no timestamps, and are emitted as they are.
    unstamped: bool,
    /// Present until the last emitted line was found.
    search: Option<Search>,
    /// It was found.
    found: bool,
    /// Only lines of these seconds, inclusive, are emitted.
    between: Option<(i64, i64)>,
}

#[derive(Debug)]
struct Search {
    wanted: Line,
    at: Option<Timestamp>,
    repeats: usize,
    /// Newer lines, to be emitted if the last one is not there any more.
    held: Vec<u8>,
    /// Newer lines were found where the last one should be.
    missing: bool,
    /// The last line may be missing: newer lines are then new ones.
    accepting: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handling {
    New,
    /// The last line that was emitted, this many bytes of it.
    Resumed {
        known: usize,
    },
    /// Newer than the last line, which was not found yet.
    Held,
    /// Without a timestamp: a message of the kubelet.
    Message,
    Skipped,
}

impl Lines {
    /// For the first connection.
    pub(super) fn new() -> Self {
        Self {
            resumed: false,
            head: Vec::new(),
            handling: None,
            stamped: false,
            unstamped: false,
            search: None,
            found: false,
            between: None,
        }
    }

    /// For a log that is requested again.
    pub(super) fn resumed(position: &LogPosition) -> Self {
        let search = (!position.is_start()).then(|| Search {
            wanted: position.last.clone(),
            at: position.last(),
            repeats: 0,
            held: Vec::new(),
            missing: false,
            accepting: false,
        });
        Self { resumed: true, search, ..Self::new() }
    }

    /// Until the last line is found, which may be missing, skips lines of other seconds than these.
    pub(super) fn between(mut self, first: Option<Timestamp>, last: Option<Timestamp>) -> Self {
        let second = |time: Timestamp| time.as_second();
        self.between = Some((first.map_or(i64::MIN, second), last.map_or(i64::MAX, second)));
        if let Some(search) = &mut self.search {
            search.accepting = true;
        }
        self
    }

    /// Whether the last emitted line was found.
    pub(super) fn has_found(&self) -> bool {
        self.found
    }

    /// Whether lines are held back until the last emitted one is found.
    pub(super) fn is_seeking(&self) -> bool {
        self.search.is_some()
    }

    /// Whether the last line may be missing.
    pub(super) fn is_accepting(&self) -> bool {
        self.search.as_ref().is_some_and(|search| search.accepting)
    }

    /// Whether newer lines were found where the last one should be.
    pub(super) fn is_missing(&self) -> bool {
        self.search.as_ref().is_some_and(|search| search.missing && !search.accepting)
    }

    /// Whether there are newer lines than the last one, which was not found.
    pub(super) fn has_newer(&self) -> bool {
        self.search.as_ref().is_some_and(|search| !search.held.is_empty())
    }

    /// Whether the lines have no timestamps, so that the log cannot be resumed.
    pub(super) fn is_unstamped(&self) -> bool {
        self.unstamped
    }

    /// From now on the last line may be missing.
    pub(super) fn accept(&mut self, position: &mut LogPosition) -> Vec<u8> {
        let Some(search) = &mut self.search else { return Vec::new() };
        search.accepting = true;
        if search.missing { self.release(position) } else { Vec::new() }
    }

    /// The last line is missing: emits what was held back.
    pub(super) fn release(&mut self, position: &mut LogPosition) -> Vec<u8> {
        let mut out = Vec::new();
        let Some(search) = self.search.take_if(|search| !search.held.is_empty()) else { return out };
        if search.wanted.is_open && search.wanted.bytes > 0 {
            out.push(b'\n');
        }
        let mut lines = search.held.as_slice();
        while let Some(space) = memchr(b' ', lines) {
            let (stamp, rest) = lines.split_at(space);
            let rest = rest.get(1..).unwrap_or_default();
            let (body, rest) = first_line(rest);
            position.begin(stamp);
            position.add(body.len(), body.ends_with(b"\n"));
            out.extend_from_slice(body);
            lines = rest;
        }
        if self.handling == Some(Handling::Held) {
            self.handling = Some(Handling::New);
        }
        out
    }

    /// At the end of the log, what is left of a line too short for a timestamp.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        if self.resumed || self.stamped { Vec::new() } else { std::mem::take(&mut self.head) }
    }

    /// What to emit of a chunk.
    pub(super) fn take(&mut self, mut chunk: &[u8], position: &mut LogPosition) -> Vec<u8> {
        let mut out = Vec::with_capacity(chunk.len());
        while !chunk.is_empty() {
            if self.unstamped {
                out.extend_from_slice(chunk);
                break;
            }
            let Some(handling) = self.handling else {
                chunk = self.begin(chunk, position, &mut out);
                continue;
            };
            let (part, rest) = first_line(chunk);
            chunk = rest;
            self.body(handling, part, position, &mut out);
        }
        if self.search.as_ref().is_some_and(|search| search.accepting && search.missing) {
            out.extend(self.release(position));
        }
        out
    }

    /// Reads the timestamp of the next line. Returns what follows it.
    fn begin<'c>(&mut self, chunk: &'c [u8], position: &mut LogPosition, out: &mut Vec<u8>) -> &'c [u8] {
        let room = MAX_STAMP_BYTES.saturating_sub(self.head.len()).min(chunk.len());
        let (near, _) = chunk.split_at(room);
        let Some(end) = memchr2(b' ', b'\n', near) else {
            if self.head.len() + near.len() < MAX_STAMP_BYTES {
                self.head.extend_from_slice(near);
                return &[];
            }
            self.without_stamp(out);
            return chunk;
        };
        let (stamp, rest) = near.split_at(end);
        let is_stamp = rest.starts_with(b" ") && {
            self.head.extend_from_slice(stamp);
            let is_stamp = looks_like_time(&self.head);
            if !is_stamp {
                self.head.truncate(self.head.len() - stamp.len());
            }
            is_stamp
        };
        if !is_stamp {
            self.without_stamp(out);
            return chunk;
        }
        let mut stamp = std::mem::take(&mut self.head);
        self.stamped = true;
        self.handling = Some(self.handling_of(&stamp, position));
        stamp.clear();
        self.head = stamp;
        chunk.get(end + 1..).unwrap_or_default()
    }

    /// Starts a line without a timestamp. It is of a log without any, or an error message of the kubelet. Or it is the
    /// rest of a long line: the kubelet has a timestamp for each 16 KiB of it, writes out the first one alone, and
    /// filters by each.
    fn without_stamp(&mut self, out: &mut Vec<u8>) {
        self.unstamped = !self.resumed && !self.stamped;
        let is_shown = !self.is_seeking() && (self.unstamped || self.stamped);
        self.handling = Some(if is_shown { Handling::Message } else { Handling::Skipped });
        if is_shown {
            out.append(&mut self.head);
        }
        self.head.clear();
    }

    fn handling_of(&mut self, stamp: &[u8], position: &mut LogPosition) -> Handling {
        if let Some(search) = &mut self.search
            && stamp == search.wanted.stamp
        {
            // All lines before it in the file were emitted before it.
            search.held.clear();
            search.missing = false;
            search.repeats += 1;
            if search.repeats < search.wanted.repeats {
                return Handling::Skipped;
            }
            let is_open = search.wanted.is_open;
            self.search = None;
            (self.found, self.between) = (true, None);
            return if is_open {
                Handling::Resumed { known: position.last.bytes }
            } else {
                Handling::Skipped
            };
        }
        if let Some((first, last)) = self.between
            && !time(stamp).is_some_and(|time| (first..=last).contains(&time.as_second()))
        {
            return Handling::Skipped;
        }
        let Some(search) = &mut self.search else {
            position.begin(stamp);
            return Handling::New;
        };
        let (Some(now), Some(wanted)) = (time(stamp), search.at) else { return Handling::Skipped };
        if now <= wanted {
            return Handling::Skipped;
        }
        search.missing |= now.duration_since(wanted) > SLACK;
        search.held.extend_from_slice(stamp);
        search.held.push(b' ');
        Handling::Held
    }

    /// Handles a part of a line.
    fn body(&mut self, handling: Handling, part: &[u8], position: &mut LogPosition, out: &mut Vec<u8>) {
        let ended = part.ends_with(b"\n");
        self.handling = if ended { None } else { Some(handling) };
        match handling {
            Handling::Skipped => {}
            Handling::Message => out.extend_from_slice(part),
            Handling::New => {
                out.extend_from_slice(part);
                position.add(part.len(), ended);
            }
            Handling::Resumed { known } => {
                let skipped = known.min(part.len());
                let fresh = part.get(skipped..).unwrap_or_default();
                out.extend_from_slice(fresh);
                position.add(fresh.len(), ended);
                if !ended {
                    self.handling = Some(Handling::Resumed { known: known - skipped });
                }
            }
            Handling::Held => {
                if let Some(search) = &mut self.search {
                    search.held.extend_from_slice(part);
                    search.missing |= search.held.len() > MAX_HELD_BYTES;
                }
            }
        }
    }
}

/// Splits after the first line.
fn first_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(memchr(b'\n', bytes).map_or(bytes.len(), |newline| newline + 1))
}

/// A cheap check, as every line has one: `2026-11-25T04:00:00.123456789Z`.
fn looks_like_time(stamp: &[u8]) -> bool {
    matches!(stamp, [a, b, c, d, b'-', _, _, b'-', _, _, b'T', _, _, b':', _, _, b':', ..]
        if [a, b, c, d].iter().all(|digit| digit.is_ascii_digit()))
}

fn time(stamp: &[u8]) -> Option<Timestamp> {
    std::str::from_utf8(stamp).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A container's log file: nanoseconds and lines.
    fn file(lines: &[(u32, String)]) -> Vec<(u64, String)> {
        let mut now = 1_000_000_000_000u64;
        let line = |(step, text): &(u32, String)| {
            now = now.saturating_add(u64::from(*step));
            (now, text.clone())
        };
        lines.iter().map(line).collect()
    }

    fn stamp(nanoseconds: u64) -> String {
        Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap().to_string()
    }

    /// What the kubelet sends of a file.
    fn sent(file: &[(u64, String)], since: Option<Timestamp>) -> Vec<u8> {
        let since = since.map_or(0, |time| time.as_second().unsigned_abs() * 1_000_000_000);
        let lines = file.iter().filter(|(time, _)| *time >= since);
        lines.map(|(time, text)| format!("{} {text}\n", stamp(*time))).collect::<String>().into_bytes()
    }

    fn plain(file: &[(u64, String)]) -> Vec<u8> {
        file.iter().map(|(_, text)| format!("{text}\n")).collect::<String>().into_bytes()
    }

    proptest! {
        #[test]
        fn log_resumed_after_breaks_is_emitted_once(
            lines in prop::collection::vec(
                (prop_oneof![Just(0u32), Just(1), 1..2_000_000_000u32], "[ab ]{0,6}"), 0..30),
            breaks in prop::collection::vec(0..400usize, 0..6),
            size in 1..50usize,
        ) {
            let file = file(&lines);
            let mut position = LogPosition::default();
            let mut lines = Lines::new();
            let mut out = Vec::new();
            for length in breaks.into_iter().chain([usize::MAX]) {
                let bytes = sent(&file, position.resume_at());
                for chunk in bytes[..length.min(bytes.len())].chunks(size) {
                    out.extend(lines.take(chunk, &mut position));
                }
                prop_assert!(!lines.is_missing() && !lines.has_newer());
                lines = Lines::resumed(&position);
            }
            prop_assert_eq!(String::from_utf8(out).unwrap(), String::from_utf8(plain(&file)).unwrap());
        }

        #[test]
        fn timestamps_are_removed_wherever_chunks_end(
            lines in prop::collection::vec((1..2_000_000_000u32, "\\PC{0,20}"), 0..20),
            size in 1..80usize,
        ) {
            let file = file(&lines);
            let (mut lines, mut position) = (Lines::new(), LogPosition::default());
            let out: Vec<u8> =
                sent(&file, None).chunks(size).flat_map(|chunk| lines.take(chunk, &mut position)).collect();
            prop_assert_eq!(out, plain(&file));
        }

        #[test]
        fn log_without_timestamps_is_emitted_unchanged(text in "[a-z \n]{0,200}", size in 1..20usize) {
            let (mut lines, mut position) = (Lines::new(), LogPosition::default());
            let mut out: Vec<u8> =
                text.as_bytes().chunks(size).flat_map(|chunk| lines.take(chunk, &mut position)).collect();
            out.extend(lines.rest());
            prop_assert_eq!(out, text.into_bytes());
        }
    }

    fn after_one_line() -> LogPosition {
        let mut position = LogPosition::default();
        Lines::new().take(format!("{} first\n", stamp(1_000_000_000_000)).as_bytes(), &mut position);
        position
    }

    #[test]
    fn endless_newer_line_is_held_back_up_to_a_limit() {
        let mut position = after_one_line();
        let mut lines = Lines::resumed(&position);
        let newer = format!("{} ", stamp(1_000_000_000_500));
        lines.take(newer.as_bytes(), &mut position);
        let mut fed = 0;
        while !lines.is_missing() {
            assert_eq!(lines.take(&[b'x'; 1 << 10], &mut position), b"");
            fed += 1 << 10;
            assert!(fed <= MAX_HELD_BYTES);
        }
        let mut out = lines.accept(&mut position);
        out.extend(lines.take(b"yz\n", &mut position));
        let expected = ["x".repeat(fed), "yz\n".to_owned()].concat();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    /// The kubelet serves only the newest file.
    #[test]
    fn lines_after_rotated_last_line_are_emitted() {
        let lines: Vec<_> = (0..6).map(|number| (700_000_000, format!("line {number}"))).collect();
        let file = file(&lines);
        let mut position = LogPosition::default();
        let mut out = Lines::new().take(&sent(&file[..3], None), &mut position);
        let mut lines = Lines::resumed(&position);
        out.extend(lines.take(&sent(&file[3..], None), &mut position));
        assert!(lines.is_missing());
        out.extend(lines.accept(&mut position));
        assert!(!lines.is_seeking());
        assert_eq!(out, plain(&file));
    }

    #[test]
    fn rest_of_long_line_before_last_one_is_skipped() {
        let mut position = after_one_line();
        let mut lines = Lines::resumed(&position);
        let again = format!("rest of a line\n{0} first\n{0} second\n", stamp(1_000_000_000_000));
        assert_eq!(lines.take(again.as_bytes(), &mut position), b"second\n");
    }

    /// The kubelet sends it with status 200.
    #[test]
    fn error_message_instead_of_log_is_skipped() {
        let mut position = after_one_line();
        let mut lines = Lines::resumed(&position);
        let message = b"unable to retrieve container logs for containerd://5f1c";
        assert_eq!(lines.take(message, &mut position), b"");
        assert!(lines.is_seeking() && !lines.is_missing());
    }
}
