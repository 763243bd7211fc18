//! The maximum length of an experiment's name.
//!
//! Its trials and their pods are named after it, and a pod's name is a host name of at most 63 characters. JobSet refuses
//! to create longer ones after the trial was accepted, and the trial never runs.

use kf_plugin_sdk::{Error, Result};

/// Katib's limit.
pub(crate) const KATIB_MAX: usize = 40;
/// The length that Katib adds for the name of a trial: `-` and eight random characters.
pub(crate) const KATIB_TRIAL_LEN: usize = 9;

const MAX_HOST_NAME_LEN: usize = 63;
/// The step that trains, and the index of its job.
const STEP: &str = "-node-0";
/// The suffix that the Job controller adds to a pod's name.
const RANDOM_SUFFIX: &str = "-abcde";

/// Refuses a name that leaves no room for the pods of trials. The name of a trial is `trial` characters longer.
pub(crate) fn check(name: &str, trial: usize, nodes: Option<u32>) -> Result<()> {
    let rank = nodes.unwrap_or(1).saturating_sub(1).to_string().len() + 1;
    check_length(name, MAX_HOST_NAME_LEN.saturating_sub(trial + STEP.len() + rank + RANDOM_SUFFIX.len()))
}

/// Refuses a name of more than `max` characters.
pub(crate) fn check_length(name: &str, max: usize) -> Result<()> {
    if name.len() <= max {
        return Ok(());
    }
    let short: String = name.chars().take(max).collect();
    let hint = format!("use a shorter name, such as {}", short.trim_end_matches('-'));
    Err(Error::invalid(format!(
        "experiment name `{name}` is too long: at most {max} characters for valid names of its trials' pods"
    ))
    .hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_too_long_for_pods_is_refused() {
        let is_valid = |length: usize, trial: usize, nodes: Option<u32>| {
            check(&"a".repeat(length), trial, nodes).is_ok()
        };
        // <name>-12-node-0-0-abcde
        assert!(is_valid(45, "-12".len(), None));
        assert!(!is_valid(46, "-12".len(), None));
        assert!(is_valid(46, "-9".len(), Some(10)), "ranks 0 to 9");
        assert!(!is_valid(46, "-9".len(), Some(11)), "ranks 0 to 10");
        assert!(is_valid(39, KATIB_TRIAL_LEN, None));
        assert!(!is_valid(40, KATIB_TRIAL_LEN, None));
    }

    #[test]
    fn refusal_names_the_limit() {
        let error = check_length(&format!("{}-b", "a".repeat(39)), KATIB_MAX).unwrap_err();
        assert!(error.message.contains("at most 40 characters"), "{}", error.message);
        assert_eq!(error.hint, Some(format!("use a shorter name, such as {}", "a".repeat(39))));
    }
}
