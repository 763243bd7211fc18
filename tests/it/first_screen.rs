//! README.md's first screen, typed by somebody who has the downloaded file and a kubeconfig.

use kf_tests::cluster::{User, skip_without_node};

use crate::common::Home;
use crate::common::bash::Session;
use crate::common::built_in;
use crate::common::readme::{missing, steps};
use crate::common::team::Team;

#[test]
fn first_screen_of_the_readme_works_with_the_file_alone() {
    if skip_without_node("first_screen_of_the_readme_works_with_the_file_alone") {
        return;
    }
    let team = Team::with_node("first");
    let home = Home::empty();
    let steps = steps(include_str!("../../README.md"), "Get kf");
    let lines: Vec<&str> = steps.iter().map(|step| step.line.as_str()).collect();
    let file = lines[0].strip_prefix("install -D ").and_then(|rest| rest.split(' ').next()).unwrap();
    fs_err::copy(built_in::program(), home.path().join(file)).unwrap();

    let mut shell = Session::start(home.path());
    for set_up in [
        format!("export KUBECONFIG={}", team.kubeconfig(User::DataScientist).display()),
        "export PATH=~/.local/bin:$PATH".to_owned(),
    ] {
        assert_eq!(shell.enter(&set_up, None).code, 0);
    }
    assert!(
        lines.iter().any(|line| line.starts_with("kf train ") && line.contains("--wait --logs")),
        "{lines:?}"
    );
    for step in &steps {
        let typed = shell.enter(&step.line, None);
        assert_eq!(typed.code, 0, "`{}`: {}", step.line, typed.said);
        assert_eq!(missing(step, &typed.said), [""; 0], "`{}`: {}", step.line, typed.said);
    }
}
