//! The fields of an InferenceService.

use kf_plugin_sdk::prelude::*;
use serde_json::{Map, Value, json};

pub(crate) const GROUP: &str = "serving.kserve.io";
pub(crate) const KIND: &str = "InferenceService";

/// The API version of services that are not from a file.
const VERSION: &str = "v1beta1";

/// The label of the pods of a service, and of the objects that own them.
pub(crate) const SERVICE_LABEL: &str = "serving.kserve.io/inferenceservice";
/// With `"true"` the service has no pods.
pub(crate) const STOP: &str = "serving.kserve.io/stop";
const MODE: &str = "serving.kserve.io/deploymentMode";

/// The annotation of the predictor that names the revision. KServe copies it to the Deployment and its pods, which
/// shows that a change has arrived there: `status.observedGeneration` is that of the Deployment, not of the service.
pub(crate) const REVISION: &str = "kf-cli.dev/revision";

/// KServe's name of the container that serves requests.
const SERVER: &str = "kserve-container";

/// The port of a server that declares none.
pub(crate) const DEFAULT_PORT: u16 = 8080;

/// The fields for models before `model.modelFormat`; KServe converts them.
const FORMATS: [&str; 10] = [
    "sklearn",
    "xgboost",
    "tensorflow",
    "pytorch",
    "triton",
    "onnx",
    "huggingface",
    "pmml",
    "lightgbm",
    "paddle",
];

/// The kind, in the version the cluster prefers.
pub(crate) fn kind() -> Kind {
    Kind::new(GROUP, KIND)
}

/// A service with nothing but its name.
pub(crate) fn empty(name: &str) -> Object {
    Object::new(&kind().version(VERSION), name)
}

/// The service as a manifest, without the fields that the server sets.
pub(crate) fn manifest_of(service: &Object) -> Object {
    let mut manifest = empty(service.name());
    for pointer in ["/apiVersion", "/metadata/labels", "/metadata/annotations", "/spec"] {
        if let Some(value) = service.at(pointer) {
            manifest.set(pointer, value.clone());
        }
    }
    normalised(manifest)
}

/// With `sklearn: {…}` written as `model: {modelFormat: {name: sklearn}, …}`.
pub(crate) fn normalised(mut service: Object) -> Object {
    let Some(predictor) = service.at("/spec/predictor").and_then(Value::as_object) else { return service };
    let Some(format) = FORMATS.into_iter().find(|format| predictor.contains_key(*format)) else {
        return service;
    };
    let mut predictor = predictor.clone();
    if let Some(Value::Object(mut model)) = predictor.remove(format) {
        model.insert("modelFormat".into(), json!({ "name": format }));
        predictor.insert("model".into(), model.into());
    }
    service.set("/spec/predictor", predictor);
    service
}

/// Checks a name by the rule of KServe's webhook, which derives the names of Service and Deployment from it.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let inner = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    // `NAME-predictor` is the name of a Service: at most 63 characters.
    let fits = name.len() <= 53
        && name.starts_with(|letter: char| letter.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(inner);
    if fits {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "invalid inference service name `{name}`: up to 53 of a-z, 0-9 and -, starting with a letter, not ending with -"
    )))
}

/// The pointer to the server's container: the model, or an item of the list of containers.
pub(crate) fn server(service: &Object) -> Option<String> {
    if has_model(service) {
        return Some("/spec/predictor/model".to_owned());
    }
    let containers = service.list("/spec/predictor/containers");
    let named = |container: &Value| container.get("name").and_then(Value::as_str) == Some(SERVER);
    let index = containers.iter().position(named).or((!containers.is_empty()).then_some(0))?;
    Some(format!("/spec/predictor/containers/{index}"))
}

pub(crate) fn has_model(service: &Object) -> bool {
    service.at("/spec/predictor/model").is_some_and(Value::is_object)
}

/// Changes the server's container; false if there is none.
pub(crate) fn change_server(service: &mut Object, change: impl FnOnce(&mut Object)) -> bool {
    let Some(pointer) = server(service) else { return false };
    let mut document = std::mem::take(service).into_value();
    if let Some(place) = document.pointer_mut(&pointer) {
        let mut container = Object::from(place.take());
        change(&mut container);
        *place = container.into_value();
    }
    *service = document.into();
    true
}

/// Makes the predictor a container.
pub(crate) fn set_image(service: &mut Object, image: &str) {
    remove(service, "model");
    if !change_server(service, |container| container.set("/image", image)) {
        service.set("/spec/predictor/containers", json!([{ "name": SERVER, "image": image }]));
    }
}

/// Makes the predictor a stored model.
pub(crate) fn set_model(service: &mut Object, uri: &str) {
    remove(service, "containers");
    service.set("/spec/predictor/model/storageUri", uri);
}

fn remove(service: &mut Object, field: &str) {
    if let Some(mut predictor) = service.at("/spec/predictor").and_then(Value::as_object).cloned() {
        predictor.remove(field);
        service.set("/spec/predictor", predictor);
    }
}

/// The predictor without its revision annotation.
pub(crate) fn content(service: &Object) -> Value {
    let mut predictor = service.at("/spec/predictor").cloned().unwrap_or(Value::Null);
    if let Some(fields) = predictor.as_object_mut() {
        let mut annotations =
            fields.remove("annotations").and_then(|value| value.as_object().cloned()).unwrap_or_default();
        annotations.remove(REVISION);
        if !annotations.is_empty() {
            fields.insert("annotations".into(), annotations.into());
        }
    }
    predictor
}

/// The revision name in the spec, if kf wrote one.
pub(crate) fn revision(service: &Object) -> Option<&str> {
    service.at("/spec/predictor/annotations")?.get(REVISION)?.as_str()
}

pub(crate) fn set_revision(service: &mut Object, revision: &str) {
    let mut annotations = service
        .at("/spec/predictor/annotations")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_else(Map::new);
    annotations.insert(REVISION.into(), revision.into());
    service.set("/spec/predictor/annotations", annotations);
}

/// The revision name of a predictor: a hash, so that a rollback finds the pods of the same content.
pub(crate) fn name_of_revision(content: &Value) -> String {
    // FNV-1a. Maps of serde_json are sorted, so equal documents have equal text.
    let hash = content.to_string().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}").chars().take(10).collect()
}

pub(crate) fn is_stopped(service: &Object) -> bool {
    service.annotation(STOP) == Some("true")
}

/// Whether Knative runs the pods instead of a Deployment. The default is in KServe's configuration; KServe records the
/// mode in the status if it is Standard.
pub(crate) fn by_knative(service: &Object) -> bool {
    let mode = service.str("/status/deploymentMode").or_else(|| service.annotation(MODE));
    !matches!(mode, Some("Standard" | "RawDeployment"))
}

/// The port of the server.
pub(crate) fn port(container: &Object) -> u16 {
    container.int("/ports/0/containerPort").and_then(|port| u16::try_from(port).ok()).unwrap_or(DEFAULT_PORT)
}

/// The address inside the cluster.
pub(crate) fn address(service: &Object) -> Option<&str> {
    service.str("/status/address/url").or_else(|| service.str("/status/url"))
}

/// What it serves: the location of the model, or the image.
pub(crate) fn serves(service: &Object) -> Option<String> {
    let container = server(service)?;
    let model = service.str(&format!("{container}/storageUri"));
    model.or_else(|| service.str(&format!("{container}/image"))).map(str::to_owned)
}
