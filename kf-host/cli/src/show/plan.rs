//! Shows a plan and asks for confirmation.

use clap::Args;
use kf_command::consent::{Answer, Answers, Question};
use kf_command::hints;
use kf_command::install::{Installer, Prepared};
use kf_command::plan::{Change, Plan, SignerChange};
use kf_command::rights::in_brief;
use kf_core::failure::{Failure, Result};
use kf_core::size::Decimal;
use kf_core::ui::Tone;
use kf_registry::index::{Origin, Resolved};
use kf_registry::receipt::Receipt;

use super::availability::own_rights_line;
use super::rights;
use super::wrap::{confirm, print_wrapped, width};
use crate::app::App;
use crate::args;

/// Answers given on the command line.
#[derive(Clone, Debug, Default, Args)]
pub struct AnswerArgs {
    /// Answer yes unless rights grow
    #[arg(long, short = 'y')]
    pub yes: bool,

    /// Accept exactly this command with exactly these rights; kf prints the digest
    #[arg(long, value_name = "DIGEST")]
    pub accept: Vec<String>,

    /// The command line that a hint shows for a retry, without `--accept`. By default it adds the commands.
    #[arg(skip)]
    pub retry: Option<String>,

    /// Whether not even the cluster is asked for the user's rights.
    #[arg(skip)]
    pub offline: bool,
}

pub fn installer(app: &App) -> Installer<'_> {
    Installer::new(app.commands(), &args::RESERVED, app.reporter(), App::now())
}

/// Shows the prepared command, asks for confirmation, and installs it.
pub fn confirm_and_install(
    app: &App,
    installer: &Installer<'_>,
    prepared: &Prepared,
    answer: &AnswerArgs,
) -> Result<Receipt> {
    let add = || format!("kf command add {}", hints::release(&prepared.fetched.resolved));
    let retry = answer.retry.clone().unwrap_or_else(add);
    confirm_and_install_with(app, installer, prepared, answer, &retry)
}

/// The same, with the command line that the hint shows for a retry.
pub fn confirm_and_install_with(
    app: &App,
    installer: &Installer<'_>,
    prepared: &Prepared,
    answer: &AnswerArgs,
    retry: &str,
) -> Result<Receipt> {
    show_asking(app, prepared, !answer.offline);
    confirm_plan(app, prepared, answer, retry)?;
    installer.apply(prepared)
}

/// Prints the command, its warnings, whether the user has its rights, and last the rights or their growth, right above
/// the prompt.
pub fn show(app: &App, prepared: &Prepared) {
    show_asking(app, prepared, true);
}

/// The same; the cluster is asked for the user's rights only if `cluster` is set.
fn show_asking(app: &App, prepared: &Prepared, cluster: bool) {
    let Prepared { fetched, plan, .. } = prepared;
    let Resolved { name, version, origin, parts, yanked, .. } = &fetched.resolved;
    let program = parts.program();
    let what = format!("{} ({}, sha256 {})", source(origin), Decimal(program.length), program.sha256.short());
    let line = match &plan.change {
        Change::Replace { from } => format!("{name} {from} → {version} {what}"),
        Change::Add | Change::Unchanged => format!("{name} {version} {what}"),
    };
    print_wrapped(&app.ui, "", &line, Tone::Plain);
    if let Some(yanked) = yanked {
        app.ui.warn(&format!("{name} {version} was {yanked}"));
    }
    if plan.is_downgrade() {
        app.ui.warn(&format!("{version} is older than the installed version"));
    }
    match &plan.signer {
        Some(SignerChange::Owner { from, to }) if from == to => {
            app.ui
                .warn(&format!("{name} is signed by a different {to}: no key matches the installed version"));
        }
        Some(SignerChange::Owner { from, to }) => {
            app.ui.warn(&format!("{name} is now signed by {to}; the installed version is signed by {from}"));
        }
        Some(SignerChange::Keys) => app.ui.note("Signed with different keys than the installed version."),
        None => {}
    }
    if cluster && !plan.rights.rules.is_empty() {
        own_rights_line(app, &[&plan.rights.rules]);
    }
    let width = width(app.ui.stderr_columns());
    let lines = match &plan.change {
        Change::Replace { .. } => rights::growth_lines(plan, width),
        Change::Add | Change::Unchanged => rights::lines(name.as_str(), &plan.rights, &plan.paths, width),
    };
    rights::show(&app.ui, &lines);
}

/// Where a command comes from.
pub fn source(origin: &Origin) -> String {
    match origin {
        Origin::Registry { owner, .. } => format!("by {owner}"),
        Origin::BuiltIn { .. } => "built in".to_owned(),
        Origin::Local { path } => format!("from {}", path.display()),
    }
}

/// Asks for consent to the plan.
///
/// # Errors
///
/// The plan needs consent, and it was not given.
fn confirm_plan(app: &App, prepared: &Prepared, given: &AnswerArgs, retry: &str) -> Result<()> {
    let plan = &prepared.plan;
    let name = &prepared.fetched.resolved.name;
    let action = match plan.change {
        Change::Replace { .. } => upgrade_action(name.as_str(), plan),
        Change::Add | Change::Unchanged => format!("add {name}"),
    };
    let question = Question { action: &action, digest: plan.consent, grows: plan.needs_consent(), retry };
    ask(app, &question, given)
}

/// Asks before a downgrade whose version the user did not name.
///
/// # Errors
///
/// The user declined.
pub fn confirm_downgrade(app: &App, prepared: &Prepared, given: &AnswerArgs) -> Result<()> {
    let name = &prepared.fetched.resolved.name;
    let Change::Replace { from } = &prepared.plan.change else { return Ok(()) };
    let question = format!("Downgrade {name} from {from} to {}?", prepared.plan.to);
    match !prepared.plan.is_downgrade() || given.yes || confirm(&app.ui, &question) {
        true => Ok(()),
        false => Err(Failure::untrusted(format!("cancelled: did not downgrade {name}"))),
    }
}

/// Asks for consent, unless it was given on the command line.
///
/// # Errors
///
/// Consent was not given.
pub fn ask(app: &App, question: &Question<'_>, given: &AnswerArgs) -> Result<()> {
    let answers = Answers { yes: given.yes, accept: given.accept.clone(), interactive: app.ui.interactive() };
    match answers.to(question)? {
        Answer::Given => Ok(()),
        Answer::Ask if confirm(&app.ui, &format!("{}?", capitalised(question.action))) => Ok(()),
        Answer::Ask => Err(question.declined()),
    }
}

/// `upgrade train, now signed by bob instead of alice, and let it read secrets`
fn upgrade_action(name: &str, plan: &Plan) -> String {
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
