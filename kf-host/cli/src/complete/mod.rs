//! What kf answers the shell at Tab.
//!
//! Commands, flags and fixed values stand in the receipts, and for those no guest is started, however
//! many commands are added. What lives in the cluster is asked for only while the value of an argument
//! that names such a thing is completed, and then of one command: [`live`] says how. Names that kf
//! itself keeps are read from its files by [`known`](crate::candidates::known).
//!
//! Whoever offers a candidate is not trusted with the command line it lands on: [`candidates`](crate::candidates) lets
//! through what a shell takes literally, and no more.

mod bash;
mod line;
mod live;

use std::path::Path;
use std::sync::Arc;

use clap::{Command, CommandFactory as _};
use clap_complete::CompleteEnv;
use clap_complete::env::{Elvish, EnvCompleter, Fish, Powershell, Shells, Zsh};

use crate::added;
use crate::commands::Cli;
use crate::env;
use bash::Bash;
use line::Line;
use live::Live;

/// Where the scripts of most shells say which word is being completed.
const INDEX: &str = "_CLAP_COMPLETE_INDEX";

/// Answers the shell if it is the shell that asks. An error is one of how it asks.
pub fn answer() -> Option<Result<(), clap::Error>> {
    let shell = env::var(env::KF_COMPLETE)?;
    let line = Line::of_call(std::env::args_os(), env::text(INDEX).as_deref());
    let is_bash = Path::new(&shell).file_stem().is_some_and(|name| name == "bash");
    let line = if is_bash { line.joined() } else { line };
    let live = Arc::new(Live::new(line.clone()));
    let shells: [&dyn EnvCompleter; 5] = [&Bash(&line), &Elvish, &Fish, &Powershell, &Zsh];
    let complete = CompleteEnv::with_factory(|| command(&live)).var(env::KF_COMPLETE).shells(Shells(&shells));
    let directory = std::env::current_dir().ok();
    match complete.try_complete(std::env::args_os(), directory.as_deref()) {
        Ok(true) => Some(Ok(())),
        Ok(false) => None,
        // Whoever presses Tab in a strange place wants no lecture.
        Err(_) if !line.is_empty() => Some(Ok(())),
        Err(error) => Some(Err(error)),
    }
}

/// Every command there is, with what completes the values of its arguments.
fn command(live: &Arc<Live>) -> Command {
    added::all(host(live), env::kf_home().ok().as_ref(), &|name, argument, arg| match live
        .values(name, argument)
    {
        Some(completer) => arg.add(completer),
        None => arg,
    })
}

fn host(live: &Arc<Live>) -> Command {
    Cli::command().mut_arg("namespace", |arg| arg.add(live.namespaces()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_for_the_namespace_is_where_it_is_looked_for() {
        host(&Arc::new(Live::new(Line::default()))).debug_assert();
    }
}
