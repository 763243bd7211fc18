//! The training runtime: chosen, and known to exist before anything is created.

use kf_plugin_sdk::CommandLine;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::complete_named;

use crate::GROUP;

pub const CLUSTER_WIDE: &str = "ClusterTrainingRuntime";
pub const OF_NAMESPACE: &str = "TrainingRuntime";

/// Completes the name of a runtime of either kind.
pub fn complete(request: &CompletionRequest, kf: &Kf) -> Result<Vec<Candidate>> {
    complete_named(request, kf, &[CLUSTER_WIDE, OF_NAMESPACE].map(|kind| Kind::new(GROUP, kind)))
}

/// Settles which runtime the job uses, and returns it if it may be read; who may not read runtimes
/// leaves the check to the server.
pub fn settle(kf: &Kf, flag: Option<&str>, job: &mut Object) -> Result<Option<Object>> {
    let named = flag.or_else(|| job.str("/spec/runtimeRef/name")).map(str::to_owned);
    let Some(name) = named else { return choose(kf, job) };
    // A runtime named by a flag may be of either kind; the file says which it means.
    let kinds = match (flag, job.str("/spec/runtimeRef/kind")) {
        (None, Some(OF_NAMESPACE)) => vec![OF_NAMESPACE],
        (None, _) => vec![CLUSTER_WIDE],
        (Some(_), _) => vec![CLUSTER_WIDE, OF_NAMESPACE],
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

/// Without a name the only runtime there is will do.
fn choose(kf: &Kf, job: &mut Object) -> Result<Option<Object>> {
    let runtimes = available(kf);
    match runtimes.as_slice() {
        [(kind, runtime)] => {
            kf.note(format!("with the runtime {}, the only one here", runtime.name()));
            use_runtime(job, kind, runtime.name());
            Ok(Some(runtime.clone()))
        }
        [] => {
            Err(Error::invalid("no runtime is named, and none can be seen here")
                .hint(with_runtime(kf, "NAME")))
        }
        several => {
            let names: Vec<_> = several.iter().map(|(_, runtime)| runtime.name()).collect();
            let first = names.first().copied().unwrap_or("NAME");
            Err(Error::invalid(format!("no runtime is named; there are {}", names.join(", ")))
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
        None => error.hint("ask your admin which training runtimes there are"),
        Some(first) => {
            Error { message: format!("{}; there are {}", error.message, names.join(", ")), ..error }
                .hint(with_runtime(kf, first))
        }
    }
}

/// Every runtime that is supported and may be seen, with its kind.
fn available(kf: &Kf) -> Vec<(&'static str, Object)> {
    let mut found = Vec::new();
    for kind in [CLUSTER_WIDE, OF_NAMESPACE] {
        // Only for a hint: what cannot be listed is not named.
        let runtimes = kf.api(Kind::new(GROUP, kind)).list().unwrap_or_default();
        let supported = runtimes.into_iter().filter(|runtime| !is_deprecated(runtime));
        found.extend(supported.map(|runtime| (kind, runtime)));
    }
    found
}

/// Whether upstream, or the admin, has put it on the way out.
pub fn is_deprecated(runtime: &Object) -> bool {
    runtime.label("trainer.kubeflow.org/support") == Some("deprecated")
}

fn warn_if_deprecated(kf: &Kf, runtime: &Object) {
    if is_deprecated(runtime) {
        kf.warn(format!("the runtime {} is deprecated", runtime.name()));
    }
}
