//! The error for an unknown command, with suggestions.

use clap::CommandFactory;
use kf_command::install::ADD_REGISTRY;
use kf_command::offered;
use kf_core::PluginName;
use kf_core::failure::Failure;
use kf_core::nearest::nearest;

use crate::app::App;
use crate::commands::Cli;
use crate::synonyms;

pub fn command(app: &App, word: &str) -> Failure {
    let error = Failure::not_found(format!("no command `{word}`"));
    let available = offered::available(app.commands(), App::now());
    if available.contains_key(word) || is_disabled(app, word) {
        return error.hint(format!("kf command add {word}"));
    }
    if let Some(line) = synonyms::line(word) {
        return error.hint(line);
    }
    let host: Vec<String> = Cli::command().get_subcommands().map(|own| own.get_name().to_owned()).collect();
    let installed: Vec<String> = app.commands().by_name().into_keys().map(|name| name.to_string()).collect();
    let here: Vec<&str> = host.iter().chain(&installed).map(String::as_str).collect();
    let near = |names: &[&str]| nearest(word, names.iter().copied()).first().map(|name| (*name).to_owned());
    let called = synonyms::command(word);
    let meant = called.filter(|name| here.contains(name)).map(str::to_owned);
    let can_be_added = called.filter(|name| available.contains_key(*name)).map(str::to_owned);
    if let Some(meant) = meant.or_else(|| near(&here).filter(|_| can_be_added.is_none())) {
        let installed = if installed.contains(&meant) { " It is installed." } else { "" };
        return error.hint(format!(
            "did you mean `{meant}`?{installed} `kf command list --available` shows what can be added"
        ));
    }
    let offered: Vec<&str> = available.keys().map(String::as_str).collect();
    match can_be_added.or_else(|| near(&offered)) {
        Some(meant) => error.hint(format!("did you mean `{meant}`? kf command add {meant}")),
        None if app.registries().is_ok_and(|registries| registries.is_empty()) => {
            error.hint(format!("no registry is set up: {ADD_REGISTRY}"))
        }
        None => error.hint("kf command list --available"),
    }
}

/// Whether it is a built-in command that the user removed.
fn is_disabled(app: &App, word: &str) -> bool {
    let named = PluginName::parse(word).ok().and_then(|name| app.commands().named(&name).ok());
    named.is_some_and(|named| named.answers.is_none() && named.other.is_some())
}
