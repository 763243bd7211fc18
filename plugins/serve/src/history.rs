//! The revisions that were ready, for `--rollback`.
//!
//! They are stored in a ConfigMap that the service owns, so that it is deleted with the service. Annotations of the
//! service do not work: KServe copies them to the pods, so recording a revision would replace every pod. The
//! ReplicaSets of the Deployment do not work either: they contain what KServe generated from a predictor, not the
//! predictor.

use kf_plugin_sdk::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{predictor, wait};

/// How many revisions are kept.
const MAX_REVISIONS: usize = 5;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Revision {
    /// When it was found ready.
    ready: String,
    predictor: Value,
}

impl Revision {
    fn service(&self, now: &Object) -> Object {
        let mut service = predictor::manifest_of(now);
        service.set("/spec/predictor", self.predictor.clone());
        service
    }
}

/// The service with the predictor of the last ready revision that differs from the current one.
pub(crate) fn roll_back(kf: &Kf, name: &str, before: Option<&Object>) -> Result<Object> {
    let Some(before) = before else {
        return Err(Error::not_found(format!("no inference service `{name}`")).hint("kf serve --list"));
    };
    let now = predictor::content(before);
    let earlier = read(kf, before)?.into_iter().rev().map(|revision| (revision.service(before), revision));
    let earlier = earlier.filter(|(service, _)| predictor::content(service) != now);
    let Some((service, revision)) = earlier.into_iter().next() else {
        return Err(Error::failed(format!("no other ready revision of {name} is recorded"))
            .hint(format!("kf status inferenceservice/{name}")));
    };
    let serves = predictor::serves(&service).unwrap_or_else(|| "its model".to_owned());
    kf.note(format!("rolling back to {serves}, ready at {}", revision.ready));
    Ok(service)
}

/// Records a ready revision. A failure is only noted.
pub(crate) fn record(kf: &Kf, service: &Object) {
    if let Err(error) = try_record(kf, service) {
        kf.note(format!("cannot record the revision for --rollback: {error}"));
    }
}

/// Records the revision that is about to be replaced, if it is ready.
pub(crate) fn record_if_ready(kf: &Kf, service: &Object) {
    if wait::is_ready(kf, service) {
        record(kf, service);
    }
}

fn try_record(kf: &Kf, service: &Object) -> Result<()> {
    let Some(predictor) = service.at("/spec/predictor") else { return Ok(()) };
    let mut revisions = read(kf, service)?;
    if revisions.last().is_some_and(|last| last.predictor == *predictor) {
        return Ok(());
    }
    revisions.retain(|revision| revision.predictor != *predictor);
    revisions.push(Revision { ready: kf.now().to_string(), predictor: predictor.clone() });
    let first = revisions.len().saturating_sub(MAX_REVISIONS);
    let revisions = serde_json::to_string(&revisions.split_off(first))?;
    let mut map = Object::new(&Kind::from("ConfigMap").version("v1"), &map_name(service));
    map.set("/metadata/labels", json!({ "app.kubernetes.io/managed-by": "kf-serve" }));
    map.set(
        "/metadata/ownerReferences",
        json!([{
            "apiVersion": service.str("/apiVersion"), "kind": predictor::KIND,
            "name": service.name(), "uid": service.uid(),
        }]),
    );
    map.set("/data", json!({ FIELD: revisions }));
    kf.api("ConfigMap").apply(&map)?;
    Ok(())
}

const FIELD: &str = "revisions";

fn map_name(service: &Object) -> String {
    format!("{}-kf-revisions", service.name())
}

/// The revisions of this service, oldest first.
fn read(kf: &Kf, service: &Object) -> Result<Vec<Revision>> {
    let Some(map) = kf.api("ConfigMap").find(&map_name(service))? else { return Ok(Vec::new()) };
    // They may belong to a deleted service of the same name.
    if map.str("/metadata/ownerReferences/0/uid") != service.uid() {
        return Ok(Vec::new());
    }
    let text = map.str(&format!("/data/{FIELD}")).unwrap_or("[]");
    serde_json::from_str(text).map_err(|_| {
        let name = map.name();
        Error::failed(format!("ConfigMap {name} does not contain valid revisions"))
            .hint(format!("kubectl delete configmap {name}"))
    })
}
