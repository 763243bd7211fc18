//! Help, completion and mistyped commands: all from receipts, without starting a guest.

use crate::common::{Home, output_of};
use crate::kf_snapshot;

/// A home whose components and compiled code are deleted, so that starting a command fails.
fn home_without_components(names: &[&str]) -> Home {
    let home = Home::with_commands(names);
    fs_err::remove_dir_all(home.path().join(".local/share/kf/store")).unwrap();
    fs_err::remove_dir_all(home.path().join(".local/share/kf/compiled")).unwrap();
    home
}

#[test]
fn help_lists_added_commands() {
    let home = home_without_components(&["hello", "train"]);
    let help = home.run(["--help"]).success().stdout;
    for name in ["command", "registry", "completion", "hello", "train"] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(name)), "{name} is not in\n{help}");
    }
}

#[test]
fn command_help_shows_usage_and_rights() {
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

    Execution:
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
fn help_subcommand_equals_help_flag() {
    let home = home_without_components(&["train"]);
    assert_eq!(home.run(["help", "train"]).success().stdout, home.run(["train", "--help"]).success().stdout);
}

#[test]
fn unknown_flag_gets_suggestion() {
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

/// The completions of the last word.
fn complete(home: &Home, words: &[&str]) -> Vec<String> {
    let index = (words.len() - 1).to_string();
    let mut command = home.kf(["--"].iter().chain(words));
    command.env("KF_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index).env("_CLAP_IFS", "\n");
    let output = output_of(&mut command);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn completion_offers_flags_and_values() {
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
fn completion_script_exists_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = Home::empty().run(["completion", shell]).success().stdout;
        assert!(script.contains("KF_COMPLETE"), "{shell}");
    }
}

#[test]
fn help_and_completion_start_no_guest() {
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
    // Starting one fails, so none was started above.
    let started = home.run(["hello-7"]).code(1);
    assert!(started.stderr.contains("missing from the store"), "{}", started.transcript());
}

#[test]
fn mistyped_command_gets_suggestion() {
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
fn available_command_gets_add_hint() {
    let home = Home::with_commands(&["hello"]);
    kf_snapshot!(home.run(["logs", "mnist"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: no command `logs`
    hint: kf command add logs
    ");
}

/// The hints for an invalid command line.
fn hints(home: &Home, line: &[&str]) -> Vec<String> {
    let ran = home.run(line);
    assert!([Some(2), Some(5)].contains(&ran.code), "{}", ran.transcript());
    ran.stderr.lines().filter_map(|line| line.strip_prefix("hint: ")).map(str::to_owned).collect()
}

#[test]
fn names_from_other_tools_get_suggestion() {
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
    // Commands that are not installed are suggested only if they can be added.
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
fn missing_arguments_print_usage() {
    let ran = Home::empty().run([] as [&str; 0]);
    assert_eq!(ran.code, Some(2), "{}", ran.transcript());
    assert!(ran.stderr.contains("Usage: kf"), "{}", ran.transcript());
}
