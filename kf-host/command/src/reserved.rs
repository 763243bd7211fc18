//! The flags and environment variables that kf reserves on every command line.
//!
//! [`CommandTree`] checks that a command tree is valid. A tree that used one of kf's flags would hide it from
//! the user, and one that could read any variable could read a secret from the user's shell. A path is a
//! grant to read, so the user has to type it: a variable cannot provide one.

use kf_core::tree::{Argument, CommandTree, ValueType};

/// The flags and variables that no command may use.
#[derive(Clone, Copy, Debug)]
pub struct Reserved {
    /// Long flags, without the dashes.
    pub long: &'static [&'static str],
    /// Short flags, without the dash.
    pub short: &'static [char],
    /// Variables that kf itself reads.
    pub variables: &'static [&'static str],
}

/// The prefix of the variables that a command may read.
pub const VARIABLE_PREFIX: &str = "KF_";

/// The prefix of the variables with tokens of registries.
const TOKEN_PREFIX: &str = "KF_REGISTRY_";

/// The first reserved flag or variable that a command tree uses.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeFault {
    #[error("argument `{argument}` uses `{flag}`, which is reserved by kf")]
    Reserved { argument: String, flag: String },
    #[error(
        "argument `{argument}` reads the environment variable {variable}: only {VARIABLE_PREFIX}* is allowed"
    )]
    Variable { argument: String, variable: String },
    #[error("argument `{argument}` reads the environment variable {variable}, which is reserved by kf")]
    OwnVariable { argument: String, variable: String },
    #[error(
        "argument `{argument}` takes a path from the environment variable {variable}: a path must be typed"
    )]
    Path { argument: String, variable: String },
}

/// Refuses a tree that uses a reserved flag or variable.
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
    if reserved.variables.contains(&variable.as_str()) || variable.starts_with(TOKEN_PREFIX) {
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
    fn reserved_flag_is_refused() {
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
    fn variable_without_prefix_is_refused() {
        let reads = |variable: &str| {
            with(&serde_json::json!({"id": "x", "kind": "option", "long": "key", "env": variable}))
        };
        assert!(reads("AWS_SECRET_ACCESS_KEY").unwrap_err().to_string().contains("AWS_SECRET_ACCESS_KEY"));
        reads("KF_TRAIN_NODES").unwrap();
        assert!(matches!(reads("KF_REGISTRY_TEAM_TOKEN"), Err(TreeFault::OwnVariable { .. })));
    }

    #[test]
    fn path_from_variable_is_refused() {
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
