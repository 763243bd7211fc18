//! How long the name of an experiment can be.
//!
//! Its trials are named after it, and so are their pods, whose names are host names: at most 63 characters. JobSet refuses
//! to make what would be longer, after the trial was accepted, and the trial never runs.

use kf_plugin_sdk::{Error, Result};

/// What Katib allows.
pub(crate) const KATIB_MAX: usize = 40;
/// What Katib puts after it for the name of a trial: `-` and eight random characters.
pub(crate) const KATIB_TRIAL: usize = 9;

const HOST_NAME: usize = 63;
/// The step that trains, and the index of its job.
const STEP: &str = "-node-0";
/// What the Job controller puts behind a pod's rank.
const RANDOM: &str = "-abcde";

/// Refuses a name that leaves no room for the pods of trials, whose own names are `trial` characters longer.
pub(crate) fn check(name: &str, trial: usize, nodes: Option<u32>) -> Result<()> {
    let rank = nodes.unwrap_or(1).saturating_sub(1).to_string().len() + 1;
    check_length(name, HOST_NAME.saturating_sub(trial + STEP.len() + rank + RANDOM.len()))
}

/// Refuses a name of more than so many characters.
pub(crate) fn check_length(name: &str, most: usize) -> Result<()> {
    if name.len() <= most {
        return Ok(());
    }
    let short: String = name.chars().take(most).collect();
    let hint = format!("take a shorter name, such as {}", short.trim_end_matches('-'));
    Err(Error::invalid(format!(
        "experiment name \"{name}\" is too long: at most {most} characters, as the pods of its trials are named after it"
    ))
    .hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_that_leaves_no_room_for_pods_is_refused() {
        let of = |length: usize, trial: usize, nodes: Option<u32>| {
            check(&"a".repeat(length), trial, nodes).is_ok()
        };
        // <name>-12-node-0-0-abcde
        assert!(of(45, "-12".len(), None));
        assert!(!of(46, "-12".len(), None));
        assert!(of(46, "-9".len(), Some(10)), "ranks 0 to 9");
        assert!(!of(46, "-9".len(), Some(11)), "ranks 0 to 10");
        assert!(of(39, KATIB_TRIAL, None));
        assert!(!of(40, KATIB_TRIAL, None));
    }

    #[test]
    fn refusal_says_how_many_characters_fit() {
        let error = check_length(&format!("{}-b", "a".repeat(39)), KATIB_MAX).unwrap_err();
        assert!(error.message.contains("at most 40 characters"), "{}", error.message);
        assert_eq!(error.hint, Some(format!("take a shorter name, such as {}", "a".repeat(39))));
    }
}
