//! Offers completion candidates that the shell would act on.

#![cfg(target_arch = "wasm32")]

use kf_attacks::{Answer, Candidate, CompletionRequest, attack};

attack!(run, complete = complete);

/// The last is harmless.
const WORDS: [&str; 9] = [
    "$(reboot)",
    "x; reboot",
    "x\nreboot",
    "x\u{b}reboot",
    "\u{1b}[2Jx",
    "--yes",
    "-rf",
    "x\u{202e}txt.exe",
    "xylophone",
];

fn run(_: Vec<String>) -> Answer {
    Ok(0)
}

fn complete(_: CompletionRequest) -> Vec<Candidate> {
    let candidate = |word: &&str| Candidate {
        value: (*word).to_owned(),
        help: Some("\u{1b}]0;root#\u{7}help".to_owned()),
    };
    WORDS.iter().map(candidate).collect()
}
