//! The Kubernetes programs a cluster runs.
//!
//! Normally all of them are links to one program built from `kubernetes/`. A directory named by
//! `KUBEBUILDER_ASSETS`, as controller-runtime's setup-envtest makes it, is used instead for the
//! `api` profile: it holds etcd, kube-apiserver and kubectl but no controller manager.

use std::path::PathBuf;

use crate::go::{self, GoProgram};
use crate::{Progress, Result, locations};

/// Names a directory with ready-made etcd, kube-apiserver and kubectl.
pub const ASSETS_VARIABLE: &str = "KUBEBUILDER_ASSETS";

const NAME: &str = "kf-kubernetes";

const PARTS: [&str; 7] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
];

/// A directory with the programs, each under its own name.
#[derive(Clone, Debug)]
pub struct Binaries {
    directory: PathBuf,
}

fn program() -> GoProgram<'static> {
    GoProgram {
        name: NAME,
        module: locations::sources().join("kubernetes"),
        package: ".",
        // Without these the server reports v0.0.0-master, which clients refuse.
        linker_flags: "-X k8s.io/component-base/version.gitVersion=v1.36.2 \
            -X k8s.io/component-base/version.gitMajor=1 \
            -X k8s.io/component-base/version.gitMinor=36",
        core_seconds: 490,
    }
}

impl Binaries {
    /// The programs of `KUBEBUILDER_ASSETS` if it is set, else our own.
    pub fn for_api(progress: Progress) -> Result<Self> {
        match locations::variable(ASSETS_VARIABLE) {
            Some(directory) => Ok(Self { directory: directory.into() }),
            None => Self::built(progress),
        }
    }

    /// Our own programs, built if they are not cached.
    pub fn built(progress: Progress) -> Result<Self> {
        let program = go::build(&program(), progress)?;
        let directory = program.parent().unwrap_or(&program).to_owned();
        for part in PARTS {
            match std::os::unix::fs::symlink(NAME, directory.join(part)) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error.into()),
                _ => {}
            }
        }
        Ok(Self { directory })
    }

    /// How many seconds one core needs to build our own now; none where ready-made ones are used.
    pub fn core_seconds_left() -> Result<u64> {
        if locations::variable(ASSETS_VARIABLE).is_some() {
            return Ok(0);
        }
        program().core_seconds_left()
    }

    /// The path of one of them, such as `kubectl`.
    #[must_use]
    pub fn path(&self, part: &str) -> PathBuf {
        self.directory.join(part)
    }

    /// Whether it is there; ready-made directories hold only some.
    #[must_use]
    pub fn has(&self, part: &str) -> bool {
        self.path(part).is_file()
    }
}
