//! Converts clap's matches back to arguments for the guest.
//!
//! kf's own flags may be anywhere on a command's line. They are not cut out of the raw line: the
//! arguments are generated from the parsed matches as subcommands, flags and options as
//! `--name=value`, positional arguments, and the arguments after `--`. Only values from the user
//! or from a declared variable are passed; the guest applies its own defaults.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ArgMatches;
use clap::parser::ValueSource;
use kf_command::reserved::VARIABLE_PREFIX;
use kf_core::tree::{Argument, ArgumentKind, CommandTree, ValueType};
use kf_sandbox::{FileGrant, FileReach};

use super::clap_tree::clap_id;

/// The guest's arguments, and the files that they name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct GuestWords {
    pub words: Vec<String>,
    /// The values of arguments declared as files. Each grants read access to that file.
    pub files: Vec<String>,
    /// The values of arguments declared as directories. Each grants read access to the files below it.
    pub directories: Vec<String>,
}

impl GuestWords {
    /// The grants to read the named files and directories.
    pub fn file_grants(&self) -> Vec<FileGrant> {
        let grants = |named: &[String], reach| -> Vec<FileGrant> {
            let grant = |argument: &String| FileGrant {
                argument: argument.clone(),
                path: PathBuf::from(argument),
                reach,
            };
            named.iter().map(grant).collect()
        };
        let mut all = grants(&self.files, FileReach::File);
        all.extend(grants(&self.directories, FileReach::Below));
        all
    }
}

/// The guest's arguments. `lookup` reads the environment; it is called only for variables that begin with
/// `KF_`, so that no command tree can read a secret from the user's shell.
pub fn guest_words(
    tree: &CommandTree,
    matches: &ArgMatches,
    lookup: impl Fn(&str) -> Option<String>,
) -> GuestWords {
    let mut guest = GuestWords::default();
    let mut path: Vec<String> = Vec::new();
    let mut matches = matches;
    loop {
        let mut positions = Vec::new();
        let mut last = Vec::new();
        let node = tree.commands.iter().find(|node| node.path == path);
        for argument in node.iter().flat_map(|node| &node.arguments) {
            let values = values(argument, matches, &lookup);
            match argument.value_type {
                ValueType::Directory => guest.directories.extend(values.iter().cloned()),
                value_type => {
                    guest.files.extend(values.iter().filter(|value| value_type.is_file(value)).cloned());
                }
            }
            match argument.kind {
                ArgumentKind::Positional if argument.last => last.extend(values),
                ArgumentKind::Positional => positions.extend(values),
                ArgumentKind::Option => {
                    guest.words.extend(values.iter().map(|value| option_word(argument, value)));
                }
                ArgumentKind::Flag | ArgumentKind::Count => guest.words.extend(values),
            }
        }
        if let Some((word, below)) = matches.subcommand() {
            guest.words.push(word.to_owned());
            path.push(word.to_owned());
            matches = below;
            continue;
        }
        if last.is_empty() && positions.iter().any(|word| word.starts_with('-') && word.len() > 1) {
            guest.words.push("--".to_owned());
        }
        guest.words.append(&mut positions);
        if !last.is_empty() {
            guest.words.push("--".to_owned());
            guest.words.append(&mut last);
        }
        return guest;
    }
}

/// The words after `kf`, as shown to the command. `--explain` is omitted, so that a command cannot behave
/// differently while its requests are shown.
pub fn guest_command_line(typed: &[OsString]) -> Vec<String> {
    let escape = typed.iter().position(|word| word == "--").unwrap_or(typed.len());
    let own = typed.iter().enumerate().filter(|(place, word)| *place > escape || *word != "--explain");
    own.map(|(_, word)| word.to_string_lossy().into_owned()).collect()
}

/// The arguments of a completion request: those of a run, and last the typed prefix of the argument's
/// value, after its flag if it has one.
pub fn completion_words(
    tree: &CommandTree,
    matches: &ArgMatches,
    lookup: impl Fn(&str) -> Option<String>,
    argument: &Argument,
    typed: &str,
) -> Vec<String> {
    let mut words = guest_words(tree, matches, lookup).words;
    let is_option = argument.kind == ArgumentKind::Option;
    let word = if is_option { option_word(argument, typed) } else { typed.to_owned() };
    if let Some(place) = words.iter().rposition(|other| *other == word) {
        words.remove(place);
    }
    words.extend(flag_word(argument).filter(|_| is_option));
    words.push(typed.to_owned());
    words
}

fn option_word(argument: &Argument, value: &str) -> String {
    match (&argument.long, argument.short) {
        (Some(long), _) => format!("--{long}={value}"),
        (None, Some(short)) => format!("-{short}{value}"),
        (None, None) => value.to_owned(),
    }
}

fn flag_word(argument: &Argument) -> Option<String> {
    match (&argument.long, argument.short) {
        (Some(long), _) => Some(format!("--{long}")),
        (None, Some(short)) => Some(format!("-{short}")),
        (None, None) => None,
    }
}

fn values(
    argument: &Argument,
    matches: &ArgMatches,
    lookup: &impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    let id = clap_id(argument);
    if matches.value_source(&id) != Some(ValueSource::CommandLine) {
        return from_environment(argument, lookup);
    }
    match argument.kind {
        ArgumentKind::Flag => flag_word(argument).into_iter().collect(),
        ArgumentKind::Count => {
            let times = usize::from(matches.get_count(&id));
            flag_word(argument).map(|word| vec![word; times]).unwrap_or_default()
        }
        ArgumentKind::Option | ArgumentKind::Positional => {
            matches.get_many::<String>(&id).map(|values| values.cloned().collect()).unwrap_or_default()
        }
    }
}

fn from_environment(argument: &Argument, lookup: &impl Fn(&str) -> Option<String>) -> Vec<String> {
    let Some(name) = argument.env.as_deref().filter(|name| name.starts_with(VARIABLE_PREFIX)) else {
        return Vec::new();
    };
    // A path grants read access, so it must be typed by the user.
    match (argument.kind, argument.value_type) {
        (_, ValueType::File | ValueType::Directory | ValueType::NameOrFile) => Vec::new(),
        (ArgumentKind::Option, _) => lookup(name).into_iter().collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::added::clap_tree::{Frame, build};

    /// `run NAME [FILE] [-o…] [-- COMMAND…]`, with one argument of each kind.
    fn tree() -> CommandTree {
        let json = serde_json::json!({"format": 1, "commands": [{
        "path": [], "about": "Train", "arguments": [
            {"id": "name", "kind": "positional", "required": true},
            {"id": "file", "kind": "positional", "value_type": "file"},
            {"id": "command", "kind": "positional", "repeated": true, "last": true},
            {"id": "env", "kind": "option", "long": "env", "short": "e", "repeated": true},
            {"id": "nodes", "kind": "option", "long": "nodes", "value_type": "integer", "env": "KF_NODES"},
            {"id": "secret", "kind": "option", "long": "secret", "env": "AWS_SECRET_ACCESS_KEY"},
            {"id": "quick", "kind": "option", "short": "q", "default": "yes"},
            {"id": "dir", "kind": "option", "long": "from-dir", "value_type": "directory", "env": "KF_HOME"},
            {"id": "wait", "kind": "flag", "long": "wait"},
            {"id": "loud", "kind": "count", "short": "l"},
        ]}]});
        CommandTree::from_value(&json).unwrap()
    }

    fn parsed(words: &[&str]) -> ArgMatches {
        let frame = Frame { name: "train", footer: String::new() };
        build(&frame, &tree()).try_get_matches_from(["train"].iter().chain(words)).unwrap()
    }

    fn words(line: &[&str]) -> Vec<String> {
        guest_words(&tree(), &parsed(line), |_| None).words
    }

    #[test]
    fn guest_command_line_omits_only_explain() {
        let line = |text: &str| {
            let typed: Vec<_> = text.split(' ').map(OsString::from).collect();
            guest_command_line(&typed).join(" ")
        };
        assert_eq!(
            line("-n team-a train mnist --kubeconfig k.yaml --dry-run --wait"),
            "-n team-a train mnist --kubeconfig k.yaml --dry-run --wait"
        );
        assert_eq!(line("train --explain mnist -- python --explain"), "train mnist -- python --explain");
    }

    #[test]
    fn kf_flags_are_not_passed_to_guest() {
        assert_eq!(words(&["--dry-run", "mnist", "--explain", "--wait"]), ["--wait", "mnist"]);
    }

    #[test]
    fn words_after_double_dash_stay_after_it() {
        assert_eq!(
            words(&["mnist", "--nodes", "2", "--", "python", "--wait", "-x"]),
            ["--nodes=2", "mnist", "--", "python", "--wait", "-x"]
        );
    }

    #[test]
    fn default_values_are_not_passed() {
        assert_eq!(words(&["mnist"]), ["mnist"]);
        assert_eq!(words(&["mnist", "-q", "no", "-ll"]), ["-qno", "-l", "-l", "mnist"]);
    }

    #[test]
    fn only_declared_kf_variables_are_read() {
        let asked = std::cell::RefCell::new(Vec::new());
        let lookup = |name: &str| {
            asked.borrow_mut().push(name.to_owned());
            Some("4".to_owned())
        };
        let guest = guest_words(&tree(), &parsed(&["mnist"]), lookup);
        assert_eq!(guest.words, ["--nodes=4", "mnist"]);
        assert_eq!(*asked.borrow(), ["KF_NODES"]);
        let guest = guest_words(&tree(), &parsed(&["mnist", "--nodes", "2"]), lookup);
        assert_eq!(guest.words, ["--nodes=2", "mnist"]);
    }

    #[test]
    fn completion_words_end_with_typed_prefix() {
        let tree = tree();
        let unfinished = |line: &[&str], id: &str, typed: &str| {
            let argument = tree.commands[0].arguments.iter().find(|argument| argument.id == id).unwrap();
            completion_words(&tree, &parsed(line), |_| None, argument, typed)
        };
        assert_eq!(unfinished(&["mn", "--env", "a=b"], "name", "mn"), ["--env=a=b", "mn"]);
        assert_eq!(
            unfinished(&["mnist", "--nodes", "2", "-e", ""], "env", ""),
            ["--nodes=2", "mnist", "--env", ""]
        );
        assert_eq!(unfinished(&["mnist", "-qm"], "quick", "m"), ["mnist", "-q", "m"]);
        assert_eq!(unfinished(&["", "--wait"], "name", ""), ["--wait", ""]);
    }

    #[test]
    fn name_or_file_is_granted_only_with_manifest_extension() {
        let argument = serde_json::json!({"id": "name", "kind": "positional", "value_type": "name_or_file"});
        let tree = serde_json::json!({"format": 1, "commands": [
            {"path": [], "about": "Train", "arguments": [argument]},
        ]});
        let tree = CommandTree::from_value(&tree).unwrap();
        let guest = |word: &str| {
            let frame = Frame { name: "train", footer: String::new() };
            guest_words(&tree, &build(&frame, &tree).get_matches_from(["train", word]), |_| None)
        };
        assert_eq!(guest("mnist.yaml").files, ["mnist.yaml"]);
        assert_eq!(guest("-").files, ["-"]);
        for name in ["mnist", "/etc/shadow", "id_rsa", "a.yaml/../b"] {
            assert!(guest(name).files.is_empty(), "{name}");
            assert_eq!(guest(name).words, [name]);
        }
    }

    #[test]
    fn only_typed_paths_are_granted() {
        let guest = |line: &[&str]| guest_words(&tree(), &parsed(line), |_| None);
        assert_eq!(guest(&["mnist", "a.yaml"]).files, ["a.yaml"]);
        assert!(guest(&["mnist"]).files.is_empty());
        let with_directory = guest(&["mnist", "--from-dir", "src"]);
        assert_eq!(with_directory.directories, ["src"]);
        assert!(with_directory.files.is_empty(), "a directory is not granted as a file");
        assert!(guest(&["mnist", "src"]).directories.is_empty());
        let lookup = |_: &str| Some("/home/alice".to_owned());
        assert!(guest_words(&tree(), &parsed(&["mnist"]), lookup).directories.is_empty());
    }

    proptest! {
        #[test]
        fn guest_words_parse_to_same_values(
            name in "[a-z][a-z0-9-]{0,8}",
            values in prop::collection::vec("\\PC{0,12}", 0..4),
            command in prop::collection::vec("\\PC{1,12}", 0..4),
        ) {
            let mut line = vec![name.clone()];
            line.extend(values.iter().map(|value| format!("--env={value}")));
            if !command.is_empty() {
                line.push("--".to_owned());
                line.extend(command.iter().cloned());
            }
            let line: Vec<&str> = line.iter().map(String::as_str).collect();
            let again = words(&line);
            let again: Vec<&str> = again.iter().map(String::as_str).collect();
            let (first, second) = (parsed(&line), parsed(&again));
            for id in ["arg:name", "arg:env", "arg:command"] {
                let read = |matches: &ArgMatches| {
                    matches.get_many::<String>(id).map(|all| all.cloned().collect::<Vec<_>>())
                };
                prop_assert_eq!(read(&first), read(&second), "{}", id);
            }
        }
    }
}
