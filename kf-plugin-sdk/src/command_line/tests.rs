use clap::{ArgAction, ArgMatches};
use proptest::prelude::*;

use super::*;

/// `tune NAME [FILE] [-e ENV…] [--engine ENGINE] [-v…] [-- COMMAND…]`
fn tree() -> Command {
    Command::new("tune").args([
        Arg::new("name"),
        Arg::new("file"),
        Arg::new("env").long("env").short('e').action(ArgAction::Append),
        Arg::new("engine").long("engine").allow_negative_numbers(true),
        Arg::new("verbose").long("verbose").short('v').action(ArgAction::Count),
        Arg::new("command").last(true).num_args(0..),
    ])
}

fn notebook() -> Command {
    let start = Command::new("start").args([Arg::new("name"), Arg::new("image").long("image")]);
    Command::new("notebook").subcommand(start)
}

fn typed(line: &str) -> CommandLine {
    CommandLine::new(line.split(' ').map(str::to_owned).collect(), tree())
}

#[test]
fn set_replaces_value_in_typed_form() {
    let set = |line: &str, flag: &str, value: &str| typed(line).set(flag, value).to_string();
    assert_eq!(set("tune lr --engine katib -v", "--engine", "trainer"), "kf tune lr --engine trainer -v");
    assert_eq!(set("tune --engine=katib lr", "--engine", "trainer"), "kf tune --engine=trainer lr");
    assert_eq!(set("tune lr -eA=1", "--env", "B=2"), "kf tune lr -eB=2");
    assert_eq!(set("tune lr -ve A=1", "-e", "B=2"), "kf tune lr -ve B=2");
    assert_eq!(set("tune lr -e A=1 --env B=2 -v", "--env", "C=3"), "kf tune lr -e C=3 -v");
    assert_eq!(set("tune lr --engine 1", "--engine", "-1"), "kf tune lr --engine=-1");
}

#[test]
fn new_flag_goes_before_escape() {
    let line = typed("tune lr -- python --engine x");
    assert_eq!(line.clone().with("--verbose").to_string(), "kf tune lr --verbose -- python --engine x");
    assert_eq!(line.set("--engine", "a b").to_string(), "kf tune lr --engine 'a b' -- python --engine x");
    assert_eq!(typed("tune lr -v").with("--verbose").to_string(), "kf tune lr -v");
    assert_eq!(typed("tune").with("lr").to_string(), "kf tune lr");
}

#[test]
fn without_removes_every_occurrence() {
    let line = typed("tune lr -vve A=1 --verbose --env=B=2 --dry-run -- sh -v");
    assert_eq!(line.clone().without("-v").to_string(), "kf tune lr -e A=1 --env=B=2 --dry-run -- sh -v");
    assert_eq!(line.clone().without("--env").to_string(), "kf tune lr -vv --verbose --dry-run -- sh -v");
    assert_eq!(
        line.clone().without("--dry-run").to_string(),
        "kf tune lr -vve A=1 --verbose --env=B=2 -- sh -v"
    );
    assert_eq!(line.without("lr").to_string(), "kf tune -vve A=1 --verbose --env=B=2 --dry-run -- sh -v");
}

#[test]
fn flags_of_kf_keep_their_place() {
    let line = typed("-n team-a --context prod tune lr --request-timeout 5s");
    assert_eq!(
        line.clone().replace("lr", "lr-2").to_string(),
        "kf -n team-a --context prod tune lr-2 --request-timeout 5s"
    );
    assert_eq!(
        line.set("--namespace", "team-b").to_string(),
        "kf -n team-b --context prod tune lr --request-timeout 5s"
    );
    assert_eq!(typed("tune lr job.yaml").set("-n", "team-b").to_string(), "kf -n team-b tune lr job.yaml");
}

#[test]
fn subcommand_is_not_replaced_as_argument() {
    let words = ["-n", "team-a", "notebook", "start", "start", "--image", "a:1"];
    let line = CommandLine::new(words.map(str::to_owned).to_vec(), notebook());
    assert_eq!(
        line.clone().replace("start", "notebook/start").to_string(),
        "kf -n team-a notebook start notebook/start --image a:1"
    );
    assert_eq!(line.without("--image").to_string(), "kf -n team-a notebook start start");
}

#[test]
fn other_command_gets_flags_of_cluster_and_namespace() {
    let line = typed("-n team-a tune lr --kubeconfig=my.yaml --color never --dry-run -vv");
    assert_eq!(
        line.retarget("kf status trainjob/lr"),
        "kf -n team-a --kubeconfig=my.yaml status trainjob/lr"
    );
    assert_eq!(line.retarget("kf -n team-b status"), "kf --kubeconfig=my.yaml -n team-b status");
    let again = line.clone().with("--engine").to_string();
    assert_eq!(line.retarget(&again), again);
    for text in ["ask an admin", "kf command upgrade tune"] {
        assert_eq!(line.retarget(text), text);
    }
    assert_eq!(typed("tune lr -vn team-a").retarget("kf status"), "kf -n team-a status");
    assert_eq!(typed("tune lr -- x -n y").retarget("kf status"), "kf status");
}

/// Parses the command as kf does.
fn parsed(words: &[String]) -> ArgMatches {
    let kf = Command::new("kf")
        .arg(Arg::new("namespace").long("namespace").short('n').global(true))
        .arg(Arg::new("dry-run").long("dry-run").global(true).action(ArgAction::SetTrue))
        .subcommand(tree());
    let words = std::iter::once("kf").chain(words.iter().map(String::as_str));
    kf.try_get_matches_from(words).unwrap().remove_subcommand().unwrap().1
}

/// Returns the parsed values of each argument.
fn read(words: &[String]) -> Vec<(&'static str, Vec<String>)> {
    let matches = parsed(words);
    let ids = ["namespace", "name", "file", "env", "engine", "command"];
    let values = |id| matches.get_many(id).into_iter().flatten().cloned().collect();
    let counted = ("verbose", vec![matches.get_count("verbose").to_string()]);
    let dry_run = ("dry-run", vec![matches.get_flag("dry-run").to_string()]);
    ids.into_iter().map(|id| (id, values(id))).chain([counted, dry_run]).collect()
}

fn expect(words: &[String], id: &str, value: &[&str]) -> Vec<(&'static str, Vec<String>)> {
    let mut expected = read(words);
    let place = expected.iter_mut().find(|(known, _)| *known == id).unwrap();
    place.1 = value.iter().map(|word| (*word).to_owned()).collect();
    expected
}

/// A flag with a value, in one of its equivalent forms.
fn option(
    long: &'static str,
    short: Option<&'static str>,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = Vec<String>> {
    (value, 0..6).prop_map(move |(value, form)| match (form, short) {
        (0, Some(short)) if !value.starts_with('-') => vec![short.to_owned(), value],
        (1, Some(short)) if !value.is_empty() && !value.starts_with('=') => {
            vec![format!("{short}{value}")]
        }
        (2, Some(short)) => vec![format!("{short}={value}")],
        (3, Some(short)) if !value.starts_with('-') => vec![short.replace('-', "-v"), value],
        (4, _) if !value.starts_with('-') => vec![long.to_owned(), value],
        _ => vec![format!("{long}={value}")],
    })
}

fn some(strategy: impl Strategy<Value = Vec<String>>) -> impl Strategy<Value = Vec<String>> {
    prop_oneof![Just(Vec::new()), strategy]
}

fn typed_words() -> impl Strategy<Value = Vec<String>> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let namespace = || option("--namespace", Some("-n"), "[a-z]{1,5}");
    let before = some(option("--namespace", None, "[a-z]{1,5}"));
    let parts = (
        some(namespace()),
        some(Just(words(&["--dry-run"]))),
        some(option("--engine", None, "\\PC{0,5}")),
        prop::collection::vec(option("--env", Some("-e"), "\\PC{0,5}"), 0..4),
        prop::collection::vec(Just(words(&["-v"])), 0..3),
        prop::collection::vec("[a-z]{1,5}".prop_map(|word| vec![word]), 1..3),
    );
    let parts = parts.prop_map(|(namespace, dry_run, engine, env, verbose, arguments)| {
        [vec![namespace, dry_run, engine], env, verbose, arguments].concat()
    });
    let last = some(prop::collection::vec("\\PC{0,5}", 1..4));
    (before, parts.prop_shuffle(), last).prop_map(move |(before, parts, last)| {
        let escape = if last.is_empty() { Vec::new() } else { words(&["--"]) };
        [before, words(&["tune"]), parts.concat(), escape, last].concat()
    })
}

proptest! {
    #[test]
    fn words_round_trip(words in prop::collection::vec("(-|--|)\\PC{0,8}", 0..8)) {
        prop_assert_eq!(CommandLine::new(words.clone(), tree()).words(), words);
    }

    #[test]
    fn shell_parses_displayed_line_to_typed_words(words in prop::collection::vec("(?s).{0,8}", 0..6)) {
        let words: Vec<_> = words.into_iter().map(|word| word.replace('\0', "")).collect();
        let mut read = shlex::split(&CommandLine::new(words.clone(), tree()).to_string()).unwrap();
        prop_assert_eq!(read.remove(0), "kf");
        prop_assert_eq!(read, words);
    }

    #[test]
    fn set_changes_one_value_and_no_other_word(words in typed_words(), value in "\\PC{0,5}") {
        let line = CommandLine::new(words.clone(), tree());
        for (flag, id) in [("--engine", "engine"), ("--env", "env"), ("-e", "env"), ("-n", "namespace")] {
            let set = line.clone().set(flag, &value);
            prop_assert_eq!(read(&set.words()), expect(&words, id, &[&value]), "{} {:?}", flag, set);
            prop_assert_eq!(set.without(flag).words(), line.clone().without(flag).words());
        }
    }

    #[test]
    fn without_removes_one_flag_and_no_other_word(words in typed_words()) {
        let line = CommandLine::new(words.clone(), tree());
        for (flag, id, absent) in [
            ("--engine", "engine", &[][..]),
            ("-e", "env", &[]),
            ("--namespace", "namespace", &[]),
            ("--verbose", "verbose", &["0"]),
            ("--dry-run", "dry-run", &["false"]),
        ] {
            let without = line.clone().without(flag);
            prop_assert_eq!(read(&without.words()), expect(&words, id, absent), "{} {:?}", flag, without);
            if read(&words) == expect(&words, id, absent) {
                prop_assert_eq!(without.words(), words.clone());
            }
        }
    }

    #[test]
    fn with_adds_one_flag_and_no_other_word(words in typed_words()) {
        let with = CommandLine::new(words.clone(), tree()).with("--dry-run");
        prop_assert_eq!(read(&with.words()), expect(&words, "dry-run", &["true"]));
        prop_assert_eq!(with.words().len() <= words.len() + 1, true);
    }

    #[test]
    fn replace_changes_one_argument(words in typed_words(), argument in "[a-z/]{1,9}") {
        let name = expect(&words, "name", &[]);
        let typed = parsed(&words).get_one::<String>("name").unwrap().clone();
        let replaced = CommandLine::new(words.clone(), tree()).replace(&typed, &argument).words();
        prop_assert_eq!(read(&replaced), expect(&words, "name", &[&argument]));
        prop_assert_eq!(expect(&replaced, "name", &[]), name);
        let changed = words.iter().zip(&replaced).filter(|(before, after)| before != after).count();
        prop_assert!(changed <= 1 && words.len() == replaced.len());
    }

    #[test]
    fn with_last_replaces_only_words_after_escape(words in typed_words(), last in prop::collection::vec("\\PC{0,5}", 1..4)) {
        let last: Vec<_> = last.iter().map(String::as_str).collect();
        let line = CommandLine::new(words.clone(), tree()).with_last(&last);
        prop_assert_eq!(read(&line.words()), expect(&words, "command", &last));
    }
}
