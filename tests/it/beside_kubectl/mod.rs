//! kf compared with kubectl: the same input for both programs, and the results of each.
//!
//! A row of a table has the expected result of each. Where kf differs on purpose, a comment says why. More tests of
//! this kind are in [`crate::kubeconfigs`], [`crate::manifests`], [`crate::sessions`], [`crate::long_logs`] and
//! [`crate::output`].

mod certificates;
mod connecting;
mod faults;
mod files;
mod objects;
mod pods;

use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::team::Team;
use crate::common::{Home, Ran, output_of};

/// kubectl with only this home and this kubeconfig.
fn kubectl(team: &Team, home: &Home, kubeconfig: &Path) -> Command {
    let mut kubectl = Command::new(team.kubectl_path());
    kubectl.env_clear().env("HOME", home.path()).env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    kubectl.env("KUBECONFIG", kubeconfig);
    kubectl
}

fn ran(command: &mut Command, home: &Home) -> Ran {
    Ran::of(&output_of(command), home.path())
}

/// All unexpected results, reported together.
#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn check<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, found: &T, expected: &T, ran: &Ran) {
        if found != expected {
            self.0.push(format!("{what}: {found:?} instead of {expected:?}: {}", ran.transcript()));
        }
    }
}

impl Drop for Differences {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.0.is_empty(), "{}", self.0.join("\n"));
        }
    }
}
