//! The shape of an InferenceService, and where in it things are.

use kf_plugin_sdk::prelude::*;
use serde_json::{Map, Value, json};

pub(crate) const GROUP: &str = "serving.kserve.io";
pub(crate) const KIND: &str = "InferenceService";

/// The version written when there is no file to say one.
const VERSION: &str = "v1beta1";

/// What the pods of a service, and the objects between, are labelled with.
pub(crate) const SERVICE_LABEL: &str = "serving.kserve.io/inferenceservice";
/// With `"true"` the service has no pods.
pub(crate) const STOP: &str = "serving.kserve.io/stop";
const MODE: &str = "serving.kserve.io/deploymentMode";

/// Names the revision in the predictor's annotations. KServe copies it to the Deployment and its
/// pods, and that is how kf knows a change has arrived there: `status.observedGeneration` is the
/// Deployment's, and says nothing about the service's own.
pub(crate) const REVISION: &str = "kf-cli.dev/revision";

/// The container that answers requests, as KServe calls it.
const SERVER: &str = "kserve-container";

/// Where a server listens if it does not say.
pub(crate) const DEFAULT_PORT: u16 = 8080;

/// How a model was named before `model` had a format; KServe turns one into the other.
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

/// The service as a manifest: what the server fills in is left out.
pub(crate) fn as_it_is(service: &Object) -> Object {
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

/// The name rule of KServe's webhook; the names of its Service and Deployment are made from it.
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
        "`{name}` is no name for an inference service: at most 53 of a-z, 0-9 and -, a letter first, no - last"
    )))
}

/// Where the server's container is: beside the model, or in the list of containers.
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

/// A service whose predictor is one container.
pub(crate) fn set_image(service: &mut Object, image: &str) {
    remove(service, "model");
    if !change_server(service, |container| container.set("/image", image)) {
        service.set("/spec/predictor/containers", json!([{ "name": SERVER, "image": image }]));
    }
}

/// A service whose predictor is a stored model.
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

/// The predictor without the name of its revision.
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

/// The name of the revision a service asks for, if kf wrote one.
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

/// The name that the same content always gets, so that going back to it finds the pods of then.
pub(crate) fn name_of_revision(content: &Value) -> String {
    // FNV-1a. A map of serde_json is sorted, so that equal documents are equal texts.
    let hash = content.to_string().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}").chars().take(10).collect()
}

pub(crate) fn is_stopped(service: &Object) -> bool {
    service.annotation(STOP) == Some("true")
}

/// Whether Knative runs the pods instead of a Deployment. A service that does not say leaves it to
/// KServe's configuration, which marks it when it is Standard.
pub(crate) fn by_knative(service: &Object) -> bool {
    let mode = service.str("/status/deploymentMode").or_else(|| service.annotation(MODE));
    !matches!(mode, Some("Standard" | "RawDeployment"))
}

/// The port its pods answer on.
pub(crate) fn port(container: &Object) -> u16 {
    container.int("/ports/0/containerPort").and_then(|port| u16::try_from(port).ok()).unwrap_or(DEFAULT_PORT)
}

/// Where other pods reach it.
pub(crate) fn address(service: &Object) -> Option<&str> {
    service.str("/status/address/url").or_else(|| service.str("/status/url"))
}

/// What it serves, in a word: the model's place or the image.
pub(crate) fn serves(service: &Object) -> Option<String> {
    let container = server(service)?;
    let model = service.str(&format!("{container}/storageUri"));
    model.or_else(|| service.str(&format!("{container}/image"))).map(str::to_owned)
}
