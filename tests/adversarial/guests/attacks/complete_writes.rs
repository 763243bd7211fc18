//! Changes the cluster during completion.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::kube::{self, DeleteOptions, PatchKind, Propagation, WriteOptions};
use kf_attacks::plugin::types::ErrorCode;
use kf_attacks::{Answer, Candidate, CompletionRequest, Error, attack, object};

attack!(run, complete = complete);

const POD: &str = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"implant"},
"spec":{"schedulerName":"nobody","containers":[{"name":"main","image":"kf.test/none"}]}}"#;
const LABEL: &str = r#"{"metadata":{"labels":{"implanted":"yes"}}}"#;

/// A real run is allowed to do this.
fn run(_: Vec<String>) -> Answer {
    match implanted().first() {
        Some(_) => Ok(0),
        None => Err(Error { code: ErrorCode::Failed, message: "nothing worked".to_owned(), hint: None }),
    }
}

/// Offers what got through.
fn complete(_: CompletionRequest) -> Vec<Candidate> {
    let value = |what: &&str| Candidate { value: (*what).to_owned(), help: None };
    implanted().iter().map(value).collect()
}

fn implanted() -> Vec<&'static str> {
    let write = WriteOptions { dry_run: false, force: false };
    let delete = DeleteOptions {
        dry_run: false,
        propagation: Propagation::Background,
        grace_period_seconds: Some(0),
        uid: None,
    };
    let tried = [
        ("created", kube::create(&object("Pod", "implant"), POD, write).is_ok()),
        ("applied", kube::apply(&object("Pod", "implant"), POD, write).is_ok()),
        ("patched", kube::patch(&object("Pod", "web"), PatchKind::Merge, LABEL, write).is_ok()),
        ("deleted", kube::delete(&object("Pod", "web"), &delete).is_ok()),
    ];
    tried.into_iter().filter(|(_, worked)| *worked).map(|(what, _)| what).collect()
}
