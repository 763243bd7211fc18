//! Stand-ins for Kubeflow controllers that are not available as Go modules.
//!
//! Each manages StatefulSets, Deployments, Services and statuses as upstream's controller was observed to do, including
//! its quirks: a Notebook's status mirrors its pod with a delay; a Workspace passes through `Error` at every start;
//! objects that cannot be created are reported only by events, or not at all. The pods are real and run on the node, so
//! timing and failures are those of the kubelet and the StatefulSet controller. Idle Notebooks are culled if an
//! annotation requests it. Katib's stand-in includes its webhooks. Not implemented are the activity rules of Workspaces,
//! which pause them as a user would, and the webhooks of Workspaces, whose refusals kf also finds in the state.
//!
//! They run in a separate process, `kf-test-cluster stand-in`, until the cluster's supervisor ends.

use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use fs_err as fs;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::client::{block_on, connect};
use super::error::{ClusterError, Result};
use super::helper::helper_program;
use super::supervisor::{Files, ProcessIdentity, read_json};
use super::{Cluster, User};

mod controller;
mod katib;
mod notebook;
mod tensorboard;
mod workspace;

/// A stand-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandIn {
    /// The controllers of Notebooks, Workspaces and WorkspaceKinds.
    Notebooks,
    /// The controller of Tensorboards.
    Tensorboards,
    /// The controllers and webhooks of Katib.
    Katib,
}

impl StandIn {
    /// The name for the helper program.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Notebooks => "notebooks",
            Self::Tensorboards => "tensorboards",
            Self::Katib => "katib",
        }
    }

    /// The stand-in with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Notebooks, Self::Tensorboards, Self::Katib].into_iter().find(|one| one.name() == name)
    }

    const fn manifest(self) -> &'static str {
        match self {
            Self::Notebooks => include_str!("../manifests/stand-ins/notebooks.yaml"),
            Self::Tensorboards => include_str!("../manifests/stand-ins/tensorboards.yaml"),
            Self::Katib => include_str!("../manifests/stand-ins/katib.yaml"),
        }
    }

    /// Its definitions, and the roles that add them to `edit` and `view`.
    pub(crate) fn objects(self) -> Result<(Vec<CustomResourceDefinition>, Vec<Value>)> {
        let malformed = |reason: String| ClusterError::malformed(self.name(), reason);
        let documents = super::manifests::parse_yaml(self.manifest()).map_err(malformed)?;
        let (definitions, others): (Vec<_>, Vec<_>) = documents
            .into_iter()
            .partition(|document| super::objects::is(document, "CustomResourceDefinition"));
        let definitions = definitions
            .into_iter()
            .map(|definition| {
                serde_json::from_value(definition).map_err(|error| malformed(error.to_string()))
            })
            .collect::<Result<_>>()?;
        Ok((definitions, others))
    }
}

/// Starts a stand-in that runs until the cluster ends.
pub(crate) fn spawn(cluster: &Cluster, stand_in: StandIn) -> Result<()> {
    let log = fs::File::create(Files(cluster.directory()).log(&format!("stand-in-{}", stand_in.name())))?;
    // It outlives the test program that requires it first, and ends with the supervisor.
    Command::new(helper_program()?)
        .arg("stand-in")
        .arg(cluster.directory())
        .arg(stand_in.name())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.into_parts().0)
        .process_group(0)
        .spawn()?;
    if stand_in == StandIn::Katib {
        let kubeconfig = cluster.kubeconfig(User::Admin);
        block_on(async {
            let client = connect(&kubeconfig).await?;
            katib::wait_for_webhooks(&client, &cluster.logs()).await
        })?;
    }
    Ok(())
}

/// Runs a stand-in until the cluster of this directory has ended.
pub fn run(directory: &Path, stand_in: StandIn) -> Result<()> {
    let supervisor: ProcessIdentity = read_json(&Files(directory).supervisor())?;
    let kubeconfig = User::Admin.kubeconfig(&directory.join("pki"));
    let address = address_towards(Cluster::attach(directory)?.server())?;
    block_on(async move {
        let client = connect(&kubeconfig).await?;
        let ended = async {
            while supervisor.is_alive() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let work = async {
            match stand_in {
                StandIn::Notebooks => {
                    tokio::join!(
                        notebook::run(client.clone()),
                        notebook::reissue(client.clone()),
                        workspace::run(client)
                    );
                }
                StandIn::Tensorboards => tensorboard::run(client).await,
                StandIn::Katib => katib::run(client, address).await,
            }
        };
        tokio::select! {
            () = ended => {}
            () = work => {}
        }
        Ok(())
    })
}

/// The address of this machine for the server at this URL: the API server of a node is in another network.
fn address_towards(url: &str) -> Result<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // Nothing is sent.
    socket.connect(url.trim_start_matches("https://"))?;
    Ok(socket.local_addr()?.ip())
}

/// A resource with untyped objects.
fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

/// Writes to the stand-in's log, where upstream's controllers report some failures.
fn log(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// The object with this name. Creates it if it does not exist.
async fn ensure<K>(api: &Api<K>, name: &str, wanted: &Value) -> Result<K, kube::Error>
where
    K: Clone + Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    if let Some(found) = api.get_opt(name).await? {
        return Ok(found);
    }
    let wanted: K = serde_json::from_value(wanted.clone()).map_err(kube::Error::SerdeError)?;
    api.create(&PostParams::default(), &wanted).await
}

/// Replaces the status of an object.
async fn write_status(
    client: &Client,
    object: &DynamicObject,
    resource: &ApiResource,
    status: Value,
) -> Result<(), kube::Error> {
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, resource);
    let before = object.data.get("status").cloned().unwrap_or_default();
    let patch = json!({"status": replacement_patch(&before, status)});
    match api.patch_status(&object.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        written => written.map(drop),
    }
}

/// A merge patch that replaces one value by another.
fn replacement_patch(before: &Value, after: Value) -> Value {
    let (Value::Object(old), Value::Object(mut new)) = (before, after.clone()) else { return after };
    for (field, value) in &mut new {
        if let Some(old) = old.get(field) {
            *value = replacement_patch(old, value.take());
        }
    }
    for field in old.keys() {
        new.entry(field.clone()).or_insert(Value::Null);
    }
    Value::Object(new)
}

fn owner(object: &DynamicObject, api_version: &str, kind: &str) -> Value {
    json!([{
        "apiVersion": api_version, "kind": kind, "name": object.name_any(),
        "uid": object.uid().unwrap_or_default(), "controller": true, "blockOwnerDeletion": true,
    }])
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
