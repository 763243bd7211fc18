//! Lines with their times: taken off on the way out, and used to go on where a log broke off.
//!
//! The kubelet can put the time in front of every line. Two lines of a container have the same one
//! only if they came in the same nanosecond, and the file keeps their order. So a log that is asked
//! for again from a moment before the break holds the last line that was passed on, and everything
//! behind it is new.

use jiff::Timestamp;
use memchr::memchr;

/// The longest time with the space after it: `2026-11-25T04:00:00.123456789+00:00 `.
const LONGEST: usize = 40;

/// How far the clock may seem to go back between lines: stdout and stderr are written by two hands.
const SLACK_MS: i64 = 1000;

/// What is held back before the last line counts as lost, in bytes.
const HELD: usize = 256 << 10;

/// Takes the times off a log.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    /// The begin of a line whose time has not come whole.
    head: Vec<u8>,
    /// In the middle of a line.
    inside: bool,
    /// When the first line was written.
    first: Option<Timestamp>,
    place: Place,
    /// Looking for the place where the last connection broke off.
    search: Option<Search>,
    /// The lines have no times: they go through, and a break is the end.
    unstamped: bool,
}

/// The last line that was passed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    /// Its time as it was written; empty before the first line.
    time: Vec<u8>,
    /// Lines with this very time so far, this one included.
    same: usize,
    /// Its end was not passed on.
    open: bool,
    /// Bytes of it that were, in that case.
    part: usize,
}

#[derive(Debug)]
struct Search {
    wanted: Place,
    at: Option<Timestamp>,
    same: usize,
    /// Bytes of the line that were passed on already.
    skip: usize,
    /// What to do with the line the stream stands in.
    line: Fate,
    /// Lines that would be new if the last one were not there any more.
    held: Vec<u8>,
    /// The last line can hardly come any more.
    lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Was passed on.
    Old,
    /// Was passed on in part.
    Partly,
    /// Newer, but the last line has not come yet.
    Held,
}

impl Stamps {
    /// The connection broke. `None` if the log cannot be gone on with; otherwise the moment to ask
    /// from, or none to ask from the beginning again.
    pub(super) fn resume(&mut self) -> Option<Option<Timestamp>> {
        if self.unstamped {
            return None;
        }
        self.head.clear();
        self.inside = false;
        if self.place.time.is_empty() {
            self.search = None;
            return Some(None);
        }
        let at = time(&self.place.time)?;
        // A search that broke off itself has passed on nothing, or is over.
        self.search = Some(Search {
            wanted: self.place.clone(),
            at: Some(at),
            same: 0,
            skip: 0,
            line: Fate::Old,
            held: Vec::new(),
            lost: false,
        });
        Some(Some(at.saturating_sub(jiff::SignedDuration::from_millis(SLACK_MS)).ok()?))
    }

    /// Whether the lines have times, as far as that is known.
    pub(super) fn are_there(&self) -> bool {
        !self.unstamped
    }

    /// When the last line that was passed on was written.
    pub(super) fn last(&self) -> Option<Timestamp> {
        time(&self.place.time)
    }

    /// When the first line that was read was written.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.first
    }

    /// Whether lines are held back that may be new.
    pub(super) fn holds(&self) -> bool {
        self.search.as_ref().is_some_and(|search| !search.held.is_empty())
    }

    /// Whether newer lines came in the last one's place: it was rotated away, or this is the log of
    /// another run.
    pub(super) fn is_lost(&self) -> bool {
        self.search.as_ref().is_some_and(|search| search.lost)
    }

    /// The last line does not come any more: what is held back is new.
    pub(super) fn give_up(&mut self) -> Vec<u8> {
        let Some(search) = self.search.take() else { return Vec::new() };
        let mut out = Vec::new();
        if !search.held.is_empty() && search.wanted.open && search.wanted.part > 0 {
            out.push(b'\n');
        }
        self.pass_all(&search.held, &mut out);
        out
    }

    /// The log has ended: the begin of a line that has no time.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.head)
    }

    /// What of a chunk is to be passed on.
    pub(super) fn take(&mut self, mut chunk: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(chunk.len());
        if self.unstamped {
            out.extend_from_slice(chunk);
            return out;
        }
        while !chunk.is_empty() {
            if !self.inside {
                let Some(rest) = self.begin(chunk, &mut out) else { return out };
                chunk = rest;
                continue;
            }
            let end = memchr(b'\n', chunk).map_or(chunk.len(), |newline| newline + 1);
            let (part, rest) = chunk.split_at(end);
            chunk = rest;
            let ended = part.ends_with(b"\n");
            self.body(part, ended, &mut out);
            self.inside = !ended;
        }
        out
    }

    /// Reads the time of the next line; `None` if it has not come whole.
    fn begin<'c>(&mut self, chunk: &'c [u8], out: &mut Vec<u8>) -> Option<&'c [u8]> {
        let room = LONGEST.saturating_sub(self.head.len()).min(chunk.len());
        let (near, _) = chunk.split_at(room);
        let (stamp, rest) = match memchr(b' ', near) {
            Some(space) => (near.get(..space)?, chunk.get(space + 1..)?),
            None if self.head.len() + near.len() < LONGEST && memchr(b'\n', near).is_none() => {
                self.head.extend_from_slice(near);
                return None;
            }
            None => return Some(self.without_times(chunk, out)),
        };
        if !self.head.is_empty() || !looks_like_time(stamp) {
            let mut whole = std::mem::take(&mut self.head);
            whole.extend_from_slice(stamp);
            if !looks_like_time(&whole) {
                self.head = whole;
                out.append(&mut self.head);
                self.unstamped = true;
                out.extend_from_slice(chunk.get(stamp.len()..).unwrap_or_default());
                return None;
            }
            self.line(&whole);
        } else {
            self.line(stamp);
        }
        self.inside = true;
        Some(rest)
    }

    fn without_times<'c>(&mut self, chunk: &'c [u8], out: &mut Vec<u8>) -> &'c [u8] {
        self.unstamped = true;
        out.append(&mut self.head);
        out.extend_from_slice(chunk);
        &[]
    }

    /// A line begins.
    fn line(&mut self, stamp: &[u8]) {
        if self.first.is_none() {
            self.first = time(stamp);
        }
        let Some(search) = &mut self.search else { return self.place.begin(stamp) };
        if search.same >= search.wanted.same {
            // The last line is behind us.
            self.search = None;
            return self.place.begin(stamp);
        }
        if stamp == search.wanted.time {
            search.same += 1;
            search.held.clear();
            search.lost = false;
            if search.same < search.wanted.same {
                search.line = Fate::Old;
                return;
            }
            search.line = if search.wanted.open { Fate::Partly } else { Fate::Old };
            search.skip = search.wanted.part;
            return;
        }
        let apart = match (time(stamp), search.at) {
            (Some(now), Some(wanted)) => now.as_millisecond().saturating_sub(wanted.as_millisecond()),
            _ => 0,
        };
        search.lost |= apart > SLACK_MS;
        let newer = time(stamp) > search.at;
        search.line = if newer { Fate::Held } else { Fate::Old };
        if newer {
            search.held.extend_from_slice(stamp);
            search.held.push(b' ');
        }
    }

    /// A piece of a line.
    fn body(&mut self, part: &[u8], ended: bool, out: &mut Vec<u8>) {
        let Some(search) = &mut self.search else {
            out.extend_from_slice(part);
            return self.place.add(part.len(), ended);
        };
        match search.line {
            Fate::Old => {}
            Fate::Held => {
                search.held.extend_from_slice(part);
                search.lost |= search.held.len() > HELD;
            }
            Fate::Partly => {
                let skipped = search.skip.min(part.len());
                search.skip -= skipped;
                let fresh = part.get(skipped..).unwrap_or_default();
                out.extend_from_slice(fresh);
                self.place.add(fresh.len(), ended);
            }
        }
    }

    /// Passes on lines with their times.
    fn pass_all(&mut self, mut lines: &[u8], out: &mut Vec<u8>) {
        while let Some(space) = memchr(b' ', lines) {
            let (stamp, rest) = lines.split_at(space);
            let rest = rest.get(1..).unwrap_or_default();
            let end = memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1);
            let (body, rest) = rest.split_at(end);
            self.place.begin(stamp);
            out.extend_from_slice(body);
            self.place.add(body.len(), body.ends_with(b"\n"));
            lines = rest;
        }
    }
}

impl Place {
    fn begin(&mut self, stamp: &[u8]) {
        self.part = 0;
        self.open = true;
        if self.time == stamp {
            self.same += 1;
        } else {
            self.time.clear();
            self.time.extend_from_slice(stamp);
            self.same = 1;
        }
    }

    fn add(&mut self, bytes: usize, ended: bool) {
        self.open = !ended;
        self.part += bytes;
    }
}

/// `2026-11-25T04:00:00.123456789Z`, looked at without reading it: every line has one.
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

    /// A container's log file: nanoseconds and lines, some at the same time, some a little back.
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

    /// What the kubelet sends for a file from a moment on.
    fn sent(file: &[(u64, String)], since: Option<Timestamp>) -> Vec<u8> {
        let since = since.map_or(0, |time| time.as_second().unsigned_abs() * 1_000_000_000);
        let lines = file.iter().filter(|(time, _)| *time >= since);
        lines.map(|(time, text)| format!("{} {text}\n", stamp(*time))).collect::<String>().into_bytes()
    }

    fn plain(file: &[(u64, String)]) -> Vec<u8> {
        file.iter().map(|(_, text)| format!("{text}\n")).collect::<String>().into_bytes()
    }

    /// What is passed on where it is the same run's log.
    fn taken(stamps: &mut Stamps, chunk: &[u8]) -> Vec<u8> {
        let mut out = stamps.take(chunk);
        if stamps.is_lost() {
            out.extend(stamps.give_up());
        }
        out
    }

    proptest! {
        #[test]
        fn a_log_that_breaks_off_again_and_again_is_passed_on_once(
            lines in prop::collection::vec(
                (prop_oneof![Just(0u32), Just(1), 1..2_000_000_000u32], "[ab ]{0,6}"), 0..30),
            breaks in prop::collection::vec(0..400usize, 0..6),
            size in 1..50usize,
        ) {
            let file = file(&lines);
            let mut stamps = Stamps::default();
            let mut out = Vec::new();
            let mut since = None;
            for length in breaks.into_iter().chain([usize::MAX]) {
                let bytes = sent(&file, since);
                for chunk in bytes[..length.min(bytes.len())].chunks(size) {
                    out.extend(taken(&mut stamps, chunk));
                }
                if length == usize::MAX {
                    out.extend(stamps.give_up());
                } else {
                    since = stamps.resume().unwrap();
                }
            }
            prop_assert_eq!(String::from_utf8(out).unwrap(), String::from_utf8(plain(&file)).unwrap());
        }

        #[test]
        fn times_are_taken_off_wherever_the_chunks_end(
            lines in prop::collection::vec((1..2_000_000_000u32, "\\PC{0,20}"), 0..20),
            size in 1..80usize,
        ) {
            let file = file(&lines);
            let mut stamps = Stamps::default();
            let out: Vec<u8> = sent(&file, None).chunks(size).flat_map(|c| stamps.take(c)).collect();
            prop_assert_eq!(out, plain(&file));
        }

        #[test]
        fn a_log_without_times_goes_through(text in "[a-z \n]{0,200}", size in 1..20usize) {
            let mut stamps = Stamps::default();
            let mut out: Vec<u8> = text.as_bytes().chunks(size).flat_map(|c| stamps.take(c)).collect();
            out.extend(stamps.rest());
            prop_assert_eq!(out, text.into_bytes());
        }
    }

    /// A pod chooses how long its lines are.
    #[test]
    fn no_more_than_a_little_is_held_back_of_a_line_without_end() {
        let mut stamps = Stamps::default();
        stamps.take(format!("{} first\n", stamp(1_000_000_000_000)).as_bytes());
        stamps.resume().unwrap();
        let mut out = stamps.take(format!("{} ", stamp(1_000_000_000_500)).as_bytes());
        let sizes: Vec<usize> = (0..100)
            .map(|_| {
                out.extend(taken(&mut stamps, &[b'x'; 64 << 10]));
                stamps.search.as_ref().map_or(0, |search| search.held.len())
            })
            .collect();
        assert!(sizes.iter().all(|held| *held <= HELD), "{sizes:?}");
        assert_eq!(out, vec![b'x'; 100 * (64 << 10)]);
    }

    /// After a rotation the kubelet has only the new file.
    #[test]
    fn a_last_line_that_was_rotated_away_loses_nothing_that_is_left() {
        let lines: Vec<_> = (0..6).map(|number| (700_000_000, format!("line {number}"))).collect();
        let file = file(&lines);
        let mut stamps = Stamps::default();
        let mut out = stamps.take(&sent(&file[..3], None));
        stamps.resume().unwrap();
        out.extend(stamps.take(&sent(&file[3..], None)));
        assert!(stamps.is_lost());
        out.extend(stamps.give_up());
        assert_eq!(out, plain(&file));
    }
}
