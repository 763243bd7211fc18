//! The Kubernetes programs of a cluster.
//!
//! By default all of them are links to one program built from `kubernetes/`. For the `api` profile,
//! `KUBEBUILDER_ASSETS` can name another directory, as made by controller-runtime's setup-envtest: it
//! has etcd, kube-apiserver and kubectl, but no controller manager.

use std::path::PathBuf;

use crate::go::{self, GoProgram};
use crate::{Progress, Result, locations};

/// Names a directory with prebuilt etcd, kube-apiserver and kubectl.
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

/// A directory with the programs.
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
    /// The programs of `KUBEBUILDER_ASSETS` if it is set, or else our own.
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

    /// How many seconds of one core our own take to build now; none if prebuilt ones are used.
    pub fn core_seconds_left() -> Result<u64> {
        if locations::variable(ASSETS_VARIABLE).is_some() {
            return Ok(0);
        }
        program().core_seconds_left()
    }

    /// The path of a program, such as `kubectl`.
    #[must_use]
    pub fn path(&self, part: &str) -> PathBuf {
        self.directory.join(part)
    }

    /// Whether a program exists; prebuilt directories have only some.
    #[must_use]
    pub fn has(&self, part: &str) -> bool {
        self.path(part).is_file()
    }
}
