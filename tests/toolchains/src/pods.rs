//! The programs for pods of the test cluster, before they are packed into images.

use std::path::PathBuf;

use crate::go::{self, GoProgram};
use crate::upstream::{self, JOBSET, TRAINER, Upstream};
use crate::{Progress, Result, locations};

/// The paths of the built programs.
#[derive(Debug)]
pub struct PodPrograms {
    /// Holds the Linux namespaces of a pod.
    pub pause: PathBuf,
    /// A small training program; see `tests/cluster/images/trainer/main.go`.
    pub trainer: PathBuf,
    managers: [PathBuf; upstream::ALL.len()],
}

impl PodPrograms {
    /// Builds the programs that are not cached.
    pub fn built(progress: Progress) -> Result<Self> {
        let [pause, trainer, jobset_manager, trainer_manager] = programs();
        Ok(Self {
            pause: go::build(&pause, progress)?,
            trainer: go::build(&trainer, progress)?,
            managers: [go::build(&jobset_manager, progress)?, go::build(&trainer_manager, progress)?],
        })
    }

    /// How many seconds of one core the missing ones take to build.
    pub fn core_seconds_left() -> Result<u64> {
        programs().iter().map(GoProgram::core_seconds_left).sum()
    }

    /// The controller managers, each with its upstream.
    pub fn managers(&self) -> impl Iterator<Item = (&'static Upstream, &PathBuf)> {
        upstream::ALL.into_iter().zip(&self.managers)
    }
}

fn programs() -> [GoProgram<'static>; 4] {
    [own("pause", "./pause"), own("trainer", "./trainer"), JOBSET.manager(), TRAINER.manager()]
}

fn own(name: &'static str, package: &'static str) -> GoProgram<'static> {
    let module = locations::sources().join("images");
    GoProgram { name, module, package, linker_flags: "", core_seconds: 10 }
}
