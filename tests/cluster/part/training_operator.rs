//! Kubeflow's legacy training operator, for PyTorchJobs and others. It creates its own certificate.

use kf_toolchains::go;
use kf_toolchains::upstream::TRAINING_OPERATOR;

use serde_json::{Value, json};

use super::super::controllers::containers_mut;
use super::super::error::Result;
use super::super::images::{self, BUSYBOX};
use super::super::objects::{DEPLOYMENT, is};
use super::{BuildContext, Contents, upstream};

const MANAGER: &str = "kf.test/training-operator:1";

const NAMESPACE: &str = "kubeflow";
const INIT_CONTAINER: &str = "pytorch-init-container";

/// Makes a worker wait until its master's name resolves. Upstream uses `nslookup`, which in Debian's busybox fails if
/// the name is missing in any of the search domains.
const INIT_CONTAINER_TEMPLATE: &str = "- name: init-pytorch
  image: {{.InitContainerImage}}
  command: [sh, -c, 'until ping -c 1 -W 1 {{.MasterAddr}}; do sleep 0.5; done']
";

pub(super) fn contents(context: &BuildContext) -> Result<Contents> {
    let manager = go::build(&TRAINING_OPERATOR.manager(), context.progress)?;
    let mut objects = upstream::objects(&TRAINING_OPERATOR, context)?;
    let definitions = upstream::take_definitions(&mut objects)?;
    for object in &mut objects {
        if is(object, DEPLOYMENT) {
            upstream::adapt_deployment(object, MANAGER);
            use_init_container(object);
        }
    }
    objects.push(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": INIT_CONTAINER, "namespace": NAMESPACE},
        "data": {"initContainer.yaml": INIT_CONTAINER_TEMPLATE},
    }));
    let roles = "manifests/overlays/kubeflow/kubeflow-training-roles.yaml";
    objects.extend(upstream::user_roles(&TRAINING_OPERATOR.sources()?.join(roles))?);
    let template = json!({"spec": {"containers": [{"name": "pytorch", "image": "example"}]}});
    let example = json!({
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": "example", "namespace": "default"},
        "spec": {"pytorchReplicaSpecs": {"Master": {"replicas": 1, "template": template}}},
    });
    Ok(Contents {
        images: vec![images::manager(MANAGER, "/manager", &manager)?],
        definitions,
        objects,
        groups: vec!["kubeflow.org"],
        example: Some(example),
        ..Contents::default()
    })
}

fn use_init_container(deployment: &mut Value) {
    for container in containers_mut(deployment) {
        let Some(container) = container.as_object_mut() else { continue };
        container.insert("args".to_owned(), json!([format!("--pytorch-init-container-image={BUSYBOX}")]));
        if let Some(Value::Array(mounts)) = container.get_mut("volumeMounts") {
            mounts.push(json!({"name": INIT_CONTAINER, "mountPath": "/etc/config", "readOnly": true}));
        }
    }
    if let Some(Value::Array(volumes)) = deployment.pointer_mut("/spec/template/spec/volumes") {
        volumes.push(json!({"name": INIT_CONTAINER, "configMap": {"name": INIT_CONTAINER}}));
    }
}
