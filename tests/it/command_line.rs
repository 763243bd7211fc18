//! Help, completion and mistakes: all from receipts, no guest is started.

use crate::common::{Home, output_of};
use crate::kf_snapshot;

/// Commands whose component and machine code are gone: whoever starts one fails.
fn home_without_components(names: &[&str]) -> Home {
    let home = Home::with_commands(names);
    fs_err::remove_dir_all(home.path().join(".local/share/kf/store")).unwrap();
    fs_err::remove_dir_all(home.path().join(".local/share/kf/compiled")).unwrap();
    home
}

#[test]
fn the_list_of_commands_has_the_added_ones() {
    let home = home_without_components(&["hello", "train"]);
    let help = home.run(["--help"]).success().stdout;
    for name in ["command", "registry", "completion", "hello", "train"] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(name)), "{name} is not in\n{help}");
    }
}

#[test]
fn help_of_a_command_says_what_it_does_and_what_it_may() {
    let home = home_without_components(&["hello"]);
    kf_snapshot!(home.run(["hello", "--help"]), @"
    exit: 0
    ----- stdout -----
    Say hello

    Usage: kf hello [OPTIONS] [NAME]

    Examples:
      kf hello             greet the world
      kf hello Ada         greet someone
      kf hello Ada --loud  greet someone, loudly

    Arguments:
      [NAME]  Name to greet [default: world]

    Options:
      -l, --loud  Print in upper case
      -h, --help  Print help

    How it runs:
          --dry-run    Show what would change; the server checks each change but stores none
          --read-only  Refuse all changes
          --explain    Show each API request and the rule that allowed it

    Global options:
      -n, --namespace <NAMESPACE>       Namespace [default: the one set by `kf use`, or by the
                                        kubeconfig context]
          --context <NAME>              Kubeconfig context to use
          --kubeconfig <FILE>           Path of the kubeconfig file
          --request-timeout <DURATION>  Timeout of each API request, such as 90s or 2m; 0 for no timeout
                                        [default: 30s]
      -o, --output <FORMAT>             Output format [default: table] [possible values: table, wide,
                                        json, yaml, name]
      -v, --verbose...                  Use verbose output; -vv for more detail
          --color <WHEN>                When to use colour [default: auto] [possible values: auto,
                                        always, never]

    hello 0.1.0, signed by kubeflow. It has no rights on the cluster.
    ----- stderr -----
    ");
}

#[test]
fn help_of_a_word_is_help_of_the_command() {
    let home = home_without_components(&["train"]);
    assert_eq!(home.run(["help", "train"]).success().stdout, home.run(["train", "--help"]).success().stdout);
}

#[test]
fn a_flag_that_is_not_there_names_the_one_that_is() {
    let home = home_without_components(&["hello"]);
    kf_snapshot!(home.run(["hello", "--lod"]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: unexpected argument '--lod' found
      usage: kf hello --loud [NAME]
    hint: a similar argument exists: '--loud'
    hint: kf hello --help
    ");
}

/// What the shell offers for the last word.
fn complete(home: &Home, words: &[&str]) -> Vec<String> {
    let index = (words.len() - 1).to_string();
    let mut command = home.kf(["--"].iter().chain(words));
    command.env("KF_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index).env("_CLAP_IFS", "\n");
    let output = output_of(&mut command);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_shell_completes_a_commands_flags_and_values() {
    let home = home_without_components(&["train", "hello"]);
    for (words, offered) in [
        (&["kf", "tr"][..], "train"),
        (&["kf", "command", "repl"], "replace"),
        (&["kf", "train", "--ru"], "--runtime"),
        (&["kf", "train", "--dry"], "--dry-run"),
        (&["kf", "-o", ""], "yaml"),
    ] {
        let found = complete(&home, words);
        assert!(found.iter().any(|word| word == offered), "{words:?}: {found:?}");
    }
}

#[test]
fn every_shell_gets_a_script() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = Home::empty().run(["completion", shell]).success().stdout;
        assert!(script.contains("KF_COMPLETE"), "{shell}");
    }
}

#[test]
fn two_hundred_commands_start_no_guest() {
    let home = home_without_components(&["hello"]);
    let receipts = home.path().join(".local/share/kf/receipts");
    let receipt = fs_err::read_to_string(receipts.join("hello.json")).unwrap();
    for number in 0..200 {
        let name = format!("hello-{number}");
        let copy = receipt.replace("\"name\": \"hello\"", &format!("\"name\": \"{name}\""));
        assert_ne!(copy, receipt);
        fs_err::write(receipts.join(format!("{name}.json")), copy).unwrap();
    }
    let help = home.run(["--help"]).success().stdout;
    assert_eq!(help.lines().filter(|line| line.trim_start().starts_with("hello")).count(), 201);
    assert_eq!(complete(&home, &["kf", "hello"]).len(), 201);
    assert_eq!(complete(&home, &["kf", "hello-7", "--lo"]), ["--loud"]);
    home.run(["hello-7", "--help"]).success();
    // One that was started would have been missed.
    let started = home.run(["hello-7"]).code(1);
    assert!(started.stderr.contains("missing from the store"), "{}", started.transcript());
}

#[test]
fn a_mistyped_command_gets_the_one_that_was_meant() {
    let home = home_without_components(&["train", "hello"]);
    kf_snapshot!(home.run(["trian"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: no command `trian`
    hint: did you mean `train`? It is installed. `kf command list --available` shows what can be added
    ");
}

#[test]
fn a_command_that_could_be_added_says_so() {
    let home = Home::with_commands(&["hello"]);
    kf_snapshot!(home.run(["logs", "mnist"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: no command `logs`
    hint: kf command add logs
    ");
}

/// The hints of a line that is not understood.
fn hints(home: &Home, line: &[&str]) -> Vec<String> {
    let ran = home.run(line);
    assert!([Some(2), Some(5)].contains(&ran.code), "{}", ran.transcript());
    ran.stderr.lines().filter_map(|line| line.strip_prefix("hint: ")).map(str::to_owned).collect()
}

#[test]
fn words_of_other_tools_lead_to_the_command_that_does_the_same() {
    let home = Home::with_commands(&["run", "status", "remove"]);
    let installed = |name| {
        format!(
            "did you mean `{name}`? It is installed. `kf command list --available` shows what can be added"
        )
    };
    for (word, name) in [
        ("exec", "run"),
        ("rm", "remove"),
        ("get", "status"),
        ("ps", "status"),
        ("describe", "status"),
        ("ls", "status"),
        ("cancel", "remove"),
    ] {
        assert_eq!(hints(&home, &[word, "x"]), [installed(name)], "{word}");
    }
    // What is not here is offered only if it can be added.
    for (word, name) in
        [("submit", "train"), ("sbatch", "train"), ("deploy", "serve"), ("ssh", "shell"), ("ns", "use")]
    {
        assert_eq!(
            hints(&home, &[word]),
            [format!("did you mean `{name}`? kf command add {name}")],
            "{word}"
        );
    }
    let without_registry = hints(&Home::empty(), &["exec"]);
    assert!(without_registry.concat().contains("no registry is set up"), "{without_registry:?}");
    for (word, line) in [
        ("version", "kf --version"),
        ("install", "kf command add"),
        ("search", "kf command list --available"),
        ("upgrade", "kf command upgrade"),
    ] {
        assert_eq!(hints(&home, &[word]), [line], "{word}");
    }
    for (line, hint) in [
        (["command", "install"], "kf command add"),
        (["command", "search"], "kf command list --available"),
        (["command", "info"], "kf command describe"),
        (["command", "uninstall"], "kf command remove"),
        (["command", "update"], "kf command upgrade"),
        (["registry", "ls"], "kf registry list"),
    ] {
        assert_eq!(hints(&home, &line), [hint.to_owned(), format!("kf {} --help", line[0])], "{line:?}");
    }
}

#[test]
fn nothing_at_all_shows_the_way() {
    let ran = Home::empty().run([] as [&str; 0]);
    assert_eq!(ran.code, Some(2), "{}", ran.transcript());
    assert!(ran.stderr.contains("Usage: kf"), "{}", ran.transcript());
}
