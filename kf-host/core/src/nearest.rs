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

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn swapped_letters_and_prefixes_are_found() {
        let known = ["train", "status", "logs", "hello"];
        assert_eq!(nearest("trian", known), ["train"]);
        assert_eq!(nearest("stat", known), ["status"]);
        assert_eq!(nearest("log", known), ["logs"]);
        assert!(nearest("zebra", known).is_empty());
    }
}
