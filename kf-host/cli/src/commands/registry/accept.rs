use std::path::PathBuf;

use clap::Args;
use kf_command::publish::differences;
use kf_core::failure::{Failure, Result};
use kf_core::shell;
use kf_registry::publish::{
    self, AssembleInput, Examined, Grown, NewVersion, Published, RoleName, Signers, Staging,
};

use super::folders::FolderArgs;
use super::sign::missing;
use crate::app::App;
use crate::passphrase::PassphraseArgs;
use crate::publishing::gate;
use crate::ui::escape;

/// Check what an author hands in
///
/// Runs every check of a publication: signatures, owner, version, ABI, imports, ceiling. Shows what changed since the last
/// version. A version that may do more than the last one has to be approved by the admins, with --approve-grants.
#[derive(Debug, Args)]
pub struct AcceptArgs {
    /// Folder written by `kf plugin sign`
    #[arg(value_name = "STAGING", value_hint = clap::ValueHint::DirPath)]
    staging: PathBuf,

    /// Approve rights that grow, with your key of the role targets
    #[arg(long, requires = "key")]
    approve_grants: bool,

    /// Key to approve with
    #[arg(long, value_name = "FILE", requires = "approve_grants", value_hint = clap::ValueHint::FilePath)]
    key: Option<PathBuf>,

    #[command(flatten)]
    folders: FolderArgs,

    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub fn run(app: &App, args: &AcceptArgs) -> Result<()> {
    let (source, pinned) = args.folders.read()?;
    let staging = Staging::open(&args.staging)?;
    let examined = publish::examine(&AssembleInput {
        staging: Some(&args.staging),
        published: args.folders.published(),
        pinned_root: pinned.as_deref(),
        keys: None,
        online: &[],
        expiry: source.registry.expiry,
        now: App::now(),
        gate: &gate,
    })?;
    for version in &examined.new {
        show(app, version)?;
    }
    if examined.roles.is_empty() {
        return Err(Failure::usage("nothing to accept: everything in the folder is published"));
    }
    let holders = staging.holders()?;
    let mut approved = true;
    for (role, signers) in approvals(app, args, &examined)? {
        if signers.enough() {
            continue;
        }
        approved = false;
        app.ui.note(&format!("{role} {}", missing(&signers, "approval", &holders)));
        if !args.approve_grants {
            return Err(unapproved(&role, args));
        }
    }
    if approved {
        let (staging, folders) = (shell::path(&args.staging), args.folders.words());
        app.ui.note(&format!("next: `kf registry publish {staging}{folders}`"));
    }
    Ok(())
}

/// Approves the rights that grow, if the command line says so. Returns who has approved each role.
fn approvals(app: &App, args: &AcceptArgs, examined: &Examined) -> Result<Vec<(RoleName, Signers)>> {
    let mut all = Vec::new();
    let key = match (&args.key, examined.grown.is_empty()) {
        (Some(path), false) => Some(args.passphrase.key(app, path)?),
        _ => None,
    };
    for (role, Grown { sha256, approvals }) in &examined.grown {
        let approvals = match &key {
            Some(key) => {
                let approvals = publish::approve(&args.staging, role, *sha256, key)?;
                app.ui.data_line(&format!("Approved the new rights of {role}"))?;
                approvals
            }
            None => approvals.clone(),
        };
        all.push((role.clone(), approvals));
    }
    Ok(all)
}

fn show(app: &App, new: &NewVersion) -> Result<()> {
    let Published { name, version, sha256, .. } = &new.version;
    let since = match &new.baseline {
        Some(baseline) => format!("since {}", baseline.manifest.plugin.version),
        None => "first version".to_owned(),
    };
    app.ui.data_line(&format!("{name} {version} by {} (sha256 {}), {since}", new.owner, sha256.short()))?;
    let lines = differences(new.baseline.as_ref(), &new.details);
    for line in lines.map_err(|reason| Failure::untrusted(format!("{name} {version}: {reason}")))? {
        app.ui.data_line(&escape::line(&format!("  {line}")))?;
    }
    for line in &new.growth {
        app.ui.warn(&escape::line(&format!("{name} {version} may do more than before: {line}")));
    }
    Ok(())
}

fn unapproved(role: &RoleName, args: &AcceptArgs) -> Failure {
    let staging = shell::path(&args.staging);
    Failure::untrusted(format!("refusing {role}: rights grow and the admins have not approved it"))
        .hint(format!("kf registry accept {staging} --approve-grants --key FILE{}", args.folders.words()))
}
