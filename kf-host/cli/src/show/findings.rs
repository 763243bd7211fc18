//! Problems that a check found.

use kf_command::check::Finding;
use kf_core::Kind;
use kf_core::failure::{Failure, Result};
use kf_core::text::counted;

use crate::app::App;
use crate::ui::escape;

/// Prints each with its place and remedy.
pub fn print(app: &App, findings: &[Finding]) -> Result<()> {
    for Finding { place, message, remedy } in findings {
        app.ui.data_line(&escape::line(&format!("{place}: {message}")))?;
        if let Some(remedy) = remedy {
            app.ui.data_line(&escape::line(&format!("  hint: {remedy}")))?;
        }
    }
    Ok(())
}

/// Fails if there are any problems.
pub fn fail(count: usize, kind: Kind) -> Result<()> {
    match count {
        0 => Ok(()),
        count => Err(Failure::new(kind, format!("{} found", counted(count, "problem")))),
    }
}
