//! Checks that need no change in the cluster.

use kf_plugin_sdk::abi::WriteOptions;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::complete_named;
use kf_plugin_sdk::{Access, CommandLine, Kf};
use serde_json::Value;

use crate::predictor::{self, GROUP, has_model, kind};

/// Checks that the cluster serves inference services.
pub(crate) fn check_served(kf: &Kf) -> Result<()> {
    if kf.serves(&kind())? {
        return Ok(());
    }
    Err(Error::not_found(format!("this cluster has no inference services (inferenceservices.{GROUP})"))
        .hint("ask your admin to install KServe"))
}

/// Checks that the user can create and change them.
pub(crate) fn check_rights(kf: &Kf, service: &Object) -> Result<()> {
    let verbs = ["create", "patch"];
    let verdicts = kf.can_i(&verbs.map(|verb| Access::new(verb, GROUP, "inferenceservices")))?;
    let Some((verb, _)) = verbs.iter().zip(&verdicts).find(|(_, verdict)| !verdict.allowed) else {
        return Ok(());
    };
    // A refused call has the best error: it names the layer that refused.
    kf.api(kind()).apply_with(service, WriteOptions::DRY_RUN)?;
    let namespace = kf.namespace();
    Err(Error::forbidden(format!("not allowed to {verb} inferenceservices.{GROUP} in {namespace}"))
        .hint(format!("ask an owner of {namespace} for the role kubeflow-edit")))
}

/// Checks that KServe can run the predictor. Returns the runtime of a stored model, if it can be read.
pub(crate) fn check_predictor(kf: &Kf, service: &Object) -> Result<Option<Object>> {
    if !has_model(service) {
        return match predictor::server(service) {
            Some(_) => Ok(None),
            None => Err(Error::invalid("unsupported predictor: it has neither a model nor a container")
                .hint(kf.command_line().set("--image", "IMAGE"))),
        };
    }
    let Some(format) = service.str("/spec/predictor/model/modelFormat/name") else {
        return Err(Error::invalid("the model has no format, which KServe needs to choose a runtime")
            .hint(with_format(kf, &formats(&runtimes(kf)))));
    };
    check_stored(kf, service, format)?;
    runtime(kf, service, format)
}

/// Checks that a model has a location. Without one, KServe adds a multi-model agent from an image that most clusters
/// cannot pull, and the pod never starts.
fn check_stored(kf: &Kf, service: &Object, format: &str) -> Result<()> {
    let stored = ["model/storageUri", "model/storage", "storageUris"];
    if format == "huggingface"
        || stored.iter().any(|field| service.at(&format!("/spec/predictor/{field}")).is_some())
    {
        return Ok(());
    }
    Err(Error::invalid("the model has no storageUri, so its pods cannot start")
        .hint(kf.command_line().set("--model", "URI")))
}

fn runtime(kf: &Kf, service: &Object, format: &str) -> Result<Option<Object>> {
    let all = runtimes(kf);
    let version = service.str("/spec/predictor/model/modelFormat/version");
    if let Some(name) = service.str("/spec/predictor/model/runtime") {
        let Some(runtime) = all.found.iter().find(|runtime| runtime.name() == name) else {
            return if all.complete { Err(no_such_runtime(kf, &all, name)) } else { Ok(None) };
        };
        if runtime.bool("/spec/disabled") == Some(true) {
            return Err(Error::invalid(format!("serving runtime {name} is disabled")));
        }
        if !supports(runtime, format, version, false) {
            let formats = formats_of(runtime).join(", ");
            return Err(Error::invalid(format!(
                "serving runtime {name} does not support {format}, only {formats}"
            ))
            .hint(with_format(kf, &formats_of(runtime))));
        }
        return Ok(Some(runtime.clone()));
    }
    let mut enabled = all.found.iter().filter(|runtime| runtime.bool("/spec/disabled") != Some(true));
    match enabled.find(|runtime| supports(runtime, format, version, true)) {
        Some(runtime) => Ok(Some(runtime.clone())),
        None if !all.complete => Ok(None),
        None => {
            let known = formats(&all);
            let others =
                if known.is_empty() { String::new() } else { format!("; supported: {}", known.join(", ")) };
            let version = version.map(|version| format!(" {version}")).unwrap_or_default();
            Err(Error::not_found(format!("no serving runtime supports the format {format}{version}{others}"))
                .hint(with_format(kf, &known)))
        }
    }
}

/// The typed command line with a supported format, if one is known.
fn with_format(kf: &Kf, known: &[String]) -> CommandLine {
    kf.command_line().set("--format", known.first().map_or("FORMAT", String::as_str))
}

fn no_such_runtime(kf: &Kf, all: &Runtimes, name: &str) -> Error {
    let names: Vec<_> = all.found.iter().map(|runtime| runtime.name().to_owned()).collect();
    let error = Error::not_found(format!("no serving runtime `{name}`"));
    match names.first() {
        None => error.hint("ask your admin which serving runtimes are available"),
        Some(first) => {
            Error { message: format!("{}; available: {}", error.message, names.join(", ")), ..error }
                .hint(kf.command_line().set("--runtime", first))
        }
    }
}

/// The serving runtimes that can be listed, those of the namespace first, in the order KServe uses.
struct Runtimes {
    found: Vec<Object>,
    /// Whether the list is complete.
    complete: bool,
}

/// Completes the name of a serving runtime of either kind.
pub(crate) fn complete(request: &CompletionRequest, kf: &Kf) -> Result<Vec<Candidate>> {
    complete_named(request, kf, &runtime_kinds())
}

fn runtime_kinds() -> [Kind; 2] {
    ["ServingRuntime", "ClusterServingRuntime"].map(|kind| Kind::new(GROUP, kind))
}

fn runtimes(kf: &Kf) -> Runtimes {
    let mut all = Runtimes { found: Vec::new(), complete: true };
    for list in kf.list_many(&runtime_kinds()) {
        match list {
            Ok(list) => all.found.extend(list.items),
            Err(error) if error.is(ErrorCode::NotFound) => {}
            Err(_) => all.complete = false,
        }
    }
    all
}

fn supports(runtime: &Object, format: &str, version: Option<&str>, by_itself: bool) -> bool {
    runtime.list("/spec/supportedModelFormats").iter().any(|supported| {
        let text = |field: &str| supported.get(field).and_then(Value::as_str);
        text("name") == Some(format)
            && (version.is_none() || text("version") == version)
            && (!by_itself || supported.get("autoSelect").and_then(Value::as_bool) == Some(true))
    })
}

fn formats_of(runtime: &Object) -> Vec<String> {
    let names = runtime.list("/spec/supportedModelFormats").iter();
    let mut names: Vec<_> =
        names.filter_map(|format| format.get("name")?.as_str()).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn formats(all: &Runtimes) -> Vec<String> {
    let mut names: Vec<_> = all.found.iter().flat_map(formats_of).collect();
    names.sort_unstable();
    names.dedup();
    names
}
