//! Checks of a registry's reviewed text, for those who review a change of it.

use std::path::Path;

use kf_registry::source;

use crate::check::{Finding, place_in, reason};
use crate::rights::Rights;

/// Everything that is wrong with a registry's reviewed text.
///
/// # Errors
///
/// There is no `registry.toml`, or it cannot be read.
pub fn lint(index: &Path) -> Result<Vec<Finding>, kf_registry::Error> {
    let (source, problems) = source::check(index)?;
    let mut findings: Vec<Finding> = problems
        .into_iter()
        .map(|problem| {
            let message = problem.error.to_string();
            Finding { place: place_in(&problem.file, &message), message: reason(&message), remedy: None }
        })
        .collect();
    for plugin in source.plugins.values() {
        if let Err(error) = Rights::parse(&plugin.ceiling) {
            findings.push(Finding {
                place: format!("plugins/{}.toml", plugin.name),
                message: format!("invalid ceiling: {error}"),
                remedy: Some("rules have the fields of an RBAC rule, without wildcards".to_owned()),
            });
        }
    }
    Ok(findings)
}
