//! Tests against an existing cluster, whose admin kubeconfig [`KUBECONFIG_VARIABLE`](super::KUBECONFIG_VARIABLE)
//! names.
//!
//! The certificates of the test users are signed through that cluster's certificate API. What tests need is
//! applied to it and is not removed: roles, the two teams' namespaces, the custom resource definitions and the
//! runtime `kf-test`. For [`Profile::Node`] the cluster must run Kubeflow Trainer and have the images
//! `kf.test/trainer:1` and `kf.test/busybox:1`. A required [`Part`](super::Part) is assumed to be installed.

use std::path::Path;

use fs_err as fs;
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestSpec};
use k8s_openapi::api::core::v1::Node;
use kf_toolchains::kubernetes::Binaries;
use kf_toolchains::{Progress, command};
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::config::Kubeconfig;
use kube::{Api, Client};
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;

use super::client::{block_on, connect, wait_for};
use super::error::{ClusterError, Result};
use super::pki::{Identity, subject};
use super::supervisor::{self, Files, ProcessIdentity};
use super::users::{self, User};
use super::{Cluster, Hold, Profile, STATE_VERSION, State, manifests, new_directory};

const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

/// The Deployment of upstream's manifests.
const TRAINER: &str = "kubeflow-trainer-controller-manager";

/// Prepares the cluster of `kubeconfig`.
pub(crate) fn prepare(kubeconfig: &Path, profile: Profile, progress: Progress) -> Result<Cluster> {
    progress(&format!("using the cluster of {}", kubeconfig.display()));
    let definitions = manifests::definitions(progress)?;
    let kubectl = match command::need("kubectl", "to test against an existing cluster", "install it") {
        Ok(path) => path,
        Err(missing) => Binaries::for_api(progress).map_err(|_| missing)?.path("kubectl"),
    };
    let directory = new_directory();
    let users_directory = directory.join("pki");
    fs::create_dir_all(&users_directory)?;
    // The directory belongs to this process, and is removed by a later run.
    supervisor::write_json(&Files(&directory).supervisor(), &ProcessIdentity::own()?)?;
    let admin = User::Admin.kubeconfig(&users_directory);
    users::copy_kubeconfig(kubeconfig, &admin, User::Admin.home())?;
    let server = block_on(async {
        let client = connect(&admin).await?;
        if profile == Profile::Node {
            check_node_profile(&client).await?;
        }
        for user in [User::DataScientist, User::Viewer, User::NoRights] {
            let identity = request_identity(&client, user, &directory).await?;
            write_kubeconfig(&admin, &users_directory, user, &identity)?;
        }
        server_of(&admin)
    })?;
    let state =
        State { version: STATE_VERSION, profile, server, kubectl, has_controllers: true, existing: true };
    let cluster = Cluster { directory, state, hold: Hold::Directory };
    block_on(async {
        let client = connect(&admin).await?;
        cluster.prepare_resources(&client, &definitions, None).await
    })?;
    Ok(cluster)
}

/// Checks that tests can run pods in the cluster of `kubeconfig`.
pub(crate) fn check_nodes(kubeconfig: &Path) -> Result<()> {
    block_on(async { check_node_profile(&connect(kubeconfig).await?).await })
}

async fn check_node_profile(client: &Client) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let nodes = nodes.list(&ListParams::default()).await.map_err(ClusterError::api("list the nodes"))?;
    if nodes.items.is_empty() {
        return Err(ClusterError::ExistingLacks("node"));
    }
    let deployments: Api<Deployment> = Api::all(client.clone());
    let trainer = ListParams::default().fields(&format!("metadata.name={TRAINER}"));
    let trainer = deployments.list(&trainer).await.map_err(ClusterError::api("list the Deployments"))?;
    if trainer.items.is_empty() {
        return Err(ClusterError::ExistingLacks("Kubeflow Trainer"));
    }
    Ok(())
}

/// Requests a certificate for `user` from the cluster.
async fn request_identity(client: &Client, user: User, directory: &Path) -> Result<Identity> {
    let certify = |source| ClusterError::Certificate { subject: user.name().to_owned(), source };
    let key = KeyPair::generate().map_err(certify)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(user.name(), None);
    let request = params.serialize_request(&key).and_then(|request| request.pem()).map_err(certify)?;

    let name = format!("kf-tests-{}-{}", user.name(), std::process::id());
    let doing = format!("have the certificate of {} signed", user.name());
    let requests: Api<CertificateSigningRequest> = Api::all(client.clone());
    let object = CertificateSigningRequest {
        metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
        spec: CertificateSigningRequestSpec {
            request: ByteString(request.into_bytes()),
            signer_name: CLIENT_SIGNER.to_owned(),
            usages: Some(vec!["client auth".to_owned()]),
            expiration_seconds: Some(24 * 3600),
            ..CertificateSigningRequestSpec::default()
        },
        status: None,
    };
    let approval = json!({"status": {"conditions": [
        {"type": "Approved", "status": "True", "reason": "Test", "message": "a user of kf's tests"},
    ]}});
    let _ = requests.delete(&name, &DeleteParams::default()).await;
    requests.create(&PostParams::default(), &object).await.map_err(ClusterError::api(doing.clone()))?;
    requests
        .patch_approval(&name, &PatchParams::default(), &Patch::Merge(approval))
        .await
        .map_err(ClusterError::api(doing.clone()))?;
    let certificate = wait_for(&doing, directory, || async {
        let request = requests.get(&name).await.map_err(ClusterError::api(doing.clone()))?;
        Ok(request.status.and_then(|status| status.certificate))
    })
    .await?;
    let _ = requests.delete(&name, &DeleteParams::default()).await;
    let certificate = String::from_utf8(certificate.0)
        .map_err(|error| ClusterError::malformed(format!("the certificate of {}", user.name()), error))?;
    Ok(Identity { certificate, key: key.serialize_pem() })
}

/// Writes the admin's kubeconfig with another user.
fn write_kubeconfig(admin: &Path, directory: &Path, user: User, identity: &Identity) -> Result<()> {
    let unusable = |reason: String| ClusterError::Kubeconfig { path: admin.to_owned(), reason };
    let mut kubeconfig = Kubeconfig::read_from(admin).map_err(|error| unusable(error.to_string()))?;
    let login = json!({
        "client-certificate-data": ByteString(identity.certificate.clone().into_bytes()),
        "client-key-data": ByteString(identity.key.clone().into_bytes()),
    });
    for named in &mut kubeconfig.auth_infos {
        named.auth_info =
            Some(serde_json::from_value(login.clone()).map_err(|error| unusable(error.to_string()))?);
    }
    let path = user.kubeconfig(directory);
    users::write_parsed(&path, &kubeconfig)?;
    users::copy_kubeconfig(&path, &path, user.home())
}

fn server_of(kubeconfig: &Path) -> Result<String> {
    let unusable =
        |reason: &str| ClusterError::Kubeconfig { path: kubeconfig.to_owned(), reason: reason.to_owned() };
    let parsed = Kubeconfig::read_from(kubeconfig).map_err(|error| unusable(&error.to_string()))?;
    let current = parsed.current_context.unwrap_or_default();
    let context = parsed.contexts.into_iter().find(|context| context.name == current);
    let cluster = context.and_then(|named| named.context).map(|context| context.cluster).unwrap_or_default();
    parsed
        .clusters
        .into_iter()
        .find(|named| named.name == cluster)
        .and_then(|named| named.cluster?.server)
        .ok_or_else(|| unusable("its current context has no server"))
}
