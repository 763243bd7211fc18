//! Whether a command can be used here.

use kf_command::availability::{self, Availability, OwnRights, OwnRule};
use kf_core::failure::{Failure, Result};
use kf_core::grants::RuleSet;
use kf_core::ui::Tone;

use super::wrap::tell;
use crate::app::App;

pub fn tone(availability: &Availability) -> Tone {
    match availability {
        Availability::Ready => Tone::Good,
        Availability::NotServed { .. } | Availability::NotPermitted { .. } | Availability::Unknown { .. } => {
            Tone::Warning
        }
    }
}

/// The most rights that are told as missing before the question.
const MAX_MISSING: usize = 5;

/// Says above the rights of commands whether the user holds them. Nobody needs a cluster to add a command.
pub fn own_rights_line(app: &App, commands: &[&RuleSet]) {
    let rights = match availability::own_rights_of_all(&app.home, &app.target(), commands) {
        Ok(rights) => rights,
        Err(error) => return not_checked(app, &error),
    };
    let (it, s) = if commands.len() > 1 { ("they", "") } else { ("it", "s") };
    let held = rights.rules.iter().filter(|rule| rule.is_held()).count();
    let (all, namespace) = (rights.rules.len(), &rights.namespace);
    if rights.are_complete() {
        let line = format!("You may do all {it} ask{s} for in {namespace}.   ✓ {all} of {all} rules");
        return tell(&app.ui, "", &line, Tone::Good);
    }
    if rights.missing().next().is_none() {
        let line = format!(
            "You may do all {it} need{s} in {namespace}.   ✓ {held} of {all} rules, the rest is optional"
        );
        return tell(&app.ui, "", &line, Tone::Good);
    }
    let line = format!("You may not do all {it} need{s} in {namespace}.   {held} of {all} rules");
    tell(&app.ui, "", &line, Tone::Warning);
    for missing in rights.missing().take(MAX_MISSING) {
        tell(&app.ui, "  ✗ ", missing, Tone::Plain);
    }
    let more = rights.missing().count().saturating_sub(MAX_MISSING);
    if more > 0 {
        app.ui.note(&format!("  and {more} more"));
    }
}

fn not_checked(app: &App, error: &Failure) {
    let text = format!("Your own rights were not checked: {}", error.message());
    tell(&app.ui, "", &text, Tone::Plain);
}

/// Each rule, and what the user lacks of it.
pub fn own_rights(app: &App, own: Option<&Result<OwnRights>>) -> Result<()> {
    let own = match own {
        None => return Ok(()),
        Some(Err(error)) => {
            not_checked(app, error);
            return Ok(());
        }
        Some(Ok(own)) => own,
    };
    app.ui.data_line("")?;
    app.ui.data_line(&format!("For you in {}:", own.namespace))?;
    own.rules.iter().try_for_each(|rule| own_rule(app, rule))
}

fn own_rule(app: &App, rule: &OwnRule) -> Result<()> {
    let (mark, tone) = match (rule.is_held(), rule.optional) {
        (true, _) => ("✓", Tone::Good),
        (false, true) => ("–", Tone::Faint),
        (false, false) => ("✗", Tone::Bad),
    };
    app.ui.data_toned(&format!("  {mark} {}", rule.rule), tone)?;
    for missing in &rule.missing {
        app.ui.data_line(&format!("      you lack {missing}"))?;
    }
    Ok(())
}
