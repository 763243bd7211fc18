//! What the admins of a registry check before they publish a command, and what they read.
//!
//! To a registry, a component is only bytes. It is checked here, the same way as by every user's kf.

use std::collections::BTreeSet;

use kf_core::size::Decimal;
use kf_core::tree::{Argument, Command, CommandTree, PathArguments};
use kf_core::{PluginName, abi};
use kf_registry::publish::{Details, Submission};
use kf_sandbox::Code;

use crate::examine::{Bound, examine};
use crate::reporter::Reporter;
use crate::reserved::Reserved;
use crate::rights::{self, Rights};

/// Runs a component to get its command tree, as `command.json`. The bytes are untrusted, so they are
/// inspected before they are compiled.
///
/// # Errors
///
/// Why there is no command tree, in one line.
pub fn describe(name: &PluginName, wasm: &[u8], reporter: &dyn Reporter) -> Result<Vec<u8>, String> {
    let _step = reporter.begin(&format!("reading the command tree of {name}"));
    let inspection = kf_sandbox::inspect(wasm).map_err(|error| error.to_string())?;
    let compiled = kf_sandbox::compile_to_describe(wasm).map_err(|error| error.to_string())?;
    let tree = kf_sandbox::describe(Code::Compiled(compiled), inspection.abi);
    Ok(tree.map_err(|fault| fault.to_string())?.to_json())
}

/// Checks a new version. Returns the rights that it has and the version before it has not, in one line each; the error
/// is one line.
pub fn gate(submission: &Submission<'_>, reserved: &Reserved) -> Result<Vec<String>, String> {
    let plugin = &submission.manifest.plugin;
    if !abi::is_supported(&plugin.abi) {
        return Err(format!("ABI {} is not supported by this kf", plugin.abi));
    }
    let commands = submission.commands.to_string();
    let examined = examine(
        submission.wasm,
        submission.manifest,
        commands.as_bytes(),
        &Bound::Permissions(submission.ceiling),
        reserved,
    )
    .map_err(|error| error.to_string())?;
    if submission.previous.is_none() {
        return Ok(Vec::new());
    }
    let before = match submission.baseline {
        Some(details) => Parsed::of(details)?,
        // All versions are withdrawn, so nothing that they could do counts as approved.
        None => Parsed::default(),
    };
    let paths = before.paths.growth(&PathArguments::of(&examined.tree));
    Ok(lines(&before.rights.growth(&examined.rights), &paths))
}

fn lines(rights: &Rights, paths: &PathArguments) -> Vec<String> {
    let mut lines = rights::all_lines(rights);
    lines.extend((!paths.is_empty()).then(|| rights::paths_in_words(paths, usize::MAX)));
    lines
}

/// The differences between two versions, in one line each: `+` is new, `-` is gone, `~` has changed. Without an old
/// version, everything is new.
///
/// # Errors
///
/// The permissions or the command tree of one of them are invalid.
pub fn differences(old: Option<&Details>, new: &Details) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    let fields = |details: &Details| {
        let plugin = &details.manifest.plugin;
        [
            ("summary", Some(plugin.summary.clone())),
            ("license", Some(plugin.license.clone())),
            ("homepage", plugin.homepage.clone()),
            ("ABI", Some(plugin.abi.to_string())),
            ("size", Some(Decimal(details.wasm_bytes).to_string())),
        ]
    };
    let before = old.map_or_else(|| fields(new).map(|(name, _)| (name, None)), fields);
    for ((name, old), (_, new)) in before.into_iter().zip(fields(new)) {
        match (old, new) {
            (Some(old), Some(new)) if old != new => all.push(format!("~ {name}: {old} → {new}")),
            (Some(old), None) => all.push(format!("- {name}: {old}")),
            (None, Some(new)) => all.push(format!("+ {name}: {new}")),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    let (old, new) = (old.map(Parsed::of).transpose()?.unwrap_or_default(), Parsed::of(new)?);
    let may = |sign: char, old: &Parsed, new: &Parsed| {
        let lines = lines(&old.rights.growth(&new.rights), &old.paths.growth(&new.paths));
        lines.into_iter().map(move |line| format!("{sign} may {line}"))
    };
    all.extend(may('-', &new, &old));
    all.extend(may('+', &old, &new));
    all.extend(old.words.difference(&new.words).map(|word| format!("- {word}")));
    all.extend(new.words.difference(&old.words).map(|word| format!("+ {word}")));
    Ok(all)
}

/// A version's rights and its command lines.
#[derive(Debug, Default)]
struct Parsed {
    rights: Rights,
    paths: PathArguments,
    /// Such as `train` and `train --gpus`.
    words: BTreeSet<String>,
}

impl Parsed {
    fn of(details: &Details) -> Result<Self, String> {
        let tree = CommandTree::from_json(&details.commands).map_err(|error| error.to_string())?;
        let rights = Rights::parse(&details.manifest.permissions).map_err(|error| error.to_string())?;
        let name = details.manifest.plugin.name.as_str();
        let words = tree.commands.iter().flat_map(|command| words(name, command)).collect();
        Ok(Self { rights, paths: PathArguments::of(&tree), words })
    }
}

fn words(name: &str, command: &Command) -> Vec<String> {
    let path = std::iter::once(name).chain(command.path.iter().map(String::as_str));
    let command_line = path.collect::<Vec<_>>().join(" ");
    let argument = |argument: &Argument| match (&argument.long, argument.short) {
        (Some(long), _) => format!("{command_line} --{long}"),
        (None, Some(short)) => format!("{command_line} -{short}"),
        (None, None) => format!("{command_line} {}", argument.id.to_uppercase()),
    };
    let arguments: Vec<String> = command.arguments.iter().map(argument).collect();
    std::iter::once(command_line.clone()).chain(arguments).collect()
}
