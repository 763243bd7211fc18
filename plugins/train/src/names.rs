//! Generated names.

use kf_plugin_sdk::Timestamp;

/// Characters that form no words and are not confused with each other.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Returns `NAME-` and five characters, which differ from one millisecond to the next.
pub(crate) fn generate(name: &str, now: Timestamp) -> String {
    let mut rest = now.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let mut generated = format!("{name}-");
    for _ in 0..5 {
        let letter = usize::try_from(rest % 27).ok().and_then(|index| ALPHABET.get(index));
        generated.extend(letter.map(|letter| char::from(*letter)));
        rest /= 27;
    }
    generated
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn generated_names_differ_each_millisecond() {
        let start = 1_767_268_800_000;
        let names: BTreeSet<_> = (0..200).map(|later| generate("mnist", Timestamp(start + later))).collect();
        assert_eq!(names.len(), 200);
        for name in names {
            assert_eq!(name.len(), "mnist-".len() + 5);
            assert_eq!(kf_training_job::check_name(&name), Ok(()));
        }
    }
}
