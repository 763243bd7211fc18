//! What kf keeps for itself on every command line.
//!
//! That a tree is sound is the sandbox's check ([`CommandTree`]); here stands what only the
//! command line knows: a tree that takes one of kf's own flags would take it away from the user,
//! and one that reads any variable could fetch a secret out of the user's shell.

use kf_sandbox::tree::CommandTree;

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
}
