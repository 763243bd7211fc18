//! Names that kf keeps itself: no network, no guest.

use std::ffi::OsStr;

use clap_complete::CompletionCandidate;
use kf_command::installed::Named;
use kf_command::offered;
use kf_core::PluginName;
use kf_home::Home;
use kf_registry::registries;
use kf_sandbox::Candidate;

use super::fitting;
use crate::app::{App, commands_in};
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
        let ids = registries::list(home, kf_built_in::carried()).unwrap_or_default();
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
    let commands = commands_in(home).list().unwrap_or_default().into_iter();
    let candidate = |(name, named): (PluginName, kf_registry::Result<Named>)| match named {
        Ok(Named { answers: None, .. }) => None,
        Ok(Named { answers: Some(receipt), .. }) => {
            Some(Candidate { value: name.to_string(), help: Some(receipt.summary) })
        }
        Err(_) => Some(Candidate { value: name.to_string(), help: None }),
    };
    commands.filter_map(candidate).collect()
}

fn offered_in(home: &Home) -> Vec<Candidate> {
    let offered = offered::available(commands_in(home), App::now()).into_iter();
    offered.map(|(name, summary)| Candidate { value: name, help: Some(summary) }).collect()
}
