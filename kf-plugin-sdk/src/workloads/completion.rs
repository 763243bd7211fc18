//! Completion of workload names.

use std::collections::BTreeMap;

use super::{OWN_EXPERIMENT_LABEL, WorkloadKind, expand_kind, own_experiments};
use crate::abi::Kind;
use crate::error::Result;
use crate::kf::Kf;
use crate::objects::Object;
use crate::tree::{Candidate, CompletionRequest};

/// Completes the name of a workload: `NAME`, or `KIND/NAME` if several have the name. Kinds that are not served or
/// not listable are skipped.
///
/// For `#[kf_plugin_sdk::main(complete = complete_workload)]` with the argument marked
/// `#[kf(complete = dynamic)]`.
pub fn complete_workload(request: &CompletionRequest, kf: &Kf) -> Result<Vec<Candidate>> {
    complete_among(request, kf, &WorkloadKind::ALL)
}

/// Like [`complete_workload`], limited to some kinds.
pub fn complete_among(
    request: &CompletionRequest,
    kf: &Kf,
    kinds: &[WorkloadKind],
) -> Result<Vec<Candidate>> {
    let word = request.word();
    if let Some((kind, start)) = word.split_once('/') {
        let full = expand_kind(kf, word);
        let named = WorkloadKind::named(full.split_once('/').map_or(kind, |(full, _)| full))?;
        let mut objects = kf.api(named.kind()).list().unwrap_or_default();
        if named == WorkloadKind::Experiment {
            let jobs = kf.api(WorkloadKind::TrainJob.kind()).labels(OWN_EXPERIMENT_LABEL).list();
            objects.extend(own_experiments(&jobs.unwrap_or_default()));
        }
        let names = objects.iter().map(Object::name).filter(|name| name.starts_with(start));
        return Ok(names.map(|name| Candidate { value: format!("{kind}/{name}"), help: None }).collect());
    }
    let mut found: BTreeMap<String, Vec<WorkloadKind>> = BTreeMap::new();
    let asked: Vec<_> = kinds.iter().map(|kind| kind.kind()).collect();
    for (&kind, answer) in kinds.iter().zip(kf.list_many(&asked)) {
        let objects = answer.map(|listed| listed.items).unwrap_or_default();
        // Objects with an owner are only offered by kind: every training job has a job set of the same name.
        let with_experiments = kinds.contains(&WorkloadKind::Experiment);
        let is_part = |object: &Object| {
            object.controller().is_some()
                || (with_experiments && object.label(OWN_EXPERIMENT_LABEL).is_some())
        };
        for object in objects.iter().filter(|object| !is_part(object)) {
            if object.name().starts_with(word) {
                found.entry(object.name().to_owned()).or_default().push(kind);
            }
        }
        // The training jobs of a `kf tune` experiment are offered as one experiment.
        let own = own_experiments(objects.iter().filter(|_| with_experiments));
        for experiment in own.iter().filter(|experiment| experiment.name().starts_with(word)) {
            let known = found.entry(experiment.name().to_owned()).or_default();
            if !known.contains(&WorkloadKind::Experiment) {
                known.push(WorkloadKind::Experiment);
            }
        }
    }
    let candidates = found.into_iter().flat_map(|(name, kinds)| {
        let only = kinds.len() == 1;
        kinds.into_iter().map(move |kind| Candidate {
            value: if only { name.clone() } else { format!("{kind}/{name}") },
            help: Some(kind.word().to_owned()),
        })
    });
    Ok(candidates.collect())
}

/// Completes the name of an object of one of these kinds. If several kinds have the name, the first is shown.
pub fn complete_named(request: &CompletionRequest, kf: &Kf, kinds: &[Kind]) -> Result<Vec<Candidate>> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for (kind, answer) in kinds.iter().zip(kf.list_many(kinds)) {
        let objects = answer.map(|listed| listed.items).unwrap_or_default();
        for object in objects.iter().filter(|object| object.name().starts_with(request.word())) {
            found.entry(object.name().to_owned()).or_insert_with(|| kind.kind.to_lowercase());
        }
    }
    Ok(found.into_iter().map(|(value, kind)| Candidate { value, help: Some(kind) }).collect())
}
