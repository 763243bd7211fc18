//! Adds or upgrades several commands with one screen and one confirmation.

use kf_command::consent::{self, Question};
use kf_command::hints;
use kf_command::install::{Installer, Prepared};
use kf_command::plan::{Change, SignerChange};
use kf_command::rights::{Rights, in_brief};
use kf_core::failure::Result;
use kf_core::grants::{RuleSet, joined, shortened};
use kf_core::tree::PathArguments;
use kf_core::ui::Tone;
use kf_registry::receipt::Receipt;

use super::availability::own_rights_line;
use super::plan::{self, AnswerArgs};
use super::rights::{self, Requester};
use super::wrap::{print_wrapped, width};
use crate::app::App;

const MAX_QUESTION_CHARS: usize = 60;

/// Installs the prepared commands: first those that need no consent, then, after one screen and one confirmation, the
/// others. `done` is called for each. A refused command does not stop the others.
///
/// A command with a new owner, a yanked version or a downgrade is confirmed separately.
pub fn install(
    app: &App,
    installer: &Installer<'_>,
    prepared: Vec<Prepared>,
    answer: &AnswerArgs,
    done: impl Fn(&Receipt) -> Result<()>,
) -> Result<()> {
    let is_given = |prepared: &Prepared| {
        !prepared.plan.needs_consent() || answer.accept.contains(&prepared.plan.consent.to_string())
    };
    let (given, asked): (Vec<_>, Vec<_>) = prepared.into_iter().partition(is_given);
    let (mut separate, mut together): (Vec<_>, Vec<_>) =
        asked.into_iter().partition(needs_separate_confirmation);
    if together.len() == 1 {
        separate.append(&mut together);
    }
    let one = |prepared: &Prepared| done(&plan::confirm_and_install(app, installer, prepared, answer)?);
    let all = |together: &[Prepared]| {
        show(app, together, !answer.offline);
        confirm_all(app, together, answer)?;
        together.iter().try_for_each(|prepared| done(&installer.apply(prepared)?))
    };
    let given = given.iter().map(one);
    let together = (!together.is_empty()).then_some(together.as_slice()).into_iter().map(all);
    let failures = given.chain(together).chain(separate.iter().map(one)).filter_map(Result::err);
    let last = failures.reduce(|earlier, later| {
        app.ui.error(&earlier);
        later
    });
    last.map_or(Ok(()), Err)
}

fn needs_separate_confirmation(prepared: &Prepared) -> bool {
    let Prepared { plan, fetched, .. } = prepared;
    let other_owner = matches!(plan.signer, Some(SignerChange::Owner { .. }));
    other_owner || plan.is_downgrade() || fetched.resolved.yanked.is_some()
}

fn show(app: &App, together: &[Prepared], cluster: bool) {
    let what = |prepared: &Prepared| {
        let resolved = &prepared.fetched.resolved;
        let version = shortened(&resolved.version.to_string());
        match &prepared.plan.change {
            Change::Replace { from } => format!("{} {from} → {version}", resolved.name),
            Change::Add | Change::Unchanged => format!("{} {version}", resolved.name),
        }
    };
    let mut by: Vec<(String, Vec<String>)> = Vec::new();
    for prepared in together {
        let from = plan::source(&prepared.fetched.resolved.origin);
        match by.iter_mut().find(|(known, _)| *known == from) {
            Some((_, list)) => list.push(what(prepared)),
            None => by.push((from, vec![what(prepared)])),
        }
    }
    for (from, list) in by {
        print_wrapped(&app.ui, "", &format!("{} {from}", joined(&list, usize::MAX)), Tone::Plain);
    }
    let rules: Vec<&RuleSet> = together.iter().map(|prepared| &prepared.plan.rights.rules).collect();
    let rules: Vec<&RuleSet> = rules.into_iter().filter(|rules| !rules.is_empty()).collect();
    if cluster && !rules.is_empty() {
        own_rights_line(app, &rules);
    }
    let requesters: Vec<Requester<'_>> = together
        .iter()
        .map(|prepared| Requester::new(prepared.fetched.resolved.name.as_str(), &prepared.plan))
        .collect();
    rights::show(&app.ui, &rights::lines_of_all(&requesters, width(app.ui.stderr_columns())));
}

/// Asks for consent to all of them.
///
/// # Errors
///
/// Consent was not given.
fn confirm_all(app: &App, together: &[Prepared], given: &AnswerArgs) -> Result<()> {
    let names: Vec<String> =
        together.iter().map(|prepared| prepared.fetched.resolved.name.to_string()).collect();
    let names = joined(&names, MAX_QUESTION_CHARS);
    let upgrades =
        together.iter().filter(|prepared| matches!(prepared.plan.change, Change::Replace { .. })).count();
    let action = match upgrades {
        0 => format!("add {names}"),
        _ if upgrades < together.len() => format!("add or upgrade {names}"),
        _ => {
            let (growth, paths) = all_growth(together);
            format!("upgrade {names} and let them {}", in_brief(&growth, &paths))
        }
    };
    let words: Vec<String> =
        together.iter().map(|prepared| hints::release(&prepared.fetched.resolved)).collect();
    let add = || format!("kf command add {}", words.join(" "));
    let retry = given.retry.clone().unwrap_or_else(add);
    let digest = consent::of_all(together.iter().map(|prepared| prepared.plan.consent));
    plan::ask(app, &Question { action: &action, digest, grows: true, retry: &retry }, given)
}

fn all_growth(together: &[Prepared]) -> (Rights, PathArguments) {
    let (mut growth, mut paths) = (Rights::default(), PathArguments::default());
    for plan in together.iter().map(|prepared| &prepared.plan) {
        growth.selection |= plan.growth.selection;
        growth.terminal |= plan.growth.terminal;
        growth.headers.extend(plan.growth.headers.iter().cloned());
        paths.files.extend(plan.new_paths.files.iter().cloned());
        paths.directories.extend(plan.new_paths.directories.iter().cloned());
    }
    let all = together.iter().flat_map(|prepared| prepared.plan.growth.rules.permissions());
    growth.rules = RuleSet::from_permissions(all.cloned());
    (growth, paths)
}
