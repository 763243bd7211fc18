//! Help, completion and mistakes: all from receipts, no guest is started.

use crate::common::Home;
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
    kf_snapshot!(home.run(["hello", "--help"]), @"");
}

#[test]
fn help_of_a_word_is_help_of_the_command() {
    let home = home_without_components(&["train"]);
    assert_eq!(home.run(["help", "train"]).success().stdout, home.run(["train", "--help"]).success().stdout);
}

#[test]
fn a_flag_that_is_not_there_names_the_one_that_is() {
    let home = home_without_components(&["hello"]);
    kf_snapshot!(home.run(["hello", "--lod"]), @"");
}

#[test]
fn the_shell_completes_a_commands_flags_and_values() {
    let home = home_without_components(&["train", "hello"]);
    let complete = |words: &[&str]| {
        let index = (words.len() - 1).to_string();
        let mut command = home.kf(["--"].iter().chain(words));
        let output = command
            .env("KF_COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", index)
            .env("_CLAP_IFS", "\n")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(complete(&["kf", "tr"]).lines().any(|line| line == "train"));
    assert!(complete(&["kf", "train", "--ru"]).lines().any(|line| line == "--runtime"));
    assert!(complete(&["kf", "train", "--dry"]).lines().any(|line| line == "--dry-run"));
    assert!(complete(&["kf", "-o", ""]).lines().any(|line| line == "yaml"));
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
        let copy = receipt.replace("\"name\":\"hello\"", &format!("\"name\":\"{name}\""));
        assert_ne!(copy, receipt);
        fs_err::write(receipts.join(format!("{name}.json")), copy).unwrap();
    }
    let help = home.run(["--help"]).success().stdout;
    assert_eq!(help.lines().filter(|line| line.trim_start().starts_with("hello")).count(), 201);
}

#[test]
fn a_mistyped_command_gets_the_one_that_was_meant() {
    let home = home_without_components(&["train", "hello"]);
    kf_snapshot!(home.run(["trian"]), @"");
}

#[test]
fn a_command_that_could_be_added_says_so() {
    let home = Home::with_commands(&["hello"]);
    kf_snapshot!(home.run(["logs", "mnist"]), @"");
}

#[test]
fn nothing_at_all_shows_the_way() {
    let ran = Home::empty().run([] as [&str; 0]);
    assert_eq!(ran.code, Some(2), "{}", ran.transcript());
    assert!(ran.stderr.contains("Usage: kf"), "{}", ran.transcript());
}
