//! README.md's first screen, typed with a kubeconfig and the downloaded file, or the wheel.

use std::path::{Path, PathBuf};

use kf_tests::cluster::{User, skip_without_node};

use crate::common::Home;
use crate::common::bash::Session;
use crate::common::built_in;
use crate::common::readme::{Step, missing, steps};
use crate::common::team::Team;

/// The folder that `cargo xtask release` made.
const RELEASE: &str = "KF_TEST_RELEASE";

#[test]
fn readme_first_screen_works_with_release_file() {
    if skip_without_node("readme_first_screen_works_with_release_file") {
        return;
    }
    let steps = steps(include_str!("../../README.md"), "Get kf");
    let typed = |line: &Step| line.line.starts_with("kf train ") && line.line.contains("--wait --logs");
    assert!(steps.iter().any(typed), "{steps:?}");
    let (install, rest) = steps.split_first().unwrap();
    let file = install.line.strip_prefix("install -D ").and_then(|rest| rest.split(' ').next()).unwrap();
    let release = std::env::var_os(RELEASE).map(PathBuf::from);

    let home = Home::empty();
    let program = release.as_ref().map_or_else(built_in::program, |folder| folder.join(file));
    fs_err::copy(program, home.path().join(file)).unwrap();
    let team = Team::with_node("first");
    follow(&team, home.path(), "~/.local/bin", &steps);

    if let Some(folder) = release {
        let home = Home::empty();
        let environment = home.path().join("environment");
        kf_toolchains::packaging::install(&wheel(&folder), &environment).unwrap();
        follow(&Team::with_node("first-wheel"), home.path(), "~/environment/bin", rest);
    }
}

/// Types the steps in an empty environment.
fn follow(team: &Team, home: &Path, programs: &str, steps: &[Step]) {
    let mut shell = Session::start(home);
    for set_up in [
        format!("export KUBECONFIG={}", team.kubeconfig(User::DataScientist).display()),
        format!("export PATH={programs}:$PATH"),
    ] {
        assert_eq!(shell.enter(&set_up, None).code, 0);
    }
    for step in steps {
        let typed = shell.enter(&step.line, None);
        assert_eq!(typed.code, 0, "`{}`: {}", step.line, typed.output);
        assert_eq!(missing(step, &typed.output), [""; 0], "`{}`: {}", step.line, typed.output);
    }
}

/// The wheel for this machine.
fn wheel(release: &Path) -> PathBuf {
    let ending = format!("_{}.whl", std::env::consts::ARCH);
    let files = fs_err::read_dir(release).unwrap().map(|entry| entry.unwrap().path());
    let mut wheels = files.filter(|path| path.to_string_lossy().ends_with(&ending));
    wheels.next().unwrap_or_else(|| panic!("no wheel in {}", release.display()))
}
