//! Checks of a component before it is published, and again before it is added.
//!
//! The registry's admins run them when they build the index, and every user's kf runs them on the bytes
//! that it fetched: a curated registry does not replace them.

use kf_core::Permissions;
use kf_core::grants::{RuleError, RuleSet, danger};
use kf_core::manifest::Manifest;
use kf_core::tree::{CommandTree, TreeError};
use kf_sandbox::{Granted, InspectError, UndeclaredImports};

use crate::reserved::{self, Reserved, TreeFault};
use crate::rights::{self, Rights};

/// The most that a command may request.
#[derive(Clone, Copy, Debug)]
pub enum Bound<'a> {
    /// The ceiling in a signed index.
    Permissions(&'a Permissions),
    /// Everything except dangerous rights, because no one vouches for a local file.
    Local,
}

/// A component that stays within its manifest, whose manifest stays within the ceiling.
#[derive(Debug)]
pub struct Examined {
    pub rights: Rights,
    pub tree: CommandTree,
}

/// Why a component is refused.
#[derive(Debug, thiserror::Error)]
pub enum ExamineError {
    #[error(transparent)]
    Component(#[from] InspectError),
    #[error("ABI mismatch: the component has {found}, its manifest has {declared}")]
    Abi { found: String, declared: String },
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Reserved(#[from] TreeFault),
    #[error("invalid permissions: {0}")]
    Rules(RuleError),
    #[error("invalid ceiling in the registry: {0}")]
    Ceiling(RuleError),
    #[error("it exceeds the registry's ceiling: {}", .0.join("; "))]
    AboveCeiling(Vec<String>),
    #[error("a local file cannot have dangerous rights: {}", .0.join("; "))]
    Dangerous(Vec<String>),
    #[error(transparent)]
    Imports(#[from] UndeclaredImports),
}

/// Checks a release without running it.
///
/// # Errors
///
/// The first mismatch between the component, its manifest and its command tree, or the first excess over
/// the ceiling or the reserved flags.
pub fn examine(
    wasm: &[u8],
    manifest: &Manifest,
    command_json: &[u8],
    ceiling: &Bound<'_>,
    reserved: &Reserved,
) -> Result<Examined, ExamineError> {
    let examined = examine_texts(manifest, command_json, ceiling, reserved)?;
    let inspection = kf_sandbox::inspect(wasm)?;
    let declared = manifest.plugin.abi.to_string();
    if inspection.abi != manifest.plugin.abi {
        return Err(ExamineError::Abi { found: inspection.abi.to_string(), declared });
    }
    inspection.check_imports(granted(&examined.rights, &examined.tree))?;
    Ok(examined)
}

/// The same without the component: what a release says about itself.
///
/// # Errors
///
/// The manifest or the command tree is invalid, or exceeds the ceiling or the reserved flags.
pub fn examine_texts(
    manifest: &Manifest,
    command_json: &[u8],
    ceiling: &Bound<'_>,
    reserved: &Reserved,
) -> Result<Examined, ExamineError> {
    let rights = Rights::parse(&manifest.permissions).map_err(ExamineError::Rules)?;
    match ceiling {
        Bound::Permissions(ceiling) => {
            let above = Rights::parse(ceiling).map_err(ExamineError::Ceiling)?.growth(&rights);
            if !above.is_empty() {
                return Err(ExamineError::AboveCeiling(rights::short_lines(&above)));
            }
        }
        Bound::Local => {
            let dangerous = rights.rules.permissions().filter(|permission| danger(permission).is_some());
            let dangerous = RuleSet::from_permissions(dangerous.cloned());
            if !dangerous.is_empty() || !rights.headers.is_empty() {
                // A pod may accept a header as the user's identity, like a token.
                let headers = rights.headers.clone();
                let dangerous = Rights { rules: dangerous, headers, ..Rights::default() };
                return Err(ExamineError::Dangerous(rights::short_lines(&dangerous)));
            }
        }
    }
    let tree = CommandTree::from_json(command_json)?;
    reserved::check(&tree, reserved)?;
    Ok(Examined { rights, tree })
}

/// The interfaces that a manifest and a command tree need; nothing else is linked.
pub fn granted(rights: &Rights, tree: &CommandTree) -> Granted {
    let names_subresource = |wanted: &[&str]| {
        rights.rules.permissions().any(|permission| {
            let resource = &permission.resource;
            permission.group.is_core()
                && resource.plural.as_str() == "pods"
                && resource.subresource.as_ref().is_some_and(|sub| wanted.contains(&sub.as_str()))
        })
    };
    Granted {
        kube: !rights.rules.is_empty(),
        logs: names_subresource(&["log"]),
        sessions: names_subresource(&["exec", "attach", "portforward"]),
        pod_http: names_subresource(&["portforward"]),
        selection: rights.selection,
        files: tree.reads_files(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_file_with_headers_is_refused() {
        let manifest = Manifest::parse(
            "format = 1\n[plugin]\nname = \"probe\"\nversion = \"0.1.0\"\nabi = \"0.1.0\"\nsummary = \"x\"\nlicense = \"MIT\"\n\
             [permissions]\nheaders = [\"x-user\"]\n",
        )
        .unwrap();
        let reserved = Reserved { long: &[], short: &[], variables: &[] };
        let refused = |bound: &Bound<'_>| examine(b"", &manifest, b"", bound, &reserved).err().unwrap();
        let ExamineError::Dangerous(lines) = refused(&Bound::Local) else { panic!("not refused") };
        assert_eq!(lines, ["send pods the header x-user, which may reveal who you are"]);
        let ceiling = Permissions::default();
        assert!(matches!(refused(&Bound::Permissions(&ceiling)), ExamineError::AboveCeiling(_)));
    }
}
