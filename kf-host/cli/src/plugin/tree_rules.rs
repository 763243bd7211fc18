//! What kf keeps for itself on every command line.
//!
//! That a tree is sound is the sandbox's check ([`CommandTree`]); here stands what only the
//! command line knows: a tree that takes one of kf's own flags would take it away from the user,
//! and one that reads any variable could fetch a secret out of the user's shell. A path that is a grant
//! to read is typed by the user, so no variable gives one.

use kf_core::tree::{Argument, CommandTree, ValueType};

use crate::env;

/// Long names that are kf's own on every command.
const RESERVED_LONG: [&str; 11] = [
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
    "read-only",
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
    #[error("argument `{argument}` reads the variable {variable}, which is kf's own")]
    OwnVariable { argument: String, variable: String },
    #[error(
        "argument `{argument}` takes a path from the variable {variable}; only one that is typed may be read"
    )]
    Path { argument: String, variable: String },
}

pub fn check(tree: &CommandTree) -> Result<(), TreeFault> {
    for argument in tree.commands.iter().flat_map(|command| &command.arguments) {
        let long = argument.long.as_deref().filter(|long| RESERVED_LONG.contains(long));
        let short = argument.short.filter(|short| RESERVED_SHORT.contains(short));
        let flag = long.map(|long| format!("--{long}")).or_else(|| short.map(|short| format!("-{short}")));
        if let Some(flag) = flag {
            return Err(TreeFault::Reserved { argument: argument.id.clone(), flag });
        }
        if let Some(variable) = &argument.env {
            check_variable(argument, variable)?;
        }
    }
    Ok(())
}

fn check_variable(argument: &Argument, variable: &str) -> Result<(), TreeFault> {
    let (argument, variable, value) = (argument.id.clone(), variable.to_owned(), argument.value_type);
    if !variable.starts_with(VARIABLE_PREFIX) {
        return Err(TreeFault::Variable { argument, variable });
    }
    if env::OWN.contains(&variable.as_str()) {
        return Err(TreeFault::OwnVariable { argument, variable });
    }
    if matches!(value, ValueType::File | ValueType::Directory) {
        return Err(TreeFault::Path { argument, variable });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(argument: &serde_json::Value) -> Result<(), TreeFault> {
        let tree = serde_json::json!({"format": 1, "commands": [
            {"path": [], "about": "Train", "arguments": [argument]}
        ]});
        check(&CommandTree::from_value(&tree).unwrap())
    }

    #[test]
    fn kfs_own_flags_cannot_be_taken() {
        for long in RESERVED_LONG.iter().filter(|long| **long != "help") {
            let fault = with(&serde_json::json!({"id": "x", "kind": "flag", "long": long})).unwrap_err();
            assert!(fault.to_string().contains(&format!("`--{long}`")), "{fault}");
        }
        for short in RESERVED_SHORT.iter().filter(|short| **short != 'h') {
            assert!(
                with(&serde_json::json!({"id": "x", "kind": "flag", "short": short})).is_err(),
                "-{short}"
            );
        }
        with(&serde_json::json!({"id": "x", "kind": "flag", "long": "wait", "short": "w"})).unwrap();
    }

    /// Every flag that kf adds is on the list, so that a new one cannot be forgotten.
    #[test]
    fn the_list_is_complete() {
        use clap::Args as _;
        let command = crate::args::RunArgs::augment_args(crate::args::GlobalArgs::augment_args(
            clap::Command::new("kf"),
        ));
        for argument in command.get_arguments() {
            let long = argument.get_long();
            assert!(long.is_none_or(|long| RESERVED_LONG.contains(&long)), "{long:?}");
            let short = argument.get_short();
            assert!(short.is_none_or(|short| RESERVED_SHORT.contains(&short)), "{short:?}");
        }
    }

    #[test]
    fn a_command_cannot_read_the_shells_secrets() {
        let reads = |variable: &str| {
            with(&serde_json::json!({"id": "x", "kind": "option", "long": "key", "env": variable}))
        };
        assert!(reads("AWS_SECRET_ACCESS_KEY").unwrap_err().to_string().contains("AWS_SECRET_ACCESS_KEY"));
        reads("KF_TRAIN_NODES").unwrap();
    }

    #[test]
    fn no_variable_grants_a_path() {
        let reads = |variable: &str, value: &str| {
            with(&serde_json::json!(
                {"id": "x", "kind": "option", "long": "from", "env": variable, "value_type": value}
            ))
        };
        for value in ["file", "directory"] {
            assert!(matches!(reads("KF_TRAIN_CODE", value), Err(TreeFault::Path { .. })), "{value}");
        }
        for variable in env::OWN {
            assert!(matches!(reads(variable, "text"), Err(TreeFault::OwnVariable { .. })), "{variable}");
            assert!(matches!(reads(variable, "directory"), Err(TreeFault::OwnVariable { .. })));
        }
    }
}
