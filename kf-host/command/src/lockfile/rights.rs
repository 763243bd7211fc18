//! Rights as lines of a lock file.
//!
//! The words shown at the prompt are for people and get better. These lines are a format: they change only with the format
//! of the file, because a changed line is a changed right.

use std::collections::{BTreeMap, BTreeSet};

use kf_core::grants::{Permission, Scope, Verb};
use kf_core::tree::PathArguments;

use crate::rights::Rights;

/// One line for each right: `pods/log: get`, `secrets named ca: get with data`, `trainjobs.trainer.kubeflow.org: create, get`.
pub(super) fn lines(rights: &Rights, paths: &PathArguments) -> BTreeSet<String> {
    let Rights { rules, selection, terminal, headers } = rights;
    let mut verbs: BTreeMap<String, BTreeSet<(Verb, bool, bool)>> = BTreeMap::new();
    for permission in rules.permissions() {
        let extra = (permission.verb, permission.data, permission.force);
        verbs.entry(objects(permission)).or_default().insert(extra);
    }
    let rules = verbs.into_iter().map(|(objects, verbs)| {
        let verbs: Vec<String> = verbs.into_iter().map(verb).collect();
        format!("{objects}: {}", verbs.join(", "))
    });
    let switches =
        [(*selection, "selection: namespace of later commands"), (*terminal, "terminal: programs in pods")];
    let switches = switches.into_iter().filter(|(held, _)| *held).map(|(_, line)| line.to_owned());
    let headers = headers.iter().map(|header| format!("header: {}", header.as_str()));
    let files = paths.files.iter().map(|argument| format!("file: {argument}"));
    let directories = paths.directories.iter().map(|argument| format!("directory: {argument}"));
    rules.chain(switches).chain(headers).chain(files).chain(directories).collect()
}

/// `trainjobs.trainer.kubeflow.org/status named mnist in all namespaces`
fn objects(permission: &Permission) -> String {
    let Permission { group, resource, name, scope, .. } = permission;
    let mut text = resource.plural.to_string();
    if !group.is_core() {
        text.push_str(&format!(".{group}"));
    }
    if let Some(subresource) = &resource.subresource {
        text.push_str(&format!("/{subresource}"));
    }
    if let Some(name) = name {
        text.push_str(&format!(" named {name}"));
    }
    if *scope == Scope::Cluster {
        text.push_str(" in the whole cluster");
    }
    text
}

fn verb((verb, data, force): (Verb, bool, bool)) -> String {
    let data = if data { " with data" } else { "" };
    let force = if force { " with force" } else { "" };
    format!("{verb}{data}{force}")
}
