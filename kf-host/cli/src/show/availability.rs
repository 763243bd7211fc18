//! Shows whether a command can be used in the namespace.

use kf_command::availability::{self, Availability, OwnRights, OwnRule};
use kf_core::failure::{Failure, Result};
use kf_core::grants::RuleSet;
use kf_core::ui::Tone;

use super::wrap::print_wrapped;
use crate::app::App;

pub fn tone(availability: &Availability) -> Tone {
    match availability {
        Availability::Ready => Tone::Good,
        Availability::NotServed { .. } | Availability::NotPermitted { .. } | Availability::Unknown { .. } => {
            Tone::Warning
        }
    }
}

/// How many missing rights are shown before the prompt.
const MAX_MISSING: usize = 5;

/// Prints whether the user has the rights that the commands need. Without a cluster they are not checked, because adding
/// a command needs none.
pub fn own_rights_line(app: &App, commands: &[&RuleSet]) {
    let rights = match availability::own_rights_of_all(&app.home, &app.target(), commands) {
        Ok(rights) => rights,
        Err(error) => return not_checked(app, &error),
    };
    let (it, s) = if commands.len() > 1 { ("they", "") } else { ("it", "s") };
    let held = rights.rules.iter().filter(|rule| rule.is_held()).count();
    let (all, namespace) = (rights.rules.len(), &rights.namespace);
    if rights.are_complete() {
        let line = format!("You have all rights {it} request{s} in {namespace}.   ✓ {all} of {all} rules");
        return print_wrapped(&app.ui, "", &line, Tone::Good);
    }
    if rights.missing().next().is_none() {
        let line = format!(
            "You have all rights {it} need{s} in {namespace}.   ✓ {held} of {all} rules, the rest is optional"
        );
        return print_wrapped(&app.ui, "", &line, Tone::Good);
    }
    let line = format!("You lack rights {it} need{s} in {namespace}.   {held} of {all} rules");
    print_wrapped(&app.ui, "", &line, Tone::Warning);
    for missing in rights.missing().take(MAX_MISSING) {
        print_wrapped(&app.ui, "  ✗ ", missing, Tone::Plain);
    }
    let more = rights.missing().count().saturating_sub(MAX_MISSING);
    if more > 0 {
        app.ui.note(&format!("  and {more} more"));
    }
}

fn not_checked(app: &App, error: &Failure) {
    let text = format!("Your rights were not checked: {}", error.message());
    print_wrapped(&app.ui, "", &text, Tone::Plain);
}

/// Prints each rule, and which rights of it the user lacks.
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
    app.ui.data_line(&format!("Your rights in {}:", own.namespace))?;
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
