//! Suggestions for arguments that do not name a namespace.
//!
//! `kubectl delete` expects a kind and a name, `kf delete` a namespace: for a workload, the hint is `kf remove`.

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::WorkloadKind;

/// Refuses `trainjob mnist`, `trainjob/mnist` and `namespace team-a`, with the right command as the hint.
pub(crate) fn check_arguments(kf: &Kf, first: &str, second: Option<&str>) -> Result<()> {
    let (kind, name) = match (second, first.split_once('/')) {
        (Some(second), _) => (first, second),
        (None, Some(parts)) => parts,
        (None, None) => return Ok(()),
    };
    let message = format!(
        "kf delete deletes only namespaces: expected one name, got `{first}{}`",
        match second {
            Some(second) => format!(" {second}"),
            None => String::new(),
        }
    );
    let error = Error::invalid(message);
    let line = match (kind.to_lowercase().as_str(), WorkloadKind::named(kind)) {
        ("namespace" | "namespaces" | "ns", _) => format!("kf delete {name}"),
        (_, Ok(kind)) => format!("kf remove {kind}/{name}"),
        (_, Err(_)) => return Err(error),
    };
    Err(error.hint(kf.same_target(&line)))
}

/// The error for a missing or unreadable namespace if the current namespace has a workload of that name.
pub(crate) fn workload_error(kf: &Kf, name: &str) -> Option<Error> {
    let kinds = WorkloadKind::ALL;
    let named = |kind: &WorkloadKind| kf.api(kind.kind()).fields(format!("metadata.name={name}"));
    let answers = kf.list_selections(&kinds.iter().map(named).collect::<Vec<_>>());
    let found: Vec<WorkloadKind> = kinds
        .into_iter()
        .zip(answers)
        .filter_map(|(kind, answer)| {
            // An owned object is deleted with its owner.
            answer.ok()?.items.iter().any(|object| object.controller().is_none()).then_some(kind)
        })
        .collect();
    let first = found.first()?;
    let workload = if found.len() == 1 { name.to_owned() } else { format!("{first}/{name}") };
    let message = format!("no namespace `{name}`, but {first}/{name} in {}", kf.namespace());
    Some(Error::not_found(message).hint(kf.same_target(&format!("kf remove {workload}"))))
}
