//! The nearest known name: most mistakes are slips of the finger.

/// A hint that names the nearest of `known`, if one is near enough to be meant.
pub(crate) fn did_you_mean<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(written, known).map(|name| format!("did you mean \"{name}\"?"))
}

/// The nearest of `known`, if it is nearer than a third of the letters are away.
pub(crate) fn nearest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let lower = written.to_lowercase();
    let distance_max = (written.chars().count() / 3).clamp(1, 4);
    let distances = known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name));
    let (distance, name) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= distance_max).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_hinted_and_far_ones_are_not() {
        assert_eq!(nearest("user", ["users", "countries"]), Some("users"));
        assert_eq!(nearest("btach", ["record", "batch"]), Some("batch"));
        assert_eq!(nearest("colour", ["core", "idle"]), None);
        assert_eq!(nearest("x", []), None);
    }
}
