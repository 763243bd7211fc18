use clap::Args;
use kf_core::Kind;
use kf_core::failure::Result;
use kf_core::size::Decimal;
use kf_core::text::counted;
use kf_registry::publish::verify::{self, Verified};

use super::folders::{IndexArgs, PublishedArgs};
use crate::app::App;
use crate::show::findings;
use crate::ui::escape;

/// Verify a published registry
///
/// Checks all signatures from the pinned root, the expiry of every role, and the digest of every file.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    published: PublishedArgs,

    #[command(flatten)]
    index: IndexArgs,
}

pub fn run(app: &App, args: &VerifyArgs) -> Result<()> {
    let root = args.published.pinned_root_in(&args.index.index)?;
    let Verified { registry, roles, commands, versions, files, bytes, problems } =
        verify::verify(&args.published.published, &root, App::now())?;
    for problem in &problems {
        app.ui.data_line(&escape::line(problem))?;
    }
    if problems.is_empty() {
        let counts = [
            counted(roles.len(), "role"),
            counted(commands, "command"),
            counted(versions, "version"),
            counted(files, "file"),
        ];
        let counts = counts.join(", ");
        app.ui.data_line(&format!("{registry}: {counts} ({}), no problems found", Decimal(bytes)))?;
    }
    findings::fail(problems.len(), Kind::Untrusted)
}
