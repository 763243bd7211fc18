//! A plan, and the question it comes down to.

use clap::Args;
use kf_command::consent::{Answer, Answers, Question};
use kf_command::install::{Installer, Prepared};
use kf_command::plan::{Change, Plan, SignerChange};
use kf_command::rights::in_brief;
use kf_core::failure::Result;
use kf_core::size::Decimal;
use kf_core::ui::Tone;
use kf_registry::index::{Origin, Resolved};
use kf_registry::receipt::Receipt;

use super::availability::own_rights_line;
use super::rights;
use super::wrap::{confirm, tell, width};
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
    pub accept: Vec<String>,
}

pub fn installer(app: &App) -> Installer<'_> {
    Installer::new(app.commands(), &args::RESERVED, app.reporter(), App::now())
}

/// Shows what was prepared, asks, and installs it.
pub fn finish(
    app: &App,
    installer: &Installer<'_>,
    prepared: &Prepared,
    answer: &AnswerArgs,
) -> Result<Receipt> {
    let retry = format!("kf command add {}", word(prepared));
    finish_with(app, installer, prepared, answer, &retry)
}

/// The same, where another line than `kf command add` led here.
pub fn finish_with(
    app: &App,
    installer: &Installer<'_>,
    prepared: &Prepared,
    answer: &AnswerArgs,
    retry: &str,
) -> Result<Receipt> {
    show(app, prepared);
    agree(app, prepared, answer, retry)?;
    installer.apply(prepared)
}

/// What is installed, whether the user holds the rights it asks for, and at the end the rights themselves, or
/// how they grow: the question follows.
pub fn show(app: &App, prepared: &Prepared) {
    let Prepared { fetched, plan, .. } = prepared;
    let Resolved { name, version, origin, parts, yanked, .. } = &fetched.resolved;
    let program = parts.program();
    let what = format!("{} ({}, sha256 {})", from(origin), Decimal(program.length), program.sha256.short());
    let line = match &plan.change {
        Change::Replace { from } => format!("{name} {from} → {version} {what}"),
        Change::Add | Change::Unchanged => format!("{name} {version} {what}"),
    };
    tell(&app.ui, "", &line, Tone::Plain);
    if *yanked {
        app.ui.warn(&format!("{name} {version} was withdrawn by its registry"));
    }
    if plan.is_downgrade() {
        app.ui.warn(&format!("{version} is older than what is installed"));
    }
    match &plan.signer {
        Some(SignerChange::Owner { from, to }) if from == to => {
            app.ui.warn(&format!(
                "{name} is signed by another {to}: with none of the keys of what is installed"
            ));
        }
        Some(SignerChange::Owner { from, to }) => {
            app.ui.warn(&format!("{name} is now signed by {to}; what is installed was signed by {from}"));
        }
        Some(SignerChange::Keys) => app.ui.note("Signed with other keys than what is installed."),
        None => {}
    }
    if !plan.rights.rules.is_empty() {
        own_rights_line(app, &[&plan.rights.rules]);
    }
    let width = width(app.ui.talk_columns());
    let lines = match &plan.change {
        Change::Replace { .. } => rights::growth_lines(plan, width),
        Change::Add | Change::Unchanged => rights::lines(name.as_str(), &plan.rights, &plan.paths, width),
    };
    rights::show(&app.ui, &lines);
}

/// Who vouches for it.
pub fn from(origin: &Origin) -> String {
    match origin {
        Origin::Registry { owner, .. } => format!("by {owner}"),
        Origin::BuiltIn { .. } => "built in".to_owned(),
        Origin::Local { path } => format!("from {}", path.display()),
    }
}

/// Returns only if the plan needs no consent, or somebody has given it.
fn agree(app: &App, prepared: &Prepared, given: &AnswerArgs, retry: &str) -> Result<()> {
    let plan = &prepared.plan;
    let name = &prepared.fetched.resolved.name;
    let action = match plan.change {
        Change::Replace { .. } => replacing(name.as_str(), plan),
        Change::Add | Change::Unchanged => format!("add {name}"),
    };
    let question = Question { action: &action, digest: plan.consent, grows: plan.needs_consent(), retry };
    ask(app, &question, given)
}

/// Returns only if somebody has given their consent, or is there and gives it now.
pub fn ask(app: &App, question: &Question<'_>, given: &AnswerArgs) -> Result<()> {
    let answers = Answers { yes: given.yes, accept: given.accept.clone(), interactive: app.ui.interactive() };
    match answers.to(question)? {
        Answer::Given => Ok(()),
        Answer::Ask if confirm(&app.ui, &format!("{}?", capitalised(question.action))) => Ok(()),
        Answer::Ask => Err(question.declined()),
    }
}

/// What to type after `kf command add` for this very version.
pub fn word(prepared: &Prepared) -> String {
    let Resolved { name, version, origin, .. } = &prepared.fetched.resolved;
    match origin {
        Origin::Local { path } => path.display().to_string(),
        Origin::Registry { .. } | Origin::BuiltIn { .. } => format!("{name}@{version}"),
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
