//! What every command that publishes passes to the library.

use kf_command::publish;
use kf_core::PluginName;
use kf_registry::publish::{Describe, Submission};

use crate::app::App;
use crate::args::RESERVED;

/// Checks a new version against what this kf reserves.
pub fn gate(submission: &Submission<'_>) -> Result<Vec<String>, String> {
    publish::gate(submission, &RESERVED)
}

/// Gets command trees from the sandbox, and reports progress.
pub fn describe(app: &App) -> impl Describe {
    let reporter = app.reporter();
    move |name: &PluginName, wasm: &[u8]| publish::describe(name, wasm, reporter.as_ref())
}
