//! Lists what is deleted with a namespace.

use kf_plugin_sdk::objects::Listed;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{PodState, outcome, pod_state};
use kf_plugin_sdk::{Quantity, workloads::WorkloadKind};

/// How many names of a kind are shown.
const MAX_NAMES: usize = 5;

/// Pods are only counted; their owners are named.
const COUNTED_ONLY: WorkloadKind = WorkloadKind::Pod;

#[derive(Debug, Default)]
pub(crate) struct Inventory {
    lines: Vec<String>,
    /// Kinds that the user is not allowed to list.
    forbidden: Vec<&'static str>,
    /// Kinds that cannot be read at the moment.
    left_out: Skipped,
}

impl Inventory {
    pub(crate) fn read(kf: &Kf, namespace: &str) -> Result<Self> {
        let mut inventory = Self::default();
        let kinds: Vec<_> = WorkloadKind::ALL.into_iter().filter(|kind| *kind != COUNTED_ONLY).collect();
        let mut asked: Vec<_> =
            kinds.iter().map(|kind| kf.api(kind.kind()).in_namespace(namespace)).collect();
        let more = [Kind::new("", "Pod"), Kind::new("", "PersistentVolumeClaim")];
        asked.extend(more.map(|kind| kf.api(kind).in_namespace(namespace)));
        let mut answers = kf.list_selections(&asked).into_iter();
        for (kind, answer) in kinds.into_iter().zip(answers.by_ref()) {
            // Most users can neither list nor create job sets.
            let hidden = answer.as_ref().is_err_and(|error| error.is(ErrorCode::Forbidden));
            if hidden && kind == WorkloadKind::JobSet {
                continue;
            }
            if let Some(objects) = inventory.permitted(answer, kind.plural())? {
                // Owned objects are deleted with their owners and are not counted.
                let own: Vec<&Object> =
                    objects.iter().filter(|object| object.controller().is_none()).collect();
                inventory.lines.extend(workloads(kind, &own));
            }
        }
        if let Some(pods) =
            answers.next().map(|pods| inventory.permitted(pods, "pods")).transpose()?.flatten()
        {
            let running = pods.iter().filter(|pod| pod_state(pod) == PodState::Running).count();
            if !pods.is_empty() {
                inventory.lines.push(format!("{}, {running} running", counted(pods.len(), "pod")));
            }
        }
        let claims =
            answers.next().map(|claims| inventory.permitted(claims, "volumes")).transpose()?.flatten();
        inventory.lines.extend(claims.and_then(|claims| volumes(&claims)));
        Ok(inventory)
    }

    /// `None` if the kind is not served, forbidden or broken; the last two are recorded.
    fn permitted(&mut self, answer: Result<Listed>, plural: &'static str) -> Result<Option<Vec<Object>>> {
        match answer {
            Err(error) if error.is(ErrorCode::Forbidden) => {
                self.forbidden.push(plural);
                Ok(None)
            }
            listed => Ok(self.left_out.take(plural, listed)?.map(|listed| listed.items)),
        }
    }

    pub(crate) fn print(&self, kf: &Kf, namespace: &str) {
        if self.lines.is_empty() {
            kf.note(format!("{namespace} is empty, as far as you can list"));
        } else {
            kf.note(format!("deleted with {namespace}:"));
        }
        for line in &self.lines {
            kf.note(format!("  {line}"));
        }
        if !self.forbidden.is_empty() {
            kf.note(format!("  skipped (no permission to list): {}", self.forbidden.join(", ")));
        }
        if !self.left_out.is_empty() {
            kf.note(format!("  skipped: {}", self.left_out.words()));
        }
    }
}

fn workloads(kind: WorkloadKind, objects: &[&Object]) -> Option<String> {
    let first = objects.first()?;
    let noun = if objects.len() == 1 { first.kind().to_lowercase() } else { kind.plural().to_owned() };
    let unfinished = objects.iter().filter(|object| kind.ends() && outcome(object).is_none()).count();
    let unfinished = if unfinished > 0 { format!(", {unfinished} unfinished") } else { String::new() };
    Some(format!("{} {noun}{unfinished}: {}", objects.len(), names(objects)))
}

fn volumes(claims: &[Object]) -> Option<String> {
    if claims.is_empty() {
        return None;
    }
    let size = |claim: &Object| -> Quantity {
        let size = claim.str("/status/capacity/storage").or(claim.str("/spec/resources/requests/storage"));
        size.and_then(|size| size.parse().ok()).unwrap_or_default()
    };
    let total: Quantity = claims.iter().map(size).sum();
    let sizes: Vec<String> = claims
        .iter()
        .take(MAX_NAMES)
        .map(|claim| format!("{} ({})", claim.name(), size(claim).bytes()))
        .collect();
    let more = if claims.len() > MAX_NAMES { ", …" } else { "" };
    let count = counted(claims.len(), "volume");
    Some(format!("{count} with {} of data: {}{more}", total.bytes(), sizes.join(", ")))
}

fn names(objects: &[&Object]) -> String {
    let shown: Vec<_> = objects.iter().take(MAX_NAMES).map(|object| object.name()).collect();
    let more = if objects.len() > MAX_NAMES { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

fn counted(count: usize, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}
