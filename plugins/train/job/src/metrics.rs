//! Metrics in a log, as Katib's collector reads them: `name=value`, several a line.
//!
//! A name consists of letters, digits, `_`, `-` and `|`; spaces around the `=` are allowed; a value is a decimal
//! number with an optional sign, fraction and exponent. Text after the number is ignored: `loss=0.5s` is 0.5.

use std::collections::BTreeMap;

/// The values of a metric over a whole log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observed {
    pub latest: f64,
    pub min: f64,
    pub max: f64,
}

impl Observed {
    fn first(value: f64) -> Self {
        Self { latest: value, min: value, max: value }
    }

    fn add(&mut self, value: f64) {
        self.latest = value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }
}

/// Reads metrics from a log as its bytes arrive.
#[derive(Clone, Debug, Default)]
pub struct Collector {
    found: BTreeMap<String, Observed>,
    rest: Vec<u8>,
}

/// A log with a new name in every line is not a log of metrics.
const MAX_NAMES: usize = 100;
/// The rest of a longer line is ignored.
const MAX_LINE_BYTES: usize = 64 << 10;

impl Collector {
    /// Adds the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = MAX_LINE_BYTES.saturating_sub(self.rest.len());
            self.rest.extend(piece.iter().take(room));
            if piece.ends_with(b"\n") {
                self.take_line();
            }
        }
    }

    /// All metrics by name.
    pub fn finish(mut self) -> BTreeMap<String, Observed> {
        self.take_line();
        self.found
    }

    fn take_line(&mut self) {
        let line = std::mem::take(&mut self.rest);
        for (name, value) in in_line(&String::from_utf8_lossy(&line)) {
            if let Some(observed) = self.found.get_mut(name) {
                observed.add(value);
            } else if self.found.len() < MAX_NAMES {
                self.found.insert(name.to_owned(), Observed::first(value));
            }
        }
    }
}

/// The metrics of one line, in order.
pub fn in_line(line: &str) -> Vec<(&str, f64)> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('=') {
        let name = name_at_end(before.trim_end());
        let after = after.trim_start();
        let number = number_at_start(after);
        if !name.is_empty()
            && let Ok(value) = number.parse::<f64>()
        {
            found.push((name, value));
        }
        rest = after.strip_prefix(number).unwrap_or(after);
    }
    found
}

fn name_at_end(text: &str) -> &str {
    let named = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '|');
    let start = text.char_indices().rev().take_while(|(_, letter)| named(*letter)).last();
    start.and_then(|(position, _)| text.get(position..)).unwrap_or_default()
}

/// The longest prefix that is a decimal number.
fn number_at_start(text: &str) -> &str {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let is = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|byte| wanted.contains(byte));
    let mut end = usize::from(is(0, b"+-"));
    end += digits(end);
    if is(end, b".") && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    }
    if is(end, b"eE") {
        let sign = usize::from(is(end + 1, b"+-"));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_katib_reads_them() {
        let cases: [(&str, &[(&str, f64)]); 12] = [
            ("epoch=3 loss=0.25", &[("epoch", 3.0), ("loss", 0.25)]),
            ("loss = -7.53e-05, acc= .98", &[("loss", -7.53e-5), ("acc", 0.98)]),
            ("Score=1E0 val-f1|macro=+2", &[("Score", 1.0), ("val-f1|macro", 2.0)]),
            ("2026-01-01T00:00:00Z loss=1.5s", &[("loss", 1.5)]),
            ("loss=", &[]),
            ("loss=nan x=inf", &[]),
            ("=5", &[]),
            ("a=b=4", &[("b", 4.0)]),
            ("{\"loss\"=3}", &[]),
            ("acc=1. next", &[("acc", 1.0)]),
            ("no metric here", &[]),
            ("größe=2", &[("e", 2.0)]),
        ];
        for (line, expected) in cases {
            assert_eq!(in_line(line), expected, "{line}");
        }
    }

    #[test]
    fn lines_split_between_chunks_are_joined() {
        let mut collector = Collector::default();
        for piece in ["epoch=1 lo", "ss=0.5\nloss=0.", "2\nloss=0.3"] {
            collector.push(piece.as_bytes());
        }
        let found = collector.finish();
        assert_eq!(found["loss"], Observed { latest: 0.3, min: 0.2, max: 0.5 });
        assert_eq!(found["epoch"], Observed { latest: 1.0, min: 1.0, max: 1.0 });
    }

    #[test]
    fn long_lines_and_many_names_are_capped() {
        let mut collector = Collector::default();
        collector.push("x".repeat(MAX_LINE_BYTES * 2).as_bytes());
        assert_eq!(collector.rest.len(), MAX_LINE_BYTES);
        collector.push(b"\n");
        for number in 0..1000 {
            collector.push(format!("name{number}=1\n").as_bytes());
        }
        assert_eq!(collector.finish().len(), MAX_NAMES);
    }
}
