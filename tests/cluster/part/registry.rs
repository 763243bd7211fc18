//! A registry of container images in the node's network: the machine pushes to the node's address, and containerd
//! pulls from `localhost`, which needs no TLS.

use kf_toolchains::{command, go, optional};
use serde_json::{Value, json};

use super::super::error::{ClusterError, Result};
use super::super::image::Image;
use super::super::{Cluster, supervisor};
use super::{BuildContext, Contents, import};

/// The registry's port on the node.
const PORT: u16 = 5000;

const NAMESPACE: &str = "kube-system";
const NAME: &str = "registry";

pub(super) fn contents(context: &BuildContext) -> Result<Contents> {
    let program = go::build(&optional::registry(), context.progress)?;
    let image = Image::new("kf.test/registry:1").with_program("registry", &program)?.entrypoint("/registry");
    Ok(Contents { images: vec![image], objects: objects().to_vec(), ..Contents::default() })
}

/// Pushes `image` to `repository`; see [`Cluster::push`].
pub(super) fn push(cluster: &Cluster, image: &str, repository: &str) -> Result<String> {
    let directory = cluster.directory();
    let node = supervisor::read_plan(directory)?
        .node
        .ok_or_else(|| ClusterError::malformed(directory, "its plan has no node"))?;
    let target = format!("{}:{PORT}/{repository}:latest", node.link.node_address());
    command::output(import::ctr(directory)?.args(["images", "tag", "--force", image, &target]))?;
    command::output(import::ctr(directory)?.args(["images", "push", "--plain-http", &target]))?;
    let listed =
        command::output(import::ctr(directory)?.args(["images", "list", &format!("name=={target}")]))?;
    // A header line, then the name, the type and the digest.
    let digest = listed
        .lines()
        .nth(1)
        .and_then(|line| line.split_whitespace().find(|word| word.starts_with("sha256:")))
        .ok_or_else(|| ClusterError::malformed(&target, format!("its digest is not in `{listed}`")))?;
    Ok(format!("localhost:{PORT}/{repository}@{digest}"))
}

fn objects() -> [Value; 2] {
    let configuration = json!({
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": true}},
        "storage": {
            "filesystem": {"rootdirectory": "/data"},
            "delete": {"enabled": true},
        },
        "http": {"addr": format!("0.0.0.0:{PORT}"), "secret": "of no worth outside this cluster"},
    });
    let configuration = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "data": {"config.yml": configuration.to_string()},
    });
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": {"app": NAME}},
            "strategy": {"type": "Recreate"},
            "template": {
                "metadata": {"labels": {"app": NAME}},
                "spec": {
                    "hostNetwork": true,
                    "automountServiceAccountToken": false,
                    "containers": [{
                        "name": NAME,
                        "image": "kf.test/registry:1",
                        "args": ["serve", "/etc/registry/config.yml"],
                        "readinessProbe": {
                            "httpGet": {"path": "/v2/", "port": PORT},
                            "periodSeconds": 1,
                        },
                        "resources": {"requests": {"cpu": "20m", "memory": "50Mi"}},
                        "volumeMounts": [
                            {"name": "configuration", "mountPath": "/etc/registry", "readOnly": true},
                            {"name": "data", "mountPath": "/data"},
                        ],
                    }],
                    "volumes": [
                        {"name": "configuration", "configMap": {"name": NAME}},
                        {"name": "data", "emptyDir": {}},
                    ],
                },
            },
        },
    });
    [configuration, deployment]
}
