//! KServe's manager, for InferenceServices without Istio and Knative.
//!
//! Upstream's manifests are changed to work without cert-manager, whose certificate is created here, and without the
//! metrics proxy. Models are deployed in the Standard mode, without an Ingress, and reached through their Services.

use kf_toolchains::upstream::KSERVE;
use kf_toolchains::{go, optional};
use serde_json::{Value, json};

use super::super::error::{ClusterError, Result};
use super::super::images;
use super::super::objects::{DEPLOYMENT, is};
use super::super::pki::{Authority, Identity};
use super::{BuildContext, Contents, python, upstream};

const MANAGER: &str = "kf.test/kserve-manager:1";
/// Downloads a model over `http://` or `https://` before its server starts.
const STORAGE_INITIALIZER: &str = "kf.test/storage-initializer:1";
const NAMESPACE: &str = "kserve";
const WEBHOOK_SERVICE: &str = "kserve-webhook-server-service";
const WEBHOOK_SECRET: &str = "kserve-webhook-server-cert";
const CONFIGURATION: &str = "inferenceservice-config";

pub(super) fn contents(context: &BuildContext) -> Result<Contents> {
    let manager = go::build(&KSERVE.manager(), context.progress)?;
    let sources = KSERVE.sources()?;
    let mut objects = upstream::objects(&KSERVE, context)?;
    let definitions = upstream::take_definitions(&mut objects)?;

    let authority = Authority::new("kf test cluster kserve webhooks")?;
    let name = format!("{WEBHOOK_SERVICE}.{NAMESPACE}.svc");
    let server = authority.server(&name, None, &[&name], &[])?;
    objects.retain(|object| !is(object, "Issuer") && !is(object, "Certificate"));
    for object in &mut objects {
        adapt(object, &authority)?;
    }
    objects.push(secret(&server));
    objects.extend(upstream::user_roles(&sources.join("config/overlays/kubeflow/cluster-role.yaml"))?);

    let entrypoint = sources.join("python/storage-initializer/scripts/initializer-entrypoint");
    let initializer = python::image(STORAGE_INITIALIZER, &optional::STORAGE_INITIALIZER, context)?
        .with_program("storage-initializer/scripts/initializer-entrypoint", &entrypoint)?
        .entrypoint("/storage-initializer/scripts/initializer-entrypoint");
    let example = json!({
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "example", "namespace": "default"},
        "spec": {"predictor": {"containers": [{"name": "kserve-container", "image": "example"}]}},
    });
    Ok(Contents {
        images: vec![images::manager(MANAGER, "/manager", &manager)?, initializer],
        definitions,
        objects,
        groups: vec!["serving.kserve.io"],
        example: Some(example),
        ..Contents::default()
    })
}

fn adapt(object: &mut Value, authority: &Authority) -> Result<()> {
    let named =
        |object: &Value, name: &str| object.pointer("/metadata/name").and_then(Value::as_str) == Some(name);
    if is(object, DEPLOYMENT) {
        if let Some(Value::Array(containers)) = object.pointer_mut("/spec/template/spec/containers") {
            containers.retain(|container| container.get("name") == Some(&json!("manager")));
        }
        upstream::adapt_deployment(object, MANAGER);
    } else if is(object, "MutatingWebhookConfiguration") || is(object, "ValidatingWebhookConfiguration") {
        let bundle = base64(&authority.certificate());
        let webhooks = object.get_mut("webhooks").and_then(Value::as_array_mut);
        for webhook in webhooks.into_iter().flatten() {
            if let Some(Value::Object(client)) = webhook.get_mut("clientConfig") {
                client.insert("caBundle".to_owned(), bundle.clone());
            }
        }
    } else if is(object, "ClusterStorageContainer") && named(object, "default") {
        if let Some(Value::Object(container)) = object.pointer_mut("/spec/container") {
            container.insert("image".to_owned(), json!(STORAGE_INITIALIZER));
            container.insert("resources".to_owned(), json!({"requests": {"cpu": "20m", "memory": "50Mi"}}));
        }
    } else if is(object, "ConfigMap") && named(object, CONFIGURATION) {
        configure(object)?;
    }
    Ok(())
}

/// The values of this ConfigMap are JSON documents.
fn configure(object: &mut Value) -> Result<()> {
    let malformed = |reason: &str| ClusterError::malformed(CONFIGURATION, reason);
    let data =
        object.get_mut("data").and_then(Value::as_object_mut).ok_or_else(|| malformed("it has no data"))?;
    let ingress = data.get("ingress").and_then(Value::as_str).ok_or_else(|| malformed("no ingress"))?;
    let mut ingress: Value =
        serde_json::from_str(ingress).map_err(|error| malformed(&format!("ingress: {error}")))?;
    if let Some(ingress) = ingress.as_object_mut() {
        ingress.insert("disableIngressCreation".to_owned(), json!(true));
        ingress.insert("disableIstioVirtualHost".to_owned(), json!(true));
    }
    data.insert("ingress".to_owned(), json!(ingress.to_string()));
    data.insert("deploy".to_owned(), json!(json!({"defaultDeploymentMode": "Standard"}).to_string()));
    data.remove("_example");
    Ok(())
}

fn secret(server: &Identity) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": WEBHOOK_SECRET, "namespace": NAMESPACE},
        "data": {"tls.crt": base64(&server.certificate), "tls.key": base64(&server.key)},
    })
}

fn base64(text: &str) -> Value {
    json!(k8s_openapi::ByteString(text.as_bytes().to_vec()))
}
