//! Names nobody has to think of.

use kf_plugin_sdk::Timestamp;

/// Letters and digits that make no words and are not mistaken for each other.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// `NAME-` and five letters, other ones each millisecond.
pub(crate) fn generate(name: &str, now: Timestamp) -> String {
    let mut rest = now.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let mut generated = format!("{name}-");
    for _ in 0..5 {
        let letter = usize::try_from(rest % 27).ok().and_then(|index| LETTERS.get(index));
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
    fn one_millisecond_makes_another_name() {
        let start = 1_767_268_800_000;
        let names: BTreeSet<_> = (0..200).map(|later| generate("mnist", Timestamp(start + later))).collect();
        assert_eq!(names.len(), 200);
        for name in names {
            assert_eq!(name.len(), "mnist-".len() + 5);
            assert_eq!(kf_training_job::check_name(&name), Ok(()));
        }
    }
}
