//! `kf man`: pages from receipts, without starting a guest.

use std::os::unix::fs::PermissionsExt as _;

use crate::common::Home;
use crate::kf_snapshot;

#[test]
fn command_page_has_help_examples_and_rights() {
    let home = Home::with_commands(&["hello"]);
    let page = home.run_unchanged(["man", "hello"]).success().stdout;
    for part in [
        ".TH kf-hello 1 \" \" \"hello 0.1.0\" \"kf manual\"\n.SH NAME\nkf\\-hello \\- Say hello\n",
        ".SH EXAMPLES\n.TP\n\\fBkf hello\\fR\ngreet the world\n",
        "\\fB\\-l\\fR, \\fB\\-\\-loud\\fR\nPrint in upper case\n",
        ".SH RIGHTS\nhello 0.1.0, signed by kubeflow. It has no rights on the cluster.\n",
    ] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
}

#[test]
fn kf_page_lists_every_command() {
    let home = Home::with_commands(&["hello", "notebook"]);
    let page = home.run(["man"]).success().stdout;
    for name in ["kf\\-command(1)", "kf\\-doctor(1)", "kf\\-hello(1)", "kf\\-notebook(1)"] {
        assert!(page.contains(name), "{name} is not in\n{page}");
    }
    let below = home.run(["man", "notebook", "ls"]).success().stdout;
    assert!(below.contains("kf\\-notebook\\-ls \\- "), "{below}");
    assert!(home.run(["man", "command", "add"]).success().stdout.contains("\\-\\-accept"));
}

#[test]
fn unknown_command_has_no_page() {
    let home = Home::with_commands(&["hello"]);
    kf_snapshot!(home.run_unchanged(["man", "helo"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: no command `helo`
    hint: kf --help
    ");
    kf_snapshot!(home.run_unchanged(["man", "hello", "world"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: no command `hello world`
    hint: kf --help
    ");
}

#[test]
fn directory_gets_a_page_for_each_command_and_keeps_other_files() {
    let home = Home::with_commands(&["hello", "notebook"]);
    let dir = home.path().join("share/man/man1");
    fs_err::create_dir_all(&dir).unwrap();
    fs_err::write(dir.join("ls.1"), "other").unwrap();
    fs_err::write(dir.join("kf-hello.1"), "old").unwrap();
    // A link is replaced and not followed.
    let elsewhere = home.path().join("elsewhere");
    fs_err::write(&elsewhere, "mine").unwrap();
    std::os::unix::fs::symlink(&elsewhere, dir.join("kf.1")).unwrap();
    let ran = home.run(["man", "--dir", &dir.display().to_string()]).success();
    assert_eq!(ran.stdout, "");
    let mut names: Vec<String> = fs_err::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in ["kf.1", "kf-hello.1", "kf-notebook.1", "kf-notebook-ls.1", "kf-command-add.1", "ls.1"] {
        assert!(names.iter().any(|found| found == name), "{name} is not in {names:?}");
    }
    assert!(names.iter().all(|name| name.ends_with(".1")), "{names:?}");
    assert_eq!(fs_err::read_to_string(dir.join("ls.1")).unwrap(), "other");
    assert_eq!(fs_err::read_to_string(&elsewhere).unwrap(), "mine");
    let page = dir.join("kf-hello.1");
    assert_eq!(fs_err::read_to_string(&page).unwrap(), home.run(["man", "hello"]).success().stdout);
    assert_eq!(fs_err::metadata(&page).unwrap().permissions().mode() & 0o777, 0o644);
    // A second run writes the same bytes.
    let before = home.state();
    home.run(["man", "--dir", &dir.display().to_string()]).success();
    assert_eq!(home.state(), before);
}

#[test]
fn directory_that_cannot_be_created_is_reported() {
    let home = Home::empty();
    fs_err::write(home.path().join("file"), "").unwrap();
    let ran = home.run_unchanged(["man", "--dir", "file/man1"]).code(1);
    assert!(ran.stderr.contains("file/man1"), "{}", ran.transcript());
}
