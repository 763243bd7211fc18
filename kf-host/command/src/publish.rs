//! What a registry's build asks before it publishes a command.
//!
//! The registry carries commands as bytes. What it cannot judge is judged here, by the same checks that
//! every user's kf makes.

use kf_core::{PluginName, abi};
use kf_registry::publish::Submission;
use kf_sandbox::Code;

use crate::examine::{Bound, examine};
use crate::reporter::Reporter;
use crate::reserved::Reserved;

/// Asks a component for its command tree, as `command.json`. Hostile bytes are inspected before any of
/// them is compiled.
///
/// # Errors
///
/// In one line, why there is no tree.
pub fn describe(name: &PluginName, wasm: &[u8], reporter: &dyn Reporter) -> Result<Vec<u8>, String> {
    let _step = reporter.begin(&format!("asking {name} for its command tree"));
    let inspection = kf_sandbox::inspect(wasm).map_err(|error| error.to_string())?;
    let compiled = kf_sandbox::compile_to_describe(wasm).map_err(|error| error.to_string())?;
    let tree = kf_sandbox::describe(Code::Compiled(compiled), inspection.abi);
    Ok(tree.map_err(|fault| fault.to_string())?.to_json())
}

/// Why a new version may not be published, in one line.
pub fn gate(submission: &Submission<'_>, reserved: &Reserved) -> Result<(), String> {
    let plugin = &submission.manifest.plugin;
    if !abi::is_supported(&plugin.abi) {
        return Err(format!("this kf does not run ABI {}", plugin.abi));
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
