//! Notebook servers, shared by `kf notebook` and `kf jupyter`.
//!
//! Kubeflow has two kinds. A *Notebook* (`kubeflow.org/v1`) has a pod template. A *Workspace*
//! (`kubeflow.org/v1beta1`) selects options of a *WorkspaceKind* that an admin defines. Each controller
//! creates a StatefulSet with one pod.
//!
//! Neither status is reliable: a Notebook's still reports "running" while its pod terminates and is empty
//! when no pod can be created, and a Workspace's passes through `Error` at every start. So the *desired state* is read
//! from the annotation `kubeflow-resource-stopped` or from `spec.paused`, and the *actual state* from the pod, the
//! StatefulSet and the warnings about both.

mod lifecycle;
mod names;
mod open;
mod page;
mod server;
mod snapshot;
mod state;
mod wait;

pub use lifecycle::{Change, Kernels, kernels, restart_with, start, stop};
pub use names::check_name;
pub use open::{OpenOptions, open};
pub use page::{Page, page};
pub use server::{KINDS, Server, served};
pub use snapshot::Snapshot;
pub use state::{ServerState, View};
pub use wait::{until_replaced, until_running, until_stopped};

/// The group of both kinds.
pub const GROUP: &str = "kubeflow.org";
/// Stops a Notebook while the annotation exists, whatever its value.
pub const STOPPED: &str = "kubeflow-resource-stopped";
/// Written by kf together with [`STOPPED`], with the same value; idle culling writes only [`STOPPED`].
pub const STOPPED_BY_KF: &str = "kf-cli.dev/stopped";
/// The label of a Notebook's pods.
pub const NOTEBOOK_LABEL: &str = "notebook-name";
/// The label of everything that belongs to a Workspace.
pub const WORKSPACE_LABEL: &str = "notebooks.kubeflow.org/workspace-name";
