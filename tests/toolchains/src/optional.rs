//! The Go programs and Python packages for the optional parts of a test cluster.
//!
//! A test builds only what its parts need; `cargo xtask` builds everything that the tests will need
//! beforehand.

use crate::go::GoProgram;
use crate::python::{self, Site};
use crate::upstream::{KSERVE, KUEUE, TRAINING_OPERATOR};
use crate::{Progress, Result, go, locations};

/// TensorBoard.
pub const TENSORBOARD: Site = Site { name: "tensorboard", core_seconds: 15 };
/// JupyterLab, with a kernel.
pub const JUPYTERLAB: Site = Site { name: "jupyterlab", core_seconds: 25 };

/// The packages that KServe's storage initializer needs to fetch a model over HTTP.
pub const STORAGE_INITIALIZER: Site = Site { name: "storage-initializer", core_seconds: 5 };

/// CoreDNS with a few of its plugins.
#[must_use]
pub fn coredns() -> GoProgram<'static> {
    own_module("coredns", 100)
}

/// A model server; see `tests/cluster/images/model-server/main.go`.
#[must_use]
pub fn model_server() -> GoProgram<'static> {
    image_program("model-server", "./model-server")
}

/// Sends requests and counts the responses; see `tests/cluster/images/load/main.go`.
#[must_use]
pub fn load() -> GoProgram<'static> {
    image_program("load", "./load")
}

/// Stands in for the pipelines' server; see `tests/cluster/images/pipelines/main.go`.
#[must_use]
pub fn pipelines() -> GoProgram<'static> {
    image_program("pipelines", "./pipelines")
}

fn image_program(name: &'static str, package: &'static str) -> GoProgram<'static> {
    let module = locations::sources().join("images");
    GoProgram { name, module, package, linker_flags: "", core_seconds: 10 }
}

/// A container registry that stores images in files.
#[must_use]
pub fn registry() -> GoProgram<'static> {
    own_module("registry", 80)
}

fn own_module(name: &'static str, core_seconds: u64) -> GoProgram<'static> {
    GoProgram { name, module: locations::sources().join(name), package: ".", linker_flags: "", core_seconds }
}

/// How much to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The parts for the demo of a data scientist's day: DNS, a served model, notebooks, TensorBoard.
    Day,
    /// Everything.
    All,
}

fn programs(extent: Extent) -> Vec<GoProgram<'static>> {
    let mut programs = vec![coredns(), model_server(), KSERVE.manager()];
    if extent == Extent::All {
        programs.extend([load(), pipelines(), registry(), KUEUE.manager(), TRAINING_OPERATOR.manager()]);
    }
    programs
}

const SITES: [&Site; 3] = [&TENSORBOARD, &JUPYTERLAB, &STORAGE_INITIALIZER];

/// Builds the Go programs that are not cached, one after the other, because each uses every core. `built` is called with
/// the expected seconds of one core after each.
pub fn build_programs(extent: Extent, progress: Progress, built: impl Fn(u64)) -> Result<()> {
    programs(extent).iter().try_for_each(|program| {
        let expected = program.core_seconds_left()?;
        go::build(program, progress)?;
        built(expected);
        Ok(())
    })
}

/// Fetches Debian's Python and the packages that are not cached, with `built` as for [`build_programs`].
pub fn fetch_python(progress: Progress, built: impl Fn(u64)) -> Result<()> {
    python::base(progress)?;
    SITES.iter().try_for_each(|site| {
        let expected = site.core_seconds_left()?;
        site.installed(progress)?;
        built(expected);
        Ok(())
    })
}

/// How many seconds of one core the missing ones take.
pub fn core_seconds_left(extent: Extent) -> Result<u64> {
    let programs = programs(extent);
    let programs = programs.iter().map(GoProgram::core_seconds_left);
    programs.chain(SITES.iter().map(|site| site.core_seconds_left())).sum()
}
