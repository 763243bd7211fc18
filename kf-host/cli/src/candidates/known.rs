//! Names that are stored in kf's own files, completed without a network or a guest.

use std::ffi::OsStr;

use clap_complete::CompletionCandidate;
use kf_command::installed::Named;
use kf_command::offered;
use kf_core::PluginName;
use kf_home::Home;
use kf_registry::registries as configured;
use kf_sandbox::Candidate;

use super::matching;
use crate::app::{App, commands_in};
use crate::env;

/// The added commands.
pub fn installed(typed: &OsStr) -> Vec<CompletionCandidate> {
    offer(typed, installed_in)
}

/// The commands that can be added, by the cached registries.
pub fn available(typed: &OsStr) -> Vec<CompletionCandidate> {
    offer(typed, |home| {
        let installed = installed_in(home);
        let mut available = offered_in(home);
        available.retain(|new| installed.iter().all(|old| old.value != new.value));
        available
    })
}

/// The added commands, and those that can be added.
pub fn all(typed: &OsStr) -> Vec<CompletionCandidate> {
    offer(typed, |home| installed_in(home).into_iter().chain(offered_in(home)).collect())
}

/// The configured registries.
pub fn registries(typed: &OsStr) -> Vec<CompletionCandidate> {
    offer(typed, |home| {
        let ids = configured::list(home, kf_built_in::built_ins()).unwrap_or_default();
        ids.into_iter().map(|id| Candidate { value: id.to_string(), help: None }).collect()
    })
}

fn offer(typed: &OsStr, find: impl Fn(&Home) -> Vec<Candidate>) -> Vec<CompletionCandidate> {
    match (env::kf_home(), typed.to_str()) {
        (Ok(home), Some(typed)) => matching(find(&home), typed),
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
