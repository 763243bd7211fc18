use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use kf_command::consent::Question;
use kf_core::failure::{Failure, Result};
use kf_core::text::counted;
use kf_core::{Digest, shell};
use kf_registry::publish::{Review, RoleName, Signers, SigningKey, Staging};

use super::folders::FolderArgs;
use crate::app::App;
use crate::passphrase::PassphraseArgs;
use crate::show::plan::{self, AnswerArgs};
use crate::ui::escape;

/// Sign staged roles with your key
///
/// Shows every change that you sign, compared with your own copy of the published registry, and asks. The signatures of
/// several admins gather in the folder: send it on, or copy the files below signatures/ together. Needs no network.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// Folder written by `kf registry stage`
    #[arg(value_name = "STAGING", value_hint = clap::ValueHint::DirPath)]
    staging: PathBuf,

    /// Key to sign with
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    key: PathBuf,

    /// Sign only these roles [default: all that the key may sign]
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<RoleName>,

    #[command(flatten)]
    folders: FolderArgs,

    #[command(flatten)]
    passphrase: PassphraseArgs,

    #[command(flatten)]
    answer: AnswerArgs,
}

pub fn run(app: &App, args: &SignArgs) -> Result<()> {
    let staging = Staging::open(&args.staging)?;
    let (_, pinned) = args.folders.read()?;
    staging.check_base(args.folders.published(), pinned.as_deref())?;
    let holders = staging.holders()?;
    let key = args.passphrase.key(app, &args.key)?;
    let roles = roles(&staging, &key, args)?;
    for roles in questions(roles) {
        let reviews = roles.iter().map(|role| staging.review(role)).collect::<Result<Vec<_>, _>>()?;
        reviews.iter().try_for_each(|review| show(app, review))?;
        confirm(app, args, &reviews)?;
        for role in &roles {
            let signed = staging.sign(role, &key)?;
            app.ui.data_line(&format!("Signed {role} version {}", signed.version))?;
        }
    }
    let mut complete = true;
    for role in staging.roles() {
        for signers in staging.review(role)?.signers.iter().filter(|signers| !signers.enough()) {
            complete = false;
            app.ui.note(&format!("{role} {}", missing(signers, "signature", &holders)));
        }
    }
    if complete {
        app.ui.note(&format!(
            "all signatures are there; next: `kf registry publish {}` where the online keys are",
            shell::path(&args.staging)
        ));
    }
    Ok(())
}

/// The staged roles to sign: the wanted ones, or all that the key may sign.
fn roles(staging: &Staging, key: &SigningKey, args: &SignArgs) -> Result<Vec<RoleName>> {
    if !args.roles.is_empty() {
        return Ok(args.roles.clone());
    }
    let mut roles = Vec::new();
    for role in staging.roles() {
        if staging.may_sign(role, key)? {
            roles.push(role.clone());
        }
    }
    if roles.is_empty() {
        let staged: Vec<String> = staging.roles().map(RoleName::to_string).collect();
        return Err(Failure::untrusted(format!(
            "key {} is not authorized to sign any of the staged roles: {}",
            args.key.display(),
            staged.join(", ")
        ))
        .hint(format!("its public key is {}; the root lists the keys of the admins", key.public_hex())));
    }
    Ok(roles)
}

/// The roles to ask for together: those of all shards, and each other role alone.
fn questions(roles: Vec<RoleName>) -> Vec<Vec<RoleName>> {
    let (shards, others): (Vec<_>, Vec<_>) =
        roles.into_iter().partition(|role| matches!(role, RoleName::Names(_)));
    let mut questions: Vec<Vec<RoleName>> = others.into_iter().map(|role| vec![role]).collect();
    if !shards.is_empty() {
        questions.push(shards);
    }
    questions
}

fn show(app: &App, review: &Review) -> Result<()> {
    let Review { role, version, expires, sha256, changes, .. } = review;
    app.ui.note(&format!("{role} version {version}, expires {expires}, sha256 {sha256}"));
    if changes.is_empty() {
        app.ui.note("  no changes: it is only renewed");
    }
    for change in changes {
        app.ui.note(&escape::line(&format!("  {change}")));
    }
    Ok(())
}

/// Asks whether to sign what was shown. Several roles have the digest of their digests.
fn confirm(app: &App, args: &SignArgs, reviews: &[Review]) -> Result<()> {
    let (action, digest) = match reviews {
        [review] => (format!("sign {} version {}", review.role, review.version), review.sha256),
        reviews => {
            let digests: Vec<String> = reviews.iter().map(|review| review.sha256.to_string()).collect();
            let shards = counted(reviews.len(), "shard");
            (format!("sign the roles of {shards}"), Digest::of(digests.join("\n").as_bytes()))
        }
    };
    let retry = retry(args);
    plan::ask(app, &Question { action: &action, digest, grows: true, retry: &retry }, &args.answer)
}

/// The command line without its answers.
fn retry(args: &SignArgs) -> String {
    let (staging, key) = (shell::path(&args.staging), shell::path(&args.key));
    let mut line = format!("kf registry sign {staging} --key {key}");
    for role in &args.roles {
        line.push_str(&format!(" --role {role}"));
    }
    line + &args.folders.words()
}

/// `needs 1 more signature, of bob or carol`
pub fn missing(signers: &Signers, what: &str, holders: &BTreeMap<String, String>) -> String {
    let more = signers.threshold.saturating_sub(signers.signed.len());
    let name = |id: &String| holders.get(id).cloned().unwrap_or_else(|| id.chars().take(12).collect());
    let mut others: Vec<String> = signers.keyids.difference(&signers.signed).map(name).collect();
    others.sort_unstable();
    escape::line(&format!("needs {}, of {}", counted(more, &format!("more {what}")), others.join(" or ")))
}
