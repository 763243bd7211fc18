//! Phrases that kf does not use, and what to write instead. The reasons are in the section Voice of CONTRIBUTING.md.
//!
//! A phrase matches whole words in prose, in lower case or at the start of a sentence, also across the lines of a
//! comment. It does not match a value such as the user name `nobody` or the variant `User::NoRights`.

use std::process::Command;

use kf_toolchains::{command, locations};

use crate::report;
use crate::step::{Context as _, Failure, Result};

/// Phrases with their replacements. One that ends with `_` matches the start of a name.
const PHRASES: [(&str, &str); 26] = [
    ("anew", "again"),
    ("nobody", "no one, no user, or what is missing"),
    ("somebody", "someone, another user"),
    ("anybody", "anyone, any user"),
    ("whoever", "anyone who, the user who"),
    ("goes on", "continues, resumes, keeps"),
    ("unless told", "by default, [default: …]"),
    ("told otherwise", "by default, [default: …]"),
    ("so many", "up to, this many"),
    ("in vain", "without effect, without changes"),
    ("for you may not", "no permission to …"),
    ("left out", "skipped, omitted"),
    ("more it can do without", "… optional"),
    ("you said no", "cancelled"),
    ("so the answer is no", "refusing … without confirmation"),
    ("can be asked whether", "not a terminal"),
    ("is no name of", "invalid … name"),
    ("is no port", "invalid port"),
    ("latest last", "newest last"),
    ("lest", "so that … not"),
    ("MOST_", "MAX_…, with the unit"),
    ("LONGEST", "MAX_LEN, MAX_…_BYTES"),
    ("LONGEST_", "MAX_…_LEN, MAX_…_BYTES"),
    ("fn a_", "a name without an article"),
    ("fn an_", "a name without an article"),
    ("fn the_", "a name without an article"),
];

const EXTENSIONS: [&str; 7] = ["md", "py", "rs", "sh", "snap", "toml", "wit"];

/// Generated and third-party files, and this list itself.
const EXEMPT: [&str; 3] =
    ["kf-host/cluster/jsonpath/", "kf-plugin-sdk/src/bindings.rs", "tests/xtask/src/voice.rs"];

/// Checks every file that git tracks.
pub fn run() -> Result<()> {
    let mut git = Command::new("git");
    git.current_dir(locations::workspace()).args(["ls-files", "-z"]);
    let listed = command::output(&mut git).context("cannot list the files that git tracks")?;
    let mut count = 0;
    for path in listed.split('\0').filter(|path| is_checked(path)) {
        let text =
            fs_err::read_to_string(locations::workspace().join(path)).context("cannot check the voice")?;
        let text = if path == "CONTRIBUTING.md" { without_section(&text, "## Voice") } else { text };
        for Found { line, phrase, instead } in find(&text) {
            report::line(&format!("{path}:{line}: `{phrase}`: use {instead}"));
            count += 1;
        }
    }
    match count {
        0 => Ok(()),
        _ => Err(Failure(format!("{count} phrases to replace; see the section Voice of CONTRIBUTING.md"))),
    }
}

fn is_checked(path: &str) -> bool {
    let has_extension = path.rsplit_once('.').is_some_and(|(_, extension)| EXTENSIONS.contains(&extension));
    has_extension && !EXEMPT.iter().any(|exempt| path.starts_with(exempt))
}

/// The text with the lines of a section emptied, up to the next second-level heading.
fn without_section(text: &str, heading: &str) -> String {
    let mut is_inside = false;
    let lines = text.lines().map(|line| {
        if line.starts_with("## ") {
            is_inside = line == heading;
        }
        if is_inside { "\n".to_owned() } else { format!("{line}\n") }
    });
    lines.collect()
}

#[derive(Debug, PartialEq, Eq)]
struct Found {
    line: usize,
    phrase: &'static str,
    instead: &'static str,
}

/// All phrases in a text, in the order of lines.
fn find(text: &str) -> Vec<Found> {
    let text = without_markers(text);
    let flat = text.replace('\n', " ").to_ascii_lowercase();
    let mut found = Vec::new();
    for (phrase, instead) in PHRASES {
        for (at, _) in flat.match_indices(&phrase.to_ascii_lowercase()) {
            let (Some(before), Some(rest)) = (text.get(..at), text.get(at..)) else { continue };
            if is_phrase(before, rest, phrase) {
                found.push(Found { line: before.matches('\n').count() + 1, phrase, instead });
            }
        }
    }
    found.sort_by_key(|found| found.line);
    found
}

/// The lines without indentation and comment markers, so that phrases across lines are found.
fn without_markers(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.trim();
        let markers = ["//!", "///", "//", "#"];
        markers.iter().find_map(|marker| line.strip_prefix(marker)).unwrap_or(line).trim_start()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether `rest` begins with the phrase as whole words in prose. It is known to begin with it in some letter case.
fn is_phrase(before: &str, rest: &str, phrase: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (Some(here), Some(after)) = (rest.get(..phrase.len()), rest.get(phrase.len()..)) else {
        return false;
    };
    let here = here.replace('\n', " ");
    let is_whole = !before.ends_with(is_word) && (phrase.ends_with('_') || !after.starts_with(is_word));
    if here == phrase {
        return is_whole && !is_value(before, after, phrase);
    }
    let is_sentence = after.starts_with([' ', '\n'])
        && after.trim_start().starts_with(|c: char| c.is_ascii_lowercase())
        && !before.ends_with(':');
    is_whole && is_sentence && here.get(1..) == phrase.get(1..)
}

/// Whether a word is a value or part of a name: quoted, joined to another word, or the value of a YAML key.
fn is_value(before: &str, after: &str, phrase: &str) -> bool {
    const QUOTES: [char; 3] = ['"', '\'', '`'];
    let is_joined =
        before.ends_with(['-', '/', '@', '=', '.', ':']) || after.starts_with(['-', '/', '@', '=']);
    let is_quoted = before.ends_with(QUOTES) && after.starts_with(QUOTES);
    let is_of_key = before.ends_with(": ") && !after.starts_with(' ');
    phrase.bytes().all(|byte| byte.is_ascii_lowercase()) && (is_joined || is_quoted || is_of_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phrases(text: &str) -> Vec<&'static str> {
        find(text).into_iter().map(|found| found.phrase).collect()
    }

    #[test]
    fn phrases_in_prose_are_found() {
        for (text, phrase) in [
            ("// It is made anew.", "anew"),
            ("nobody can be asked", "nobody"),
            ("    \"error: nobody can read it\"", "nobody"),
            ("It is told to nobody.", "nobody"),
            ("/// Whoever adds a command", "whoever"),
            ("Nobody\n/// listens", "nobody"),
            ("12 unless told", "unless told"),
            ("/// after so\n    /// many retries", "so many"),
            ("`x` is no name of an object", "is no name of"),
            ("0 is no port of a pod", "is no port"),
            ("const MOST_BODY: usize = 1;", "MOST_"),
            ("const LONGEST: usize = 1;", "LONGEST"),
            ("fn the_grant_decides() {", "fn the_"),
        ] {
            assert!(phrases(text).contains(&phrase), "{text}");
        }
    }

    #[test]
    fn values_and_other_words_are_not_found() {
        for text in [
            "User::NoRights => \"nils\",",
            "[User::NoRights, User::Viewer]",
            "    Nobody,",
            "spec: {schedulerName: nobody, containers: []}",
            "  schedulerName: nobody\n  containers: []",
            "json!({ \"token\": \"nobody-issued-this\" })",
            "\"user/nobody\\n\"",
            "unwrap_or(\"nobody\")",
            "renewed, almost, unless it is told",
            "ALMOST_ALL, UTMOST_, LONGESTS",
            "fn after_the_fact() {",
        ] {
            assert_eq!(phrases(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn lines_are_counted_from_one() {
        let found = find("fn x() {}\n\n    // is closed and\n    // goes on\n");
        assert_eq!(found, [Found { line: 4, phrase: "goes on", instead: "continues, resumes, keeps" }]);
    }

    #[test]
    fn generated_and_third_party_files_are_not_checked() {
        assert!(is_checked("README.md") && is_checked("tests/it/reference.snap"));
        for path in
            ["Cargo.lock", "LICENSE", "kf-plugin-sdk/src/bindings.rs", "kf-host/cluster/jsonpath/src/lib.rs"]
        {
            assert!(!is_checked(path), "{path}");
        }
    }

    #[test]
    fn section_is_emptied_up_to_next_heading() {
        let text = "# T\n## Voice\nanew\n### Glossary\nanew\n## Commits\nanew\n";
        assert_eq!(without_section(text, "## Voice"), "# T\n\n\n\n\n## Commits\nanew\n");
    }
}
