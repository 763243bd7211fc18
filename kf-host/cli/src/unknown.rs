//! A word that is no command: what was probably meant, and how to get it.

use clap::CommandFactory;
use kf_command::offered;
use kf_core::failure::Failure;
use kf_core::nearest::nearest;
use kf_registry::receipt;

use crate::app::App;
use crate::commands::Cli;

pub fn command(app: &App, word: &str) -> Failure {
    let error = Failure::not_found(format!("no command `{word}`"));
    let available = offered::available(&app.home, App::now());
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
