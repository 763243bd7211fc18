//! What a registry's build asks before it publishes a command.
//!
//! The registry carries commands as bytes. What it cannot judge is judged here, by the same checks that
//! every user's kf makes.

use kf_core::{Failure, abi};
use kf_registry::publish::Submission;
use kf_sandbox::Code;

use crate::examine::examine;
use crate::reporter::Reporter;
use crate::reserved::Reserved;

/// Asks a component for its command tree, as `command.json`. Hostile bytes are inspected before any of
/// them is compiled.
pub fn describe(name: &str, wasm: &[u8], reporter: &dyn Reporter) -> Result<Vec<u8>, Failure> {
    let _step = reporter.begin(&format!("asking {name} for its command tree"));
    let refused =
        |error: &dyn std::fmt::Display| Failure::untrusted(format!("{name} cannot be published: {error}"));
    let inspection = kf_sandbox::inspect(wasm).map_err(|error| refused(&error))?;
    let compiled = kf_sandbox::compile_to_describe(wasm).map_err(|error| refused(&error))?;
    let tree =
        kf_sandbox::describe(Code::Compiled(compiled), inspection.abi).map_err(|fault| refused(&fault))?;
    Ok(tree.to_json())
}

/// Why a new version may not be published, in one line.
pub fn gate(submission: &Submission<'_>, reserved: &Reserved) -> Result<(), String> {
    let plugin = &submission.manifest.plugin;
    if !abi::is_supported(&plugin.abi) {
        return Err(format!("this kf does not run ABI {}", plugin.abi));
    }
    let commands = submission.commands.to_string();
    examine(submission.wasm, submission.manifest, commands.as_bytes(), submission.ceiling, reserved)
        .map(drop)
        .map_err(|error| error.to_string())
}
