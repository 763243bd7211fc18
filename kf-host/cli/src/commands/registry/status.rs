use clap::Args;
use clap_complete::ArgValueCompleter;
use jiff::{SignedDuration, Timestamp};
use kf_core::failure::{Failure, Result};
use kf_core::ui::{Cell, Column, Row, Tone};
use kf_core::{Kind, RegistryId};
use kf_registry::publish::verify;
use kf_registry::trust::{Life, RoleStatus};
use kf_registry::{registries, trust};
use serde_json::json;

use super::folders::{IndexArgs, PublishedArgs};
use crate::app::App;
use crate::candidates::known;

/// Show the age and expiry of a registry's roles
///
/// Of a registry that is set up on this machine, as of its last refresh, or of a published folder. Warns about roles that
/// have passed half of their lifetime.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Registry of this machine; without it, the published folder
    #[arg(value_name = "NAME", conflicts_with_all = ["published", "root", "index"], add = ArgValueCompleter::new(known::registries))]
    name: Option<String>,

    #[command(flatten)]
    published: PublishedArgs,

    #[command(flatten)]
    index: IndexArgs,
}

pub fn run(app: &App, args: &StatusArgs) -> Result<()> {
    let now = App::now();
    let roles = match &args.name {
        Some(name) => {
            let id = RegistryId::parse(name)?;
            let registry = registries::load(&app.home, kf_built_in::built_ins(), &id)?;
            trust::cached(&app.home, &registry, now)?.roles()
        }
        None => {
            let root = args.published.pinned_root_in(&args.index.index)?;
            verify::roles(&args.published.published, &root)?
        }
    };
    let columns = ["ROLE", "VERSION", "SIGNED", "EXPIRES", "STATUS"].map(Column::new);
    let rows: Vec<Row> = roles.iter().map(|role| row(role, now)).collect();
    app.ui.table(&columns, &rows)?;
    let named = |life: Life| {
        let names = roles.iter().filter(move |role| role.life(now) == life).map(|role| role.name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    let (old, expired) = (named(Life::HalfPassed), named(Life::Expired));
    if !old.is_empty() {
        app.ui.warn(&format!("more than half of its lifetime has passed: {old}"));
    }
    if !expired.is_empty() {
        return Err(Failure::new(Kind::Untrusted, format!("expired: {expired}")));
    }
    Ok(())
}

fn row(role: &RoleStatus, now: Timestamp) -> Row {
    let (status, tone) = match role.life(now) {
        Life::Fresh => ("fresh", Tone::Good),
        Life::HalfPassed => ("sign again", Tone::Warning),
        Life::Expired => ("expired", Tone::Bad),
    };
    let ago = role
        .signed
        .map_or_else(|| "unknown".to_owned(), |at| format!("{} ago", days(now.duration_since(at))));
    let left = role.expires.duration_since(now);
    let expires = match left.is_negative() {
        true => format!("{} ago", days(-left)),
        false => format!("in {}", days(left)),
    };
    Row {
        cells: vec![
            role.name.as_str().into(),
            role.version.to_string().into(),
            ago.into(),
            expires.into(),
            Cell::toned(status, tone),
        ],
        object: json!({
            "role": role.name, "version": role.version, "signed": role.signed.map(|at| at.to_string()),
            "expires": role.expires.to_string(), "status": status,
        })
        .into(),
        name: format!("role/{}", role.name),
    }
}

/// `12 d`, `5 h` or `3 min`, rounded.
fn days(duration: SignedDuration) -> String {
    let minutes = (duration.as_secs() + 30) / 60;
    let (hours, days) = ((minutes + 30) / 60, (minutes + 12 * 60) / (24 * 60));
    match (days, hours) {
        (2.., _) => format!("{days} d"),
        (_, 2..) => format!("{hours} h"),
        _ => format!("{minutes} min"),
    }
}
