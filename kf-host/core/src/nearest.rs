//! "Did you mean …?"

/// The candidates that are most similar to `name`, best first, at most three.
///
/// A candidate counts if few letters differ for its length, or if one of the two is a prefix of the other.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut scored: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let distance = strsim::damerau_levenshtein(name, candidate);
            let allowed = (name.chars().count().max(candidate.chars().count()) / 3).max(1);
            let prefix = name.len() >= 3 && (candidate.starts_with(name) || name.starts_with(candidate));
            (distance <= allowed || prefix).then_some((distance, candidate))
        })
        .collect();
    scored.sort_unstable();
    scored.dedup();
    scored.into_iter().map(|(_, candidate)| candidate).take(3).collect()
}

/// Whether two names can be mistaken for each other: they differ by one letter or two swapped ones, or only by hyphens and
/// digits that look like letters. Names below four letters are too short to tell.
pub fn looks_like(name: &str, other: &str) -> bool {
    const MIN_LETTERS: usize = 4;
    if name == other || name.len().min(other.len()) < MIN_LETTERS {
        return false;
    }
    skeleton(name) == skeleton(other) || strsim::damerau_levenshtein(name, other) == 1
}

/// Keys to find look-alikes among many names: two names that [look alike](looks_like) have a key in common. They are what the
/// name looks like, the name itself, and the name without each of its letters.
pub fn look_alike_keys(name: &str) -> Vec<String> {
    let letters = name.char_indices();
    let without = letters.map(|(at, letter)| {
        let (before, after) = (name.get(..at), name.get(at + letter.len_utf8()..));
        [before, after].into_iter().flatten().collect()
    });
    [skeleton(name), name.to_owned()].into_iter().chain(without).collect()
}

fn skeleton(name: &str) -> String {
    let letter = |c| match c {
        '0' => 'o',
        '1' => 'l',
        c => c,
    };
    name.chars().filter(|c| *c != '-').map(letter).collect()
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, proptest};

    use super::{look_alike_keys, looks_like, nearest};

    proptest! {
        #[test]
        fn look_alikes_have_key_in_common(name in "[a0o-]{4,6}", other in "[a0o-]{4,6}") {
            let keys = look_alike_keys(&other);
            let has_common = look_alike_keys(&name).iter().any(|key| keys.contains(key));
            prop_assert!(has_common || !looks_like(&name, &other));
        }
    }

    #[test]
    fn names_that_can_be_mistaken_look_alike() {
        let alike = [
            ("kuebctl", "kubectl"),
            ("trian", "train"),
            ("pods-top", "podstop"),
            ("he1l0", "hello"),
            ("logss", "logs"),
        ];
        for (name, other) in alike {
            assert!(looks_like(name, other) && looks_like(other, name), "{name} {other}");
        }
        for (name, other) in [("train", "train"), ("top", "tap"), ("create", "delete"), ("serve", "services")]
        {
            assert!(!looks_like(name, other), "{name} {other}");
        }
    }

    #[test]
    fn swapped_letters_and_prefixes_are_found() {
        let known = ["train", "status", "logs", "hello"];
        assert_eq!(nearest("trian", known), ["train"]);
        assert_eq!(nearest("stat", known), ["status"]);
        assert_eq!(nearest("log", known), ["logs"]);
        assert!(nearest("zebra", known).is_empty());
    }
}
