//! Shows which of two commands with the same name runs, and why.

use kf_command::installed::Named;
use kf_registry::index::Origin;
use kf_registry::receipt::Receipt;
use serde_json::{Value, json};

/// `team`, `team, upgrades the built-in 0.1.0`, `built in, newer than 0.2.0 from team`.
pub fn source(answers: &Receipt, other: Option<&Receipt>) -> String {
    let from = &answers.origin;
    other.map_or_else(|| from.to_string(), |other| format!("{from}, {}", reason(from, other)))
}

/// Why this command runs instead of the other.
pub fn reason(answers: &Origin, other: &Receipt) -> String {
    let Receipt { version, origin, .. } = other;
    match answers {
        Origin::BuiltIn { .. } => format!("newer than {version} from {origin}"),
        _ if answers.shares_signer(origin) => format!("upgrades the built-in {version}"),
        _ => format!("replaces the built-in {version}"),
    }
}

/// The command that does not run, as JSON.
pub fn other_json(named: &Named) -> Value {
    named.other.as_ref().map_or(Value::Null, to_json)
}

pub fn to_json(other: &Receipt) -> Value {
    json!({ "version": other.version, "source": other.origin.to_string(), "sha256": other.program_digest() })
}
