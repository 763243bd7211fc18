//! The Go modules of the parts of Kubeflow that a cluster runs.

use std::path::PathBuf;

use crate::go::{Go, GoProgram};
use crate::{Result, locations};

/// An upstream Go module, pinned by a `go.mod` in this repository.
#[derive(Debug)]
pub struct Upstream {
    /// The directory of that `go.mod` in `tests/cluster`; several modules may share one.
    pub directory: &'static str,
    /// The module's path.
    pub module: &'static str,
    /// The name of the program that is built from it.
    pub program: &'static str,
    /// The package of its controller manager.
    pub manager: &'static str,
    /// The directory of its custom resource definitions.
    pub crds: &'static str,
    /// The kustomization that installs it.
    pub overlay: &'static str,
    /// How many seconds of one core the manager takes to build, after others of the same module.
    pub core_seconds: u64,
}

/// JobSet, which Trainer uses.
pub const JOBSET: Upstream = Upstream {
    directory: "kubernetes",
    module: "sigs.k8s.io/jobset",
    program: "jobset",
    manager: "sigs.k8s.io/jobset",
    crds: "config/components/crd/bases",
    overlay: "config/default",
    core_seconds: 15,
};

/// Kubeflow Trainer.
pub const TRAINER: Upstream = Upstream {
    directory: "kubernetes",
    module: "github.com/kubeflow/trainer/v2",
    program: "trainer-controller-manager",
    manager: "github.com/kubeflow/trainer/v2/cmd/trainer-controller-manager",
    crds: "manifests/base/crds",
    overlay: "manifests/overlays/manager",
    core_seconds: 20,
};

/// KServe, without its agent and router.
pub const KSERVE: Upstream = Upstream {
    directory: "kserve",
    module: "github.com/kserve/kserve",
    program: "kserve-manager",
    manager: "github.com/kserve/kserve/cmd/manager",
    crds: "config/crd/full",
    overlay: "config/overlays/standalone/kserve",
    core_seconds: 250,
};

/// Kueue.
pub const KUEUE: Upstream = Upstream {
    directory: "kueue",
    module: "sigs.k8s.io/kueue",
    program: "kueue-manager",
    manager: "sigs.k8s.io/kueue/cmd/kueue",
    crds: "config/components/crd/bases",
    overlay: "config/default",
    core_seconds: 330,
};

/// The training operator that came before Trainer.
pub const TRAINING_OPERATOR: Upstream = Upstream {
    directory: "training-operator",
    module: "github.com/kubeflow/training-operator",
    program: "training-operator",
    manager: "github.com/kubeflow/training-operator/cmd/training-operator.v1",
    crds: "manifests/base/crds",
    overlay: "manifests/overlays/standalone",
    core_seconds: 160,
};

/// The ones that every cluster has.
pub const ALL: [&Upstream; 2] = [&JOBSET, &TRAINER];

impl Upstream {
    /// The directory of the `go.mod` that pins it.
    #[must_use]
    pub fn our_module(&self) -> PathBuf {
        locations::sources().join(self.directory)
    }

    /// Its controller manager, as a program to build.
    #[must_use]
    pub fn manager(&self) -> GoProgram<'static> {
        GoProgram {
            name: self.program,
            module: self.our_module(),
            package: self.manager,
            linker_flags: "",
            core_seconds: self.core_seconds,
        }
    }

    /// Its unpacked sources, downloaded if need be.
    pub fn sources(&self) -> Result<PathBuf> {
        Go::find()?.sources_of(&self.our_module(), self.module)
    }
}
