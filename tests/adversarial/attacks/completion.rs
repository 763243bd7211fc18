//! Attacks during completion.
//!
//! What reaches the shell is up to the host: `tests/it/completion.rs` runs the same guests with kf itself and
//! a real API server.

use kf_sandbox::{Fault, Limits, Which};

use crate::host::{Completed, patient};

fn complete(attack: &str) -> Completed {
    crate::host::complete(attack, patient(Limits::complete()))
}

pub(crate) fn complete_writes() {
    let completed = complete("complete_writes");
    assert_eq!(completed.result.unwrap(), [], "nothing got through");
    let verbs: Vec<_> = completed.calls.iter().filter_map(|call| call.split(' ').next()).collect();
    assert_eq!(verbs, ["create", "apply", "patch", "delete"], "the broker got each call");
}

pub(crate) fn complete_spins() {
    let completed = crate::host::complete("complete_spins", Limits::complete());
    let Err(Fault::Limit { limit }) = completed.result else { panic!("{:?}", completed.result) };
    assert!(matches!(limit.which, Which::Time | Which::Wall), "{limit:?}");
}

pub(crate) fn complete_prints() {
    let completed = complete("complete_prints");
    let Err(Fault::Limit { limit }) = completed.result else { panic!("{:?}", completed.result) };
    assert_eq!(limit.which.name(), "run.stdout");
    assert_eq!(completed.screen.stdout, b"");
}

pub(crate) fn complete_paths() {
    let completed = complete("complete_paths");
    assert_eq!(completed.result.unwrap().len(), 2, "the sandbox returns them; kf does not ask for paths");
}

pub(crate) fn complete_injects() {
    let completed = complete("complete_injects");
    assert_eq!(completed.result.unwrap().len(), 9, "the sandbox does not filter them");
    assert_eq!(completed.screen.stdout, b"");
}
