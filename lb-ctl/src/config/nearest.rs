//! The known word that a wrong one was probably meant to be.

/// The candidate that is most like `word`, if one is near enough to be a slip.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance =
        |candidate: &str| strsim::damerau_levenshtein(&word.to_lowercase(), &candidate.to_lowercase());
    let scored = candidates.into_iter().map(|candidate| (distance(candidate), candidate));
    let limit = (word.chars().count() / 3).max(1);
    scored
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_a_stranger_finds_none() {
        let words = ["name", "scheduler", "protocol", "port"];
        let rows = [
            ("schedular", Some("scheduler")),
            ("Name", Some("name")),
            ("protcol", Some("protocol")),
            ("prot", Some("port")),
            ("x", None),
            ("timeout", None),
        ];
        for (word, want) in rows {
            assert_eq!(nearest(word, words), want, "{word}");
        }
    }
}
