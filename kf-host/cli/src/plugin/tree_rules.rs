//! What kf keeps for itself on every command line.
//!
//! That a tree is sound is the sandbox's check ([`CommandTree`]); here stands what only the
//! command line knows: a tree that takes one of kf's own flags would take it away from the user,
//! and one that reads any variable could fetch a secret out of the user's shell.

use kf_sandbox::tree::CommandTree;

/// Long names that are kf's own on every command.
const RESERVED_LONG: [&str; 10] = [
    "namespace",
    "context",
    "kubeconfig",
    "request-timeout",
    "output",
    "color",
    "dry-run",
    "explain",
    "help",
    "version",
];
/// Short names that are kf's own on every command.
const RESERVED_SHORT: [char; 4] = ['n', 'o', 'h', 'V'];
/// The variables a command may name for its arguments.
pub const VARIABLE_PREFIX: &str = "KF_";

/// The first thing a tree takes that is not its own.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeFault {
    #[error("argument `{argument}` takes `{flag}`, which is kf's own")]
    Reserved { argument: String, flag: String },
    #[error(
        "argument `{argument}` reads the variable {variable}; a command may only read {VARIABLE_PREFIX}…"
    )]
    Variable { argument: String, variable: String },
}

pub fn check(tree: &CommandTree) -> Result<(), TreeFault> {
    for argument in tree.commands.iter().flat_map(|command| &command.arguments) {
        let long = argument.long.as_deref().filter(|long| RESERVED_LONG.contains(long));
        let short = argument.short.filter(|short| RESERVED_SHORT.contains(short));
        let flag = long.map(|long| format!("--{long}")).or_else(|| short.map(|short| format!("-{short}")));
        if let Some(flag) = flag {
            return Err(TreeFault::Reserved { argument: argument.id.clone(), flag });
        }
        if let Some(variable) = argument.env.as_ref().filter(|name| !name.starts_with(VARIABLE_PREFIX)) {
            return Err(TreeFault::Variable { argument: argument.id.clone(), variable: variable.clone() });
        }
    }
    Ok(())
}
