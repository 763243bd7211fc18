//! The Go modules of JobSet and Kubeflow Trainer.

use std::path::PathBuf;

use crate::go::Go;
use crate::{Result, locations};

/// A Go module of upstream, pinned by a `go.mod` of ours.
#[derive(Debug)]
pub struct Upstream {
    /// The directory of that `go.mod`, in `tests/cluster`.
    pub directory: &'static str,
    /// The module's path.
    pub module: &'static str,
    /// The name of the program we build from it.
    pub program: &'static str,
    /// The package of its controller manager.
    pub manager: &'static str,
    /// Where its custom resource definitions are.
    pub crds: &'static str,
    /// How many seconds one core needs to build the manager.
    pub core_seconds: u64,
}

/// JobSet, whose jobs Trainer makes.
pub const JOBSET: Upstream = Upstream {
    directory: "jobset",
    module: "sigs.k8s.io/jobset",
    program: "jobset",
    manager: "sigs.k8s.io/jobset",
    crds: "config/components/crd/bases",
    core_seconds: 110,
};

/// Kubeflow Trainer.
pub const TRAINER: Upstream = Upstream {
    directory: "trainer",
    module: "github.com/kubeflow/trainer/v2",
    program: "trainer-controller-manager",
    manager: "github.com/kubeflow/trainer/v2/cmd/trainer-controller-manager",
    crds: "manifests/base/crds",
    core_seconds: 110,
};

/// Both.
pub const ALL: [&Upstream; 2] = [&JOBSET, &TRAINER];

impl Upstream {
    /// The directory of the `go.mod` that pins it.
    #[must_use]
    pub fn our_module(&self) -> PathBuf {
        locations::sources().join(self.directory)
    }

    /// Its unpacked sources, downloaded if need be.
    pub fn sources(&self) -> Result<PathBuf> {
        Go::find()?.sources_of(&self.our_module(), self.module)
    }
}
