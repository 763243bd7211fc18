//! Names that kf keeps itself: no network, no guest.

use std::ffi::OsStr;

use clap_complete::CompletionCandidate;
use kf_command::offered;
use kf_home::Home;
use kf_registry::{receipt, registries};
use kf_sandbox::Candidate;

use super::fitting;
use crate::app::App;
use crate::env;

/// Commands that are added.
pub fn installed(typed: &OsStr) -> Vec<CompletionCandidate> {
    offer(typed, installed_in)
}

/// Commands that could be added, as the registries were last seen.
pub fn available(typed: &OsStr) -> Vec<CompletionCandidate> {
    offer(typed, |home| {
        let installed = installed_in(home);
        let mut available = offered_in(home);
        available.retain(|new| installed.iter().all(|old| old.value != new.value));
        available
    })
}

/// Both.
pub fn every(typed: &OsStr) -> Vec<CompletionCandidate> {
    offer(typed, |home| installed_in(home).into_iter().chain(offered_in(home)).collect())
}

/// Registries that are set up.
pub fn set_up(typed: &OsStr) -> Vec<CompletionCandidate> {
    offer(typed, |home| {
        let ids = registries::list(home).unwrap_or_default();
        ids.into_iter().map(|id| Candidate { value: id.to_string(), help: None }).collect()
    })
}

fn offer(typed: &OsStr, find: impl Fn(&Home) -> Vec<Candidate>) -> Vec<CompletionCandidate> {
    match (env::kf_home(), typed.to_str()) {
        (Ok(home), Some(typed)) => fitting(find(&home), typed),
        _ => Vec::new(),
    }
}

fn installed_in(home: &Home) -> Vec<Candidate> {
    let receipts = receipt::list(home).unwrap_or_default();
    let candidate = |(name, receipt): (kf_core::PluginName, kf_registry::Result<receipt::Receipt>)| {
        Candidate { value: name.to_string(), help: receipt.ok().map(|receipt| receipt.summary) }
    };
    receipts.into_iter().map(candidate).collect()
}

fn offered_in(home: &Home) -> Vec<Candidate> {
    let offered = offered::available(home, App::now()).into_iter();
    offered.map(|(name, summary)| Candidate { value: name, help: Some(summary) }).collect()
}
