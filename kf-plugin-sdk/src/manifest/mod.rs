//! Objects that a person wrote: in a file, by flags, or both.
//!
//! [`ManifestKind`] reads the object of one kind out of a file and refuses all else, [`Assignment`]
//! is a flag such as `--set spec.x=4`, [`plain_refusal`] turns what a webhook or schema says about the
//! result into one line.

mod assignment;
mod file;
mod refusal;

pub use assignment::{Assignment, Variable, set_variable};
pub use file::ManifestKind;
pub use refusal::plain_refusal;

/// A word as a shell takes it, for hints that repeat a command line.
pub fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@%+".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
