//! Parts of Kubeflow, and other programs, that only some tests need.
//!
//! A cluster starts without them, so that it starts quickly; a test calls [`Cluster::require`]. A part is installed
//! once per cluster, by the first test that requires it: its programs are built if they are not cached, its images
//! are imported into the node, its manifests are applied, and its Deployments become available. Other test programs
//! wait for a lock in the cluster's directory.

use std::fmt;
use std::path::PathBuf;

use fs_err as fs;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kf_toolchains::kubernetes::Binaries;
use kf_toolchains::{Progress, debian, progress};
use serde_json::Value;

use super::client::{block_on, connect};
use super::controllers::tune_for_tests;
use super::error::{ClusterError, Result};
use super::image::Image;
use super::stand_ins::StandIn;
use super::{Cluster, Profile, User, access, objects, stand_ins};

mod dns;
mod import;
mod kserve;
mod kueue;
mod model_server;
mod pipelines;
mod python;
mod registry;
mod training_operator;
mod upstream;

pub use kueue::QUEUE;
pub use model_server::{BROKEN_MODEL_SERVER, LOAD, MODEL_SERVERS};
pub use pipelines::PIPELINES;
pub use python::{JUPYTERLAB, TENSORBOARD};

/// A part that can be added to a cluster with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// CoreDNS, which resolves the names of Services and pods.
    Dns,
    /// The image [`TENSORBOARD`].
    TensorBoard,
    /// The image [`JUPYTERLAB`].
    JupyterLab,
    /// The images [`MODEL_SERVERS`], [`BROKEN_MODEL_SERVER`] and [`LOAD`].
    ModelServer,
    /// KServe's manager, in its Standard mode, and its storage initializer for `http://` and `pvc://`.
    KServe,
    /// Kueue, with the LocalQueue [`QUEUE`] for each team; [`Cluster::make_queue`] makes more.
    Kueue,
    /// A registry of images; [`Cluster::push`] pushes to it.
    Registry,
    /// The legacy training operator: PyTorchJob, TFJob and others.
    TrainingOperator,
    /// Notebooks, Workspaces and WorkspaceKinds, with stand-ins for upstream's controllers.
    Notebooks,
    /// Tensorboards, with a stand-in for upstream's controller and the image [`TENSORBOARD`].
    Tensorboards,
    /// Katib's Experiments and Trials, with a stand-in for its controllers and webhooks.
    Katib,
    /// The image [`PIPELINES`], a stand-in for a server that is not available as a Go module.
    Pipelines,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 12] = [
        Self::Dns,
        Self::TensorBoard,
        Self::JupyterLab,
        Self::ModelServer,
        Self::KServe,
        Self::Kueue,
        Self::Registry,
        Self::TrainingOperator,
        Self::Notebooks,
        Self::Tensorboards,
        Self::Katib,
        Self::Pipelines,
    ];

    /// Its name on a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::TensorBoard => "tensorboard",
            Self::JupyterLab => "jupyterlab",
            Self::ModelServer => "model-server",
            Self::KServe => "kserve",
            Self::Kueue => "kueue",
            Self::Registry => "registry",
            Self::TrainingOperator => "training-operator",
            Self::Notebooks => "notebooks",
            Self::Tensorboards => "tensorboards",
            Self::Katib => "katib",
            Self::Pipelines => "pipelines",
        }
    }

    /// The part with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }

    /// The parts that it requires.
    const fn dependencies(self) -> &'static [Self] {
        match self {
            Self::KServe | Self::TrainingOperator => &[Self::Dns],
            Self::Tensorboards => &[Self::TensorBoard],
            Self::Dns
            | Self::TensorBoard
            | Self::JupyterLab
            | Self::ModelServer
            | Self::Kueue
            | Self::Registry
            | Self::Notebooks
            | Self::Katib
            | Self::Pipelines => &[],
        }
    }

    fn contents(self, context: &BuildContext) -> Result<Contents> {
        match self {
            Self::Dns => dns::contents(context),
            Self::TensorBoard => python::tensorboard(context),
            Self::JupyterLab => python::jupyterlab(context),
            Self::ModelServer => model_server::contents(context),
            Self::KServe => kserve::contents(context),
            Self::Kueue => kueue::contents(context),
            Self::Registry => registry::contents(context),
            Self::TrainingOperator => training_operator::contents(context),
            Self::Notebooks => stand_in(StandIn::Notebooks, "kubeflow.org"),
            Self::Tensorboards => stand_in(StandIn::Tensorboards, "tensorboard.kubeflow.org"),
            Self::Katib => stand_in(StandIn::Katib, "kubeflow.org"),
            Self::Pipelines => pipelines::contents(context),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What parts are built with.
struct BuildContext {
    binaries: Binaries,
    /// The unpacked packages of the node.
    system: PathBuf,
    progress: Progress,
}

/// The contents of a part.
#[derive(Default)]
struct Contents {
    images: Vec<Image>,
    definitions: Vec<CustomResourceDefinition>,
    objects: Vec<Value>,
    /// Objects that are applied last, once their webhooks answer.
    last: Vec<Value>,
    /// An object that users could create, to check that its webhooks answer.
    example: Option<Value>,
    /// The groups of its kinds, which the roles `edit` and `view` must include.
    groups: Vec<&'static str>,
    /// A program that replaces a controller.
    stand_in: Option<StandIn>,
}

fn stand_in(stand_in: StandIn, group: &'static str) -> Result<Contents> {
    let (definitions, objects) = stand_in.objects()?;
    let (groups, stand_in) = (vec![group], Some(stand_in));
    Ok(Contents { definitions, objects, groups, stand_in, ..Contents::default() })
}

impl Cluster {
    /// Makes sure that `part` runs in this cluster, which must have a node. The first caller installs it, others wait.
    /// An existing cluster is assumed to have it.
    pub fn require(&self, part: Part) -> Result<()> {
        if self.profile() != Profile::Node {
            return Err(ClusterError::PartNeedsNode(part));
        }
        if self.state.existing {
            return Ok(());
        }
        for dependency in part.dependencies() {
            self.require(*dependency)?;
        }
        let directory = self.directory().join("parts");
        fs::create_dir_all(&directory)?;
        let installed = directory.join(part.name());
        let lock = fs::File::create(directory.join(format!("{part}.lock")))?;
        lock.file().lock()?;
        if installed.exists() {
            return Ok(());
        }
        install(self, part).map_err(|source| ClusterError::Part { part, source: Box::new(source) })?;
        Ok(fs::write(installed, "")?)
    }

    /// Creates a LocalQueue named [`QUEUE`] in `namespace`, with its own quota of 1 CPU and 1 GiB of memory. Requires
    /// [`Part::Kueue`].
    pub fn make_queue(&self, namespace: &str) -> Result<()> {
        let kubeconfig = self.kubeconfig(User::Admin);
        block_on(async {
            let client = connect(&kubeconfig).await?;
            objects::apply_when_admitted(&client, &kueue::queue(namespace)).await
        })
    }

    /// Pushes `image` of the node to the cluster's registry, and returns the reference with which a pod pulls it:
    /// `localhost:5000/<repository>@sha256:<digest>`. Requires [`Part::Registry`].
    pub fn push(&self, image: &str, repository: &str) -> Result<String> {
        registry::push(self, image, repository)
    }
}

fn install(cluster: &Cluster, part: Part) -> Result<()> {
    let progress: Progress = progress::to_stderr;
    progress(&format!("installing {part}"));
    let context =
        BuildContext { binaries: Binaries::built(progress)?, system: debian::node(progress)?, progress };
    let mut contents = part.contents(&context)?;
    contents.objects.iter_mut().for_each(tune_for_tests);
    import::into_node(cluster.directory(), contents.images)?;
    let logs = cluster.logs();
    let kubeconfig = cluster.kubeconfig(User::Admin);
    block_on(async {
        let client = connect(&kubeconfig).await?;
        if !contents.definitions.is_empty() {
            objects::apply_definitions(&client, &contents.definitions, &logs).await?;
        }
        objects::apply_all(&client, &contents.objects).await?;
        objects::wait_until_available(&client, &contents.objects, &logs).await?;
        objects::apply_when_admitted(&client, &contents.last).await?;
        objects::wait_until_admitted(&client, contents.example.as_slice()).await?;
        for group in &contents.groups {
            access::wait_for_rules(&client, group, &logs).await?;
        }
        Ok(())
    })?;
    match contents.stand_in {
        Some(stand_in) => stand_ins::spawn(cluster, stand_in),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_are_found_by_name() {
        for part in Part::ALL {
            assert_eq!(Part::named(part.name()), Some(part));
        }
        assert_eq!(Part::named("nosuch"), None);
        assert_eq!(Part::named(""), None);
    }
}
