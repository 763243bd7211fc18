//! A word that is no command: what was probably meant, and how to get it.

use std::collections::BTreeMap;

use clap::CommandFactory;
use kf_core::nearest::nearest;
use kf_home::Home;
use kf_registry::{receipt, registries, trust};

use crate::app::App;
use crate::args::Cli;
use crate::error::CliError;

pub fn command(app: &App, word: &str) -> CliError {
    let error = CliError::not_found(format!("no command `{word}`"));
    let available = available(&app.home);
    if available.contains_key(word) {
        return error.hint(format!("kf command add {word}"));
    }
    let host: Vec<String> = Cli::command().get_subcommands().map(|own| own.get_name().to_owned()).collect();
    let installed: Vec<String> =
        receipt::list(&app.home).unwrap_or_default().into_iter().map(|(name, _)| name.to_string()).collect();
    let here: Vec<&str> = host.iter().chain(&installed).map(String::as_str).collect();
    if let Some(meant) = nearest(word, here.iter().copied()).first() {
        let installed = if installed.iter().any(|name| name == meant) { " It is installed." } else { "" };
        return error.hint(format!(
            "did you mean `{meant}`?{installed} `kf command list --available` shows what can be added"
        ));
    }
    match nearest(word, available.keys().map(String::as_str)).first() {
        Some(meant) => error.hint(format!("did you mean `{meant}`? kf command add {meant}")),
        None => error.hint("kf command list --available"),
    }
}

/// What the registries offered when they were last refreshed; nothing is fetched for a typo. Names with what each command is for.
pub fn available(home: &Home) -> BTreeMap<String, String> {
    let sessions = registries::list(home).unwrap_or_default().into_iter().filter_map(|id| {
        let registry = registries::load(home, &id).ok()?;
        trust::cached(home, &registry, App::now()).ok()
    });
    let mut available = BTreeMap::new();
    for session in sessions {
        for (name, listed) in &session.view().plugins {
            available.entry(name.to_string()).or_insert_with(|| listed.entry.summary.clone());
        }
    }
    available
}
