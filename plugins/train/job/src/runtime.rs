//! Resolves the training runtime before anything is created.

use kf_plugin_sdk::CommandLine;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::complete_named;

use crate::GROUP;

pub const CLUSTER_WIDE: &str = "ClusterTrainingRuntime";
pub const NAMESPACED: &str = "TrainingRuntime";

/// Completes the name of a runtime of either kind.
pub fn complete(request: &CompletionRequest, kf: &Kf) -> Result<Vec<Candidate>> {
    complete_named(request, kf, &[CLUSTER_WIDE, NAMESPACED].map(|kind| Kind::new(GROUP, kind)))
}

/// Resolves the runtime of the job and returns it. Returns `None` if the user is not allowed to read runtimes;
/// then the server checks it.
pub fn resolve(kf: &Kf, flag: Option<&str>, job: &mut Object) -> Result<Option<Object>> {
    let named = flag.or_else(|| job.str("/spec/runtimeRef/name")).map(str::to_owned);
    let Some(name) = named else { return choose(kf, job) };
    // A flag may name a runtime of either kind; a file sets the kind.
    let kinds = match (flag, job.str("/spec/runtimeRef/kind")) {
        (None, Some(NAMESPACED)) => vec![NAMESPACED],
        (None, _) => vec![CLUSTER_WIDE],
        (Some(_), _) => vec![CLUSTER_WIDE, NAMESPACED],
    };
    let mut unreadable = false;
    for kind in kinds {
        match kf.api(Kind::new(GROUP, kind)).find(&name) {
            Ok(Some(runtime)) => {
                warn_if_deprecated(kf, &runtime);
                if flag.is_some() {
                    use_runtime(job, kind, &name);
                }
                return Ok(Some(runtime));
            }
            Ok(None) => {}
            Err(error) if error.is(ErrorCode::Forbidden) => unreadable = true,
            Err(error) => return Err(error),
        }
    }
    if unreadable {
        if flag.is_some() {
            use_runtime(job, CLUSTER_WIDE, &name);
        }
        return Ok(None);
    }
    Err(missing(kf, &name))
}

/// Chooses the only runtime, if there is only one.
fn choose(kf: &Kf, job: &mut Object) -> Result<Option<Object>> {
    let runtimes = available(kf);
    match runtimes.as_slice() {
        [(kind, runtime)] => {
            kf.note(format!("using runtime {}, the only one available", runtime.name()));
            use_runtime(job, kind, runtime.name());
            Ok(Some(runtime.clone()))
        }
        [] => Err(Error::invalid("no runtime given, and none found").hint(with_runtime(kf, "NAME"))),
        several => {
            let names: Vec<_> = several.iter().map(|(_, runtime)| runtime.name()).collect();
            let first = names.first().copied().unwrap_or("NAME");
            Err(Error::invalid(format!("no runtime given; available: {}", names.join(", ")))
                .hint(with_runtime(kf, first)))
        }
    }
}

fn with_runtime(kf: &Kf, name: &str) -> CommandLine {
    kf.command_line().set("--runtime", name)
}

fn use_runtime(job: &mut Object, kind: &str, name: &str) {
    job.set("/spec/runtimeRef", serde_json::json!({ "apiGroup": GROUP, "kind": kind, "name": name }));
}

fn missing(kf: &Kf, name: &str) -> Error {
    let error = Error::not_found(format!("no training runtime `{name}`"));
    let names: Vec<_> = available(kf).into_iter().map(|(_, runtime)| runtime.name().to_owned()).collect();
    match names.first() {
        None => error.hint("ask your admin which training runtimes exist"),
        Some(first) => {
            Error { message: format!("{}; available: {}", error.message, names.join(", ")), ..error }
                .hint(with_runtime(kf, first))
        }
    }
}

/// All supported runtimes that can be listed, with their kinds.
fn available(kf: &Kf) -> Vec<(&'static str, Object)> {
    let mut found = Vec::new();
    for kind in [CLUSTER_WIDE, NAMESPACED] {
        // Only for a hint, so a failure to list is ignored.
        let runtimes = kf.api(Kind::new(GROUP, kind)).list().unwrap_or_default();
        let supported = runtimes.into_iter().filter(|runtime| !is_deprecated(runtime));
        found.extend(supported.map(|runtime| (kind, runtime)));
    }
    found
}

/// Whether upstream or the admin has marked it as deprecated.
pub fn is_deprecated(runtime: &Object) -> bool {
    runtime.label("trainer.kubeflow.org/support") == Some("deprecated")
}

fn warn_if_deprecated(kf: &Kf, runtime: &Object) {
    if is_deprecated(runtime) {
        kf.warn(format!("runtime {} is deprecated", runtime.name()));
    }
}
