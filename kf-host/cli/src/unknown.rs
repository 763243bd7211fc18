//! A word that is no command: what was probably meant, and how to get it.

use clap::CommandFactory;
use kf_registry::nearest::nearest;
use kf_registry::{receipt, registries, trust};

use crate::app::App;
use crate::args::Cli;
use crate::error::CliError;

pub fn command(app: &App, word: &str) -> CliError {
    let error = CliError::not_found(format!("no command `{word}`"));
    let available = available(app);
    if available.iter().any(|name| name == word) {
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
    match nearest(word, available.iter().map(String::as_str)).first() {
        Some(meant) => error.hint(format!("did you mean `{meant}`? kf command add {meant}")),
        None => error.hint("kf command list --available"),
    }
}

/// What the registries offered when they were last refreshed; nothing is fetched for a typo.
fn available(app: &App) -> Vec<String> {
    let sessions = registries::list(&app.home).unwrap_or_default().into_iter().filter_map(|id| {
        let registry = registries::load(&app.home, &id).ok()?;
        trust::cached(&app.home, &registry, App::now()).ok()
    });
    sessions
        .flat_map(|session| session.view().plugins.keys().map(ToString::to_string).collect::<Vec<_>>())
        .collect()
}
