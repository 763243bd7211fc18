//! What was meant, where it is no namespace.
//!
//! `kubectl delete` takes a kind and a name, and `kf delete` a namespace: who types the name of a training job is told
//! of `kf remove`.

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::ComponentKind;

/// Refuses `trainjob mnist`, `trainjob/mnist` and `namespace team-a`, with the line that does it.
pub(crate) fn check_line(kf: &Kf, first: &str, second: Option<&str>) -> Result<()> {
    let (kind, name) = match (second, first.split_once('/')) {
        (Some(second), _) => (first, second),
        (None, Some(parts)) => parts,
        (None, None) => return Ok(()),
    };
    let message = format!(
        "kf delete deletes namespaces: it takes one name, not `{first}{}`",
        match second {
            Some(second) => format!(" {second}"),
            None => String::new(),
        }
    );
    let error = Error::invalid(message);
    let line = match (kind.to_lowercase().as_str(), ComponentKind::named(kind)) {
        ("namespace" | "namespaces" | "ns", _) => format!("kf delete {name}"),
        (_, Ok(kind)) => format!("kf remove {kind}/{name}"),
        (_, Err(_)) => return Err(error),
    };
    Err(error.hint(kf.same_target(&line)))
}

/// There is no such namespace, or none to be seen, but a component of that name in the namespace of the run.
pub(crate) fn component_instead(kf: &Kf, name: &str) -> Option<Error> {
    let kinds = ComponentKind::ALL;
    let named = |kind: &ComponentKind| kf.api(kind.kind()).fields(format!("metadata.name={name}"));
    let answers = kf.list_selections(&kinds.iter().map(named).collect::<Vec<_>>());
    let found: Vec<ComponentKind> = kinds
        .into_iter()
        .zip(answers)
        .filter_map(|(kind, answer)| {
            // What a component owns goes with it.
            answer.ok()?.items.iter().any(|object| object.controller().is_none()).then_some(kind)
        })
        .collect();
    let first = found.first()?;
    let component = if found.len() == 1 { name.to_owned() } else { format!("{first}/{name}") };
    let message = format!("no namespace `{name}`, but {first}/{name} in {}", kf.namespace());
    Some(Error::not_found(message).hint(kf.same_target(&format!("kf remove {component}"))))
}
