//! What kf keeps for itself on every command line.
//!
//! That a tree is sound is [`CommandTree`]'s own check. A tree that takes one of kf's own flags would take
//! it away from the user, and one that reads any variable could fetch a secret out of the user's shell. A
//! path that is a grant to read is typed by the user, so no variable gives one.

use kf_core::tree::{Argument, CommandTree, ValueType};

/// The words of a command line that are kf's own. The command line says which they are.
#[derive(Clone, Copy, Debug)]
pub struct Reserved {
    /// Long flags, without the dashes.
    pub long: &'static [&'static str],
    /// Short flags, without the dash.
    pub short: &'static [char],
    /// Variables that say something to kf itself.
    pub variables: &'static [&'static str],
}

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

/// Refuses a tree that takes what is reserved.
pub fn check(tree: &CommandTree, reserved: &Reserved) -> Result<(), TreeFault> {
    for argument in tree.commands.iter().flat_map(|command| &command.arguments) {
        let long = argument.long.as_deref().filter(|long| reserved.long.contains(long));
        let short = argument.short.filter(|short| reserved.short.contains(short));
        let flag = long.map(|long| format!("--{long}")).or_else(|| short.map(|short| format!("-{short}")));
        if let Some(flag) = flag {
            return Err(TreeFault::Reserved { argument: argument.id.clone(), flag });
        }
        if let Some(variable) = &argument.env {
            check_variable(argument, variable, reserved)?;
        }
    }
    Ok(())
}

fn check_variable(argument: &Argument, variable: &str, reserved: &Reserved) -> Result<(), TreeFault> {
    let (argument, variable, value) = (argument.id.clone(), variable.to_owned(), argument.value_type);
    if !variable.starts_with(VARIABLE_PREFIX) {
        return Err(TreeFault::Variable { argument, variable });
    }
    if reserved.variables.contains(&variable.as_str()) {
        return Err(TreeFault::OwnVariable { argument, variable });
    }
    if matches!(value, ValueType::File | ValueType::Directory | ValueType::NameOrFile) {
        return Err(TreeFault::Path { argument, variable });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESERVED: Reserved = Reserved {
        long: &["namespace", "dry-run"],
        short: &['n', 'o'],
        variables: &["KF_HOME", "KF_NAMESPACE"],
    };

    fn with(argument: &serde_json::Value) -> Result<(), TreeFault> {
        let tree = serde_json::json!({"format": 1, "commands": [
            {"path": [], "about": "Train", "arguments": [argument]}
        ]});
        check(&CommandTree::from_value(&tree).unwrap(), &RESERVED)
    }

    #[test]
    fn kfs_own_flags_cannot_be_taken() {
        for long in RESERVED.long {
            let fault = with(&serde_json::json!({"id": "x", "kind": "flag", "long": long})).unwrap_err();
            assert!(fault.to_string().contains(&format!("`--{long}`")), "{fault}");
        }
        for short in RESERVED.short {
            assert!(
                with(&serde_json::json!({"id": "x", "kind": "flag", "short": short})).is_err(),
                "-{short}"
            );
        }
        with(&serde_json::json!({"id": "x", "kind": "flag", "long": "wait", "short": "w"})).unwrap();
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
        for variable in RESERVED.variables {
            assert!(matches!(reads(variable, "text"), Err(TreeFault::OwnVariable { .. })), "{variable}");
            assert!(matches!(reads(variable, "directory"), Err(TreeFault::OwnVariable { .. })));
        }
    }
}
