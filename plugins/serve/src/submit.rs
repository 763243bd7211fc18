//! Checks and applies a service.

use kf_plugin_sdk::abi::WriteOptions;
use kf_plugin_sdk::manifest::shorten_rejection;
use kf_plugin_sdk::prelude::*;
use serde_json::Value;

use crate::predictor::{self, by_knative, kind};
use crate::{Serve, history, overrides, preflight, zero_downtime};

/// An applied service.
pub(crate) struct Submitted {
    pub(crate) service: Object,
    pub(crate) change: Change,
    /// What kf added, for the report.
    pub(crate) added: Vec<String>,
    /// The last Knative revision before the change.
    pub(crate) outdated: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Created,
    Changed,
    Unchanged,
}

/// Lets the server validate the service, then applies it.
pub(crate) fn submit(kf: &Kf, serve: &Serve, wanted: Object, before: Option<Object>) -> Result<Submitted> {
    let mut wanted = wanted;
    if !serve.rollback {
        overrides::apply(kf, serve, &mut wanted)?;
    }
    preflight::check_rights(kf, &wanted)?;
    let runtime = preflight::check_predictor(kf, &wanted)?;
    let Checked { mut wanted, checked, added } = check(kf, serve, wanted, runtime.as_ref())?;
    let change = match &before {
        None => Change::Created,
        Some(before) if comparable(before) == comparable(&checked) => Change::Unchanged,
        Some(_) => Change::Changed,
    };
    let submitted = |service, added| Submitted { service, change, added, outdated: None };
    if kf.context().dry_run {
        note_added(kf, &added, &checked);
        return Ok(submitted(checked, added));
    }
    if let (Change::Unchanged, Some(before)) = (change, &before) {
        return Ok(submitted(before.clone(), Vec::new()));
    }
    note_added(kf, &added, &checked);
    name_revision(serve, &mut wanted, &checked, before.as_ref());
    if let Some(before) = &before {
        history::record_if_ready(kf, before);
    }
    let options = WriteOptions { dry_run: false, force: serve.force_conflicts };
    let service = kf.api(kind()).apply_with(&wanted, options).map_err(|error| refused(kf, serve, error))?;
    let is_new =
        before.as_ref().is_none_or(|before| predictor::content(before) != predictor::content(&service));
    let outdated = before.as_ref().filter(|_| is_new).and_then(latest_of_knative);
    Ok(Submitted { outdated, ..submitted(service, added) })
}

struct Checked {
    /// The service to apply.
    wanted: Object,
    /// The result of the dry run.
    checked: Object,
    added: Vec<String>,
}

fn check(kf: &Kf, serve: &Serve, wanted: Object, runtime: Option<&Object>) -> Result<Checked> {
    // With `--dry-run` this is the only call, and kf shows what would change.
    let dry_run = |wanted: &Object| -> Result<Object> {
        let checked = kf.api(kind()).check_apply(wanted, serve.force_conflicts);
        Ok(checked.map_err(|error| refused(kf, serve, error))?.unwrap_or_else(|| wanted.clone()))
    };
    let mut completed = wanted.clone();
    let added = match serve.as_is || serve.rollback {
        true => Vec::new(),
        false => zero_downtime::add_missing(&mut completed, runtime, serve.drain.0),
    };
    let checked = dry_run(&completed)?;
    if added.is_empty() || !by_knative(&checked) {
        return Ok(Checked { wanted: completed, checked, added });
    }
    // Knative drains pods itself and refuses a preStop hook.
    let checked = dry_run(&wanted)?;
    Ok(Checked { wanted, checked, added: Vec::new() })
}

fn note_added(kf: &Kf, added: &[String], service: &Object) {
    for addition in added {
        kf.note(format!("added {addition}"));
    }
    for warning in zero_downtime::warnings(service) {
        kf.warn(warning);
    }
}

/// Sets the revision name of the predictor. An unchanged predictor keeps its name, so that its pods are not
/// replaced.
fn name_revision(serve: &Serve, wanted: &mut Object, checked: &Object, before: Option<&Object>) {
    // A recorded revision already has a name.
    if serve.rollback {
        return;
    }
    let content = predictor::content(checked);
    match before.filter(|before| predictor::content(before) == content) {
        None => predictor::set_revision(wanted, &predictor::name_of_revision(&content)),
        Some(before) => {
            if let Some(revision) = predictor::revision(before) {
                predictor::set_revision(wanted, revision);
            }
        }
    }
}

/// The fields that users set, without the revision name.
fn comparable(service: &Object) -> [Option<Value>; 4] {
    let mut rest = service.at("/spec").cloned();
    if let Some(fields) = rest.as_mut().and_then(Value::as_object_mut) {
        fields.remove("predictor");
    }
    let metadata = |field: &str| service.at(&format!("/metadata/{field}")).cloned();
    [Some(predictor::content(service)), rest, metadata("labels"), metadata("annotations")]
}

fn latest_of_knative(service: &Object) -> Option<String> {
    service.str("/status/components/predictor/latestCreatedRevision").map(str::to_owned)
}

fn refused(kf: &Kf, serve: &Serve, error: Error) -> Error {
    let is_field_conflict = error.is(ErrorCode::Conflict) && error.message.contains("conflict with");
    let error = shorten_rejection(error, "the inference service");
    if is_field_conflict && !serve.force_conflicts {
        return error.hint(kf.command_line().with("--force-conflicts"));
    }
    error
}
