//! The Kubernetes programs a cluster runs.
//!
//! Normally all of them are links to one program built from `kubernetes/`. A directory named by
//! `KUBEBUILDER_ASSETS`, as controller-runtime's setup-envtest makes it, is used instead for the
//! `api` profile: it holds etcd, kube-apiserver and kubectl but no controller manager.

use std::env;
use std::path::PathBuf;

use super::error::Result;
use super::go::{self, GoProgram};
use super::locations;
use super::progress::Progress;

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
pub(crate) struct Binaries {
    directory: PathBuf,
}

impl Binaries {
    /// The programs of `KUBEBUILDER_ASSETS` if it is set, else our own.
    pub(crate) fn for_api(progress: Progress) -> Result<Self> {
        match env::var_os(ASSETS_VARIABLE).filter(|directory| !directory.is_empty()) {
            Some(directory) => Ok(Self { directory: directory.into() }),
            None => Self::built(progress),
        }
    }

    /// Our own programs, built if they are not cached.
    pub(crate) fn built(progress: Progress) -> Result<Self> {
        let module = locations::sources().join("kubernetes");
        let program = go::build(
            &GoProgram {
                name: NAME,
                module,
                package: ".",
                // Without these the server reports v0.0.0-master, which clients refuse.
                linker_flags: "-X k8s.io/component-base/version.gitVersion=v1.36.2 \
                    -X k8s.io/component-base/version.gitMajor=1 \
                    -X k8s.io/component-base/version.gitMinor=36",
                about: "about 5 min",
            },
            progress,
        )?;
        let directory = program.parent().unwrap_or(&program).to_owned();
        for part in PARTS {
            match std::os::unix::fs::symlink(NAME, directory.join(part)) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error.into()),
                _ => {}
            }
        }
        Ok(Self { directory })
    }

    pub(crate) fn path(&self, part: &str) -> PathBuf {
        self.directory.join(part)
    }

    pub(crate) fn has(&self, part: &str) -> bool {
        self.path(part).is_file()
    }
}
