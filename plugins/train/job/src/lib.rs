//! Builds training jobs, for the commands that create them.
//!
//! [`JobFlags`] are their flags, [`overrides`] applies these to a job, [`runtime`] resolves its training
//! runtime, [`files`] and [`Code`] upload local code, [`refusal`] explains why the API server refuses a job,
//! and [`metrics`] reads metrics from its log.

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

pub use children::{check_child_names, check_role_child_names};
pub use code::{Code, Stored};
pub use first_pod::first_pod;
pub use flags::JobFlags;
pub use mount::{Mount, Volume, training_pod, validate};

use kf_plugin_sdk::{Access, CommandLine, Error, Kf, Kind, Object, Result};

pub const GROUP: &str = "trainer.kubeflow.org";
pub const KIND: &str = "TrainJob";

/// Kueue's label for the queue of a job.
pub const QUEUE_LABEL: &str = "kueue.x-k8s.io/queue-name";

/// The version of a job that is not from a file.
const VERSION: &str = "v1alpha1";

/// The kind, in the version that the cluster prefers.
pub fn train_job() -> Kind {
    Kind::new(GROUP, KIND)
}

/// A job with only a name.
pub fn empty(name: &str) -> Object {
    Object::new(&train_job().version(VERSION), name)
}

/// Checks a name by the rule of TrainJob's schema; pods use it as a label and in their host names.
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
        "invalid training job name `{name}`: at most 63 characters of a-z, 0-9 and `-`, starting with a letter and not ending in `-`"
    )))
}

/// This command line, with this name replaced by one that is probably unused.
pub fn renamed(kf: &Kf, name: &str) -> CommandLine {
    kf.command_line().replace(name, &format!("{name}-2"))
}

/// Checks that the user may use all of these verbs on a resource. If not, `refused` makes a request that is
/// refused, so that kf can report which layer refuses it.
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
    Err(Error::forbidden(format!("you are not allowed to {verb} {name} in {namespace}"))
        .hint(format!("ask an owner of {namespace} for the role kubeflow-edit")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_schema() {
        for name in ["mnist", "a", "a-1", &"a".repeat(63)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", "1a", "-a", "a-", "A", "a.b", "a_b", &"a".repeat(64)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
