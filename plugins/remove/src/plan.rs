//! Finds what is deleted with a workload, and what is kept.

use std::collections::BTreeSet;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Events, State, Workload, WorkloadKind};
use serde_json::Value;

/// The limit of a chain of owners, which could be circular.
const MAX_OWNER_DEPTH: usize = 8;

pub(crate) struct Plan {
    /// The pods that are deleted with it.
    pub(crate) pods: Vec<String>,
    /// The volumes that are kept.
    pub(crate) kept_volumes: Vec<String>,
    /// The volumes that it owns and that are deleted with it.
    pub(crate) deleted_volumes: Vec<String>,
    /// Its state if removing it stops something, such as `is running (2 of 2 pods)`.
    pub(crate) running: Option<String>,
}

impl Plan {
    pub(crate) fn of(kf: &Kf, component: &Workload) -> Result<Self> {
        let pods = component.pods(kf)?;
        let verdict = component.judge(&pods, &Events::read(kf).unwrap_or_default());
        let running = match verdict.state {
            State::Running | State::Degraded => {
                let of = if component.kind == WorkloadKind::Experiment { "trials done" } else { "pods" };
                Some(format!("is running ({} of {} {of})", verdict.ready, verdict.wanted))
            }
            State::Pending if component.kind.ends() => Some("is waiting to run".to_owned()),
            _ => None,
        };
        let mut mounted = BTreeSet::new();
        claims(component.object.value(), &mut mounted);
        for pod in &pods {
            claims(pod.value(), &mut mounted);
        }
        let owned = owned_claims(kf, component)?;
        let (deleted_volumes, kept_volumes) = mounted.into_iter().partition(|claim| owned.contains(claim));
        let pods =
            pods.iter().filter(|pod| pod.name() != component.name || component.kind != WorkloadKind::Pod);
        let pods = pods.map(|pod| pod.name().to_owned()).collect();
        Ok(Self { pods, kept_volumes, deleted_volumes, running })
    }

    /// Prints the plan, each line after `prefix`.
    pub(crate) fn print(&self, kf: &Kf, prefix: &str, keep_pods: bool) {
        let listed = |what: &str, names: &[String]| {
            if !names.is_empty() {
                kf.note(format!("{prefix}{what}: {}", names.join(", ")));
            }
        };
        listed(if keep_pods { "keeps pods" } else { "deletes pods" }, &self.pods);
        listed("deletes volumes", &self.deleted_volumes);
        listed("keeps volumes", &self.kept_volumes);
    }
}

/// Collects the volume claims that a document names at any depth: pods and templates use `claimName`,
/// workspaces `pvcName` or, for the home volume, only the name.
fn claims(document: &Value, found: &mut BTreeSet<String>) {
    match document {
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value) {
                    ("claimName" | "pvcName", Value::String(claim)) => drop(found.insert(claim.clone())),
                    ("volumes", Value::Object(volumes)) => {
                        let home = volumes.get("home").and_then(Value::as_str);
                        found.extend(home.map(str::to_owned));
                        claims(value, found);
                    }
                    _ => claims(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| claims(item, found)),
        _ => {}
    }
}

/// The volume claims owned by the workload or one of its pods. Empty without permission to list claims.
fn owned_claims(kf: &Kf, component: &Workload) -> Result<BTreeSet<String>> {
    let claims = kf.api("PersistentVolumeClaim").list();
    let claims = Skipped::optional(kf, "volume claims", claims)?.unwrap_or_default();
    let is_owner = |owner: &Value| {
        let text = |field: &str| owner.get(field).and_then(Value::as_str);
        let by_uid = text("uid").is_some() && text("uid") == component.object.uid();
        by_uid || text("kind") == Some("Pod")
    };
    Ok(claims
        .iter()
        .filter(|claim| claim.list("/metadata/ownerReferences").iter().any(is_owner))
        .map(|claim| claim.name().to_owned())
        .collect())
}

/// An owner, which would recreate the object.
pub(crate) struct Owner {
    pub(crate) kind: String,
    pub(crate) name: String,
    /// Absent if kf does not know its kind.
    pub(crate) component: Option<Workload>,
}

/// The last owner in the chain that exists and can be read.
pub(crate) fn topmost_owner(kf: &Kf, component: &Workload) -> Result<Option<Owner>> {
    let mut top: Option<Owner> = None;
    let mut current = component.object.clone();
    for _ in 0..MAX_OWNER_DEPTH {
        let Some((kind, name)) = owner_of(&current) else { break };
        let known = WorkloadKind::ALL.into_iter().find(|known| known.kind().kind == kind);
        let Some(known) = known else {
            top = top.or(Some(Owner { kind, name, component: None }));
            break;
        };
        match kf.api(known.kind()).get(&name) {
            Ok(object) => {
                current = object.clone();
                let component = Some(Workload { kind: known, name: name.clone(), object });
                top = Some(Owner { kind, name, component });
            }
            // A deleted owner recreates nothing.
            Err(error) if error.is(ErrorCode::NotFound) => break,
            Err(error) if error.is(ErrorCode::Forbidden) || error.is_partial() => {
                // A training job's job set has the same name, and most users cannot read it.
                let train_job = kf.api(WorkloadKind::TrainJob.kind()).get(&name);
                if let (WorkloadKind::JobSet, Ok(object)) = (known, train_job) {
                    let component = Workload { kind: WorkloadKind::TrainJob, name: name.clone(), object };
                    return Ok(Some(Owner { kind: "TrainJob".into(), name, component: Some(component) }));
                }
                top = top.or(Some(Owner { kind, name, component: None }));
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(top)
}

fn owner_of(object: &Object) -> Option<(String, String)> {
    let (kind, name) = object.controller()?;
    if kind == "Suggestion" {
        // Katib's, between an experiment and the service that suggests its values; it has the experiment's name.
        return Some(("Experiment".to_owned(), name.to_owned()));
    }
    if kind != "ReplicaSet" {
        return Some((kind.to_owned(), name.to_owned()));
    }
    // A deployment's replica sets are named after it and a hash that their pods carry.
    let hash = object.label("pod-template-hash")?;
    let deployment = name.strip_suffix(hash)?.strip_suffix('-')?;
    Some(("Deployment".to_owned(), deployment.to_owned()))
}
