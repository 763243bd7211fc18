//! The checks of a registry's build before it publishes a command.
//!
//! To a registry, a component is only bytes. It is checked here, the same way as by every user's kf.

use kf_core::{PluginName, abi};
use kf_registry::publish::Submission;
use kf_sandbox::Code;

use crate::examine::{Bound, examine};
use crate::reporter::Reporter;
use crate::reserved::Reserved;

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

/// Checks a new version; the error is one line.
pub fn gate(submission: &Submission<'_>, reserved: &Reserved) -> Result<(), String> {
    let plugin = &submission.manifest.plugin;
    if !abi::is_supported(&plugin.abi) {
        return Err(format!("ABI {} is not supported by this kf", plugin.abi));
    }
    let commands = submission.commands.to_string();
    examine(
        submission.wasm,
        submission.manifest,
        commands.as_bytes(),
        &Bound::Permissions(submission.ceiling),
        reserved,
    )
    .map(drop)
    .map_err(|error| error.to_string())
}
