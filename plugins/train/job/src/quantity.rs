//! Kubernetes' quantities, as far as a person types them.

use kf_plugin_sdk::{Error, Result};

const SUFFIXES: [&str; 14] = ["", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// Checks the value of a flag; `example` is a right one.
pub(crate) fn check(flag: &str, value: &str, example: &str) -> Result<()> {
    let number = value.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let suffix = value.strip_prefix(number).unwrap_or_default();
    let digits = |text: &str| text.chars().all(|letter| letter.is_ascii_digit());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = !whole.is_empty() && digits(whole) && !fraction.is_empty() && digits(fraction);
    if is_number && SUFFIXES.contains(&suffix) {
        return Ok(());
    }
    Err(Error::invalid(format!("--{flag} {value} is no quantity; write it like {example}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_numbers_with_a_known_unit() {
        for right in ["1", "500m", "0.5", "16Gi", "2G"] {
            assert_eq!(check("memory", right, "16Gi"), Ok(()), "{right}");
        }
        for wrong in ["", "Gi", "-1", "1.", ".5", "1.5.2", "16GB", "16 Gi", "1e3", "four"] {
            assert!(check("memory", wrong, "16Gi").is_err(), "{wrong}");
        }
        let error = check("memory", "16GB", "16Gi").unwrap_err();
        assert_eq!(error.message, "--memory 16GB is no quantity; write it like 16Gi");
    }
}
