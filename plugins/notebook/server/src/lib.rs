//! Notebook servers, as `kf notebook` and `kf jupyter` know them.
//!
//! Kubeflow has two kinds. A *Notebook* (`kubeflow.org/v1`) holds a pod template. A *Workspace*
//! (`kubeflow.org/v1beta1`) holds choices that an admin's *WorkspaceKind* offers. Each controller
//! keeps a StatefulSet with one pod.
//!
//! Neither status is to be trusted: a Notebook's still says "running" while its pod ends and says
//! nothing at all when no pod can be made, and a Workspace's passes through `Error` at every start.
//! So a *wish* is read from the annotation `kubeflow-resource-stopped` or from `spec.paused`, and the
//! *truth* from the pod, the StatefulSet and the warnings about both.

mod names;
mod open;
mod page;
mod power;
mod scene;
mod server;
mod state;
mod wait;

pub use names::check_name;
pub use open::{Opening, open};
pub use page::{Page, page};
pub use power::{Change, Kernels, busy, restart_with, start, stop};
pub use scene::Scene;
pub use server::{KINDS, Server, served};
pub use state::{ServerState, View};
pub use wait::{until_replaced, until_running, until_stopped};

/// The group of both kinds.
pub const GROUP: &str = "kubeflow.org";
/// Stops a Notebook as long as it is there, whatever its value.
pub const STOPPED: &str = "kubeflow-resource-stopped";
/// What kf writes beside [`STOPPED`], with the same value; idle culling writes only the other.
pub const STOPPED_BY_KF: &str = "kf-cli.dev/stopped";
/// The label of a Notebook's pods.
pub const NOTEBOOK_LABEL: &str = "notebook-name";
/// The label of everything that belongs to a Workspace.
pub const WORKSPACE_LABEL: &str = "notebooks.kubeflow.org/workspace-name";
