//! What goes with a namespace.

use kf_plugin_sdk::objects::Listed;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{PodState, outcome, pod_state};
use kf_plugin_sdk::{Quantity, workloads::ComponentKind};

/// So many names of a kind are worth reading.
const MOST_NAMES: usize = 5;

/// What goes unsaid of itself: pods are counted, and what made them is named.
const UNNAMED: ComponentKind = ComponentKind::Pod;

#[derive(Debug, Default)]
pub(crate) struct Inventory {
    lines: Vec<String>,
    /// What the user may not list.
    unseen: Vec<&'static str>,
    /// What cannot be read now.
    left_out: LeftOut,
}

impl Inventory {
    pub(crate) fn read(kf: &Kf, namespace: &str) -> Result<Self> {
        let mut inventory = Self::default();
        let kinds: Vec<_> = ComponentKind::ALL.into_iter().filter(|kind| *kind != UNNAMED).collect();
        let mut asked: Vec<_> =
            kinds.iter().map(|kind| kf.api(kind.kind()).in_namespace(namespace)).collect();
        let more = [Kind::new("", "Pod"), Kind::new("", "PersistentVolumeClaim")];
        asked.extend(more.map(|kind| kf.api(kind).in_namespace(namespace)));
        let mut answers = kf.list_selections(&asked).into_iter();
        for (kind, answer) in kinds.into_iter().zip(answers.by_ref()) {
            // Few may see job sets, and fewer made one themselves.
            let hidden = answer.as_ref().is_err_and(|error| error.is(ErrorCode::Forbidden));
            if hidden && kind == ComponentKind::JobSet {
                continue;
            }
            if let Some(objects) = inventory.permitted(answer, kind.plural())? {
                // What those made in turn goes with them and is not counted twice.
                let own: Vec<&Object> =
                    objects.iter().filter(|object| object.controller().is_none()).collect();
                inventory.lines.extend(components(kind, &own));
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

    /// None where it is not served, not allowed or broken; the last two are remembered.
    fn permitted(&mut self, answer: Result<Listed>, plural: &'static str) -> Result<Option<Vec<Object>>> {
        match answer {
            Err(error) if error.is(ErrorCode::Forbidden) => {
                self.unseen.push(plural);
                Ok(None)
            }
            listed => Ok(self.left_out.take(plural, listed)?.map(|listed| listed.items)),
        }
    }

    pub(crate) fn tell(&self, kf: &Kf, namespace: &str) {
        if self.lines.is_empty() {
            kf.note(format!("{namespace} is empty, as far as you may look"));
        } else {
            kf.note(format!("with {namespace} go"));
        }
        for line in &self.lines {
            kf.note(format!("  {line}"));
        }
        if !self.unseen.is_empty() {
            kf.note(format!("  and what you may not list: {}", self.unseen.join(", ")));
        }
        if !self.left_out.is_empty() {
            kf.note(format!("  and what cannot be read now: {}", self.left_out.words()));
        }
    }
}

fn components(kind: ComponentKind, objects: &[&Object]) -> Option<String> {
    let first = objects.first()?;
    let noun = if objects.len() == 1 { first.kind().to_lowercase() } else { kind.plural().to_owned() };
    let going = objects.iter().filter(|object| kind.ends() && outcome(object).is_none()).count();
    let going = if going > 0 { format!(", {going} not ended") } else { String::new() };
    Some(format!("{} {noun}{going}: {}", objects.len(), names(objects)))
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
        .take(MOST_NAMES)
        .map(|claim| format!("{} ({})", claim.name(), size(claim).bytes()))
        .collect();
    let more = if claims.len() > MOST_NAMES { ", …" } else { "" };
    let count = counted(claims.len(), "volume");
    Some(format!("{count} with {} of data: {}{more}", total.bytes(), sizes.join(", ")))
}

fn names(objects: &[&Object]) -> String {
    let shown: Vec<_> = objects.iter().take(MOST_NAMES).map(|object| object.name()).collect();
    let more = if objects.len() > MOST_NAMES { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

fn counted(count: usize, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}
