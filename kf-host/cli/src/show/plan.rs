//! A plan, and the question it comes down to.

use clap::Args;
use kf_command::consent::{Answer, Answers, Question};
use kf_command::install::{Installer, Prepared};
use kf_command::plan::{Change, Plan, SignerChange};
use kf_command::rights::in_brief;
use kf_core::failure::Result;
use kf_core::size::Decimal;
use kf_registry::index::{Origin, Resolved};
use kf_registry::receipt::Receipt;

use super::availability::own_rights_line;
use super::rights;
use crate::app::App;
use crate::args;

/// Answers given beforehand.
#[derive(Clone, Debug, Default, Args)]
pub struct AnswerArgs {
    /// Answer yes where no rights grow
    #[arg(long, short = 'y')]
    yes: bool,

    /// Accept this very command with these very rights; `kf` prints the digest when it asks
    #[arg(long, value_name = "DIGEST")]
    accept: Vec<String>,
}

pub fn installer(app: &App) -> Installer<'_> {
    Installer::new(&app.home, &args::RESERVED, app.reporter(), App::now())
}

/// Shows what installing a release would change, asks, and installs it. None if it is installed just so.
pub fn install(
    app: &App,
    installer: &mut Installer<'_>,
    resolved: &Resolved,
    answer: &AnswerArgs,
) -> Result<Option<Receipt>> {
    match installer.prepare(resolved)? {
        Some(prepared) => finish(app, installer, &prepared, answer).map(Some),
        None => Ok(None),
    }
}

/// Shows what was prepared, asks, and installs it.
pub fn finish(
    app: &App,
    installer: &Installer<'_>,
    prepared: &Prepared,
    answer: &AnswerArgs,
) -> Result<Receipt> {
    show(app, prepared);
    agree(app, prepared, answer)?;
    installer.apply(prepared)
}

/// What is installed, whether the user holds the rights it asks for, and at the end the rights themselves, or
/// how they grow: the question follows.
pub fn show(app: &App, prepared: &Prepared) {
    let Prepared { fetched, plan, .. } = prepared;
    let Resolved { name, version, origin, parts, yanked, .. } = &fetched.resolved;
    let from = match origin {
        Origin::Registry { owner, .. } => format!("by {owner}"),
        Origin::BuiltIn => "built in".to_owned(),
        Origin::Local { path } => format!("from {}", path.display()),
    };
    let program = parts.program();
    let what = format!("{from} ({}, sha256 {})", Decimal(program.length), program.sha256.short());
    match &plan.change {
        Change::Replace { from } => app.ui.note(&format!("{name} {from} → {version} {what}")),
        Change::Add | Change::Unchanged => app.ui.note(&format!("{name} {version} {what}")),
    }
    if *yanked {
        app.ui.warn(&format!("{name} {version} was withdrawn by its registry"));
    }
    if plan.is_downgrade() {
        app.ui.warn(&format!("{version} is older than what is installed"));
    }
    match &plan.signer {
        Some(SignerChange::Owner { from, to }) => {
            app.ui.warn(&format!("{name} is now signed by {to}; what is installed was signed by {from}"));
        }
        Some(SignerChange::Keys) => app.ui.note("Signed with other keys than what is installed."),
        None => {}
    }
    if !plan.rights.rules.is_empty() {
        own_rights_line(app, &plan.rights.rules);
    }
    let lines = match &plan.change {
        Change::Replace { .. } => rights::growth_lines(plan),
        Change::Add | Change::Unchanged => rights::lines(name.as_str(), &plan.rights, &plan.paths),
    };
    rights::show(&app.ui, &lines);
}

/// Returns only if the plan needs no consent, or somebody has given it.
pub fn agree(app: &App, prepared: &Prepared, given: &AnswerArgs) -> Result<()> {
    let plan = &prepared.plan;
    let Resolved { name, version, origin, .. } = &prepared.fetched.resolved;
    let action = match plan.change {
        Change::Replace { .. } => replacing(name.as_str(), plan),
        Change::Add | Change::Unchanged => format!("add {name}"),
    };
    let retry = match origin {
        Origin::Local { path } => format!("kf command add {}", path.display()),
        Origin::Registry { .. } | Origin::BuiltIn => format!("kf command add {name}@{version}"),
    };
    let question =
        Question { action: &action, digest: plan.consent, grows: plan.needs_consent(), retry: &retry };
    let answers = Answers { yes: given.yes, accept: given.accept.clone(), interactive: app.ui.interactive() };
    match answers.to(&question)? {
        Answer::Given => Ok(()),
        Answer::Ask if app.ui.confirm(&format!("{}?", capitalised(&action)), false) => Ok(()),
        Answer::Ask => Err(question.declined()),
    }
}

/// `upgrade train, now signed by bob instead of alice, and let it read secrets`
fn replacing(name: &str, plan: &Plan) -> String {
    let mut action = format!("{} {name}", if plan.is_downgrade() { "downgrade" } else { "upgrade" });
    let growth = in_brief(&plan.growth, &plan.new_paths);
    if let Some(SignerChange::Owner { from, to }) = &plan.signer {
        action.push_str(&format!(", now signed by {to} instead of {from}"));
        action.push_str(if growth.is_empty() { "" } else { "," });
    }
    if !growth.is_empty() {
        action.push_str(&format!(" and let it {growth}"));
    }
    action
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
