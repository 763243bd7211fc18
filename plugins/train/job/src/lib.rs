//! What training jobs are made of, for the commands that make them.
//!
//! [`JobFlags`] are the flags such a command has, [`overrides`] puts them on top of a file, [`runtime`]
//! finds what it runs with, [`files`] and [`Code`] take local code along, [`refusal`] explains what the
//! cluster has against it, and [`metrics`] reads what it prints.

mod children;
mod code;
pub mod files;
mod first_pod;
mod flags;
pub mod metrics;
mod mount;
pub mod overrides;
pub mod refusal;
pub mod runtime;

pub use children::{check_children, check_children_of_roles};
pub use code::{Code, Stored};
pub use first_pod::first_pod;
pub use flags::JobFlags;
pub use mount::{Mount, Volume, fit, training_pod};

use kf_plugin_sdk::{Access, CommandLine, Error, Kf, Kind, Object, Result};

pub const GROUP: &str = "trainer.kubeflow.org";
pub const KIND: &str = "TrainJob";

/// Kueue's label that says in which queue a job waits.
pub const QUEUE_LABEL: &str = "kueue.x-k8s.io/queue-name";

/// The version written when there is no file to say one.
const VERSION: &str = "v1alpha1";

/// The kind, in the version the cluster prefers.
pub fn train_job() -> Kind {
    Kind::new(GROUP, KIND)
}

/// A job with nothing but its name.
pub fn empty(name: &str) -> Object {
    Object::new(&train_job().version(VERSION), name)
}

/// The name rule of TrainJob's own schema; pods get it as a label and as a host name.
pub fn check_name(name: &str) -> Result<()> {
    let inner = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let fits = name.len() <= 63
        && name.starts_with(|letter: char| letter.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(inner);
    if fits {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "`{name}` is no name for a training job: at most 63 of a-z, 0-9 and -, a letter first, no - last"
    )))
}

/// The typed line with a name that is probably free in place of this one.
pub fn renamed(kf: &Kf, name: &str) -> CommandLine {
    kf.command_line().replace(name, &format!("{name}-2"))
}

/// Whether the user may do all of this to the objects of a resource. If not, `refused` makes a call
/// that is really refused, for kf to say which layer says no.
pub fn check_access(
    kf: &Kf,
    group: &str,
    resource: &str,
    verbs: &[&str],
    refused: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let questions: Vec<_> = verbs.iter().map(|verb| Access::new(verb, group, resource)).collect();
    let verdicts = kf.can_i(&questions)?;
    let Some((verb, _)) = verbs.iter().zip(&verdicts).find(|(_, verdict)| !verdict.allowed) else {
        return Ok(());
    };
    refused()?;
    let namespace = kf.namespace();
    let name = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
    Err(Error::forbidden(format!("you may not {verb} {name} in {namespace}"))
        .hint(format!("ask an owner of {namespace} for the role kubeflow-edit")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_schema_allows() {
        for name in ["mnist", "a", "a-1", &"a".repeat(63)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", "1a", "-a", "a-", "A", "a.b", "a_b", &"a".repeat(64)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
