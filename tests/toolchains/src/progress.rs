//! What is said while something is built.

use std::io::{self, Write as _};
use std::thread;

/// Receives one short line for each step that takes time, such as "building kubernetes".
pub type Progress = fn(&str);

/// Writes the steps to stderr, past the capture of the test runner.
pub fn to_stderr(step: &str) {
    let _ = writeln!(io::stderr().lock(), "cluster: {step}");
}

/// Says nothing.
pub fn silent(_step: &str) {}

/// How long work of so many seconds on one core takes here, in words.
#[must_use]
pub fn estimate(core_seconds: u64) -> String {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    in_words(core_seconds, cores)
}

fn in_words(core_seconds: u64, cores: u64) -> String {
    let seconds = core_seconds.div_ceil(cores);
    let time = match seconds {
        0..10 => "a few seconds".to_owned(),
        10..90 => format!("about {} s", seconds.div_ceil(10) * 10),
        _ => format!("about {} min", (seconds + 30) / 60),
    };
    if cores == 1 { format!("{time} on an idle core") } else { format!("{time} on {cores} idle cores") }
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn an_estimate_is_as_exact_as_it_can_be() {
        assert_eq!(in_words(10, 2), "a few seconds on 2 idle cores");
        assert_eq!(in_words(75, 2), "about 40 s on 2 idle cores");
        assert_eq!(in_words(540, 2), "about 5 min on 2 idle cores");
        assert_eq!(in_words(540, 1), "about 9 min on an idle core");
    }
}
