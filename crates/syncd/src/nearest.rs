//! Suggestions for mistyped names.

/// Minimum similarity. Less similar suggestions would mislead.
const ALIKE: f64 = 0.85;

/// Returns the name that is most similar to `word`, if any is similar enough.
pub(crate) fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase().replace('-', "_");
    let alike = |name: &str| strsim::jaro_winkler(&word, &name.replace('-', "_"));
    let best = names.into_iter().map(|name| (alike(name), name)).max_by(|one, other| one.0.total_cmp(&other.0))?;
    (best.0 >= ALIKE).then_some(best.1)
}

/// Formats a suggestion as the end of an error message.
pub(crate) fn suggestion<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, names).map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn what_is_alike_is_suggested_and_nothing_else() {
        let names = ["users", "courses", "course-progressions", "skills"];
        for (word, name) in [
            ("user", Some("users")),
            ("cuorses", Some("courses")),
            ("course_progression", Some("course-progressions")),
            ("Skills", Some("skills")),
            ("employees", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, names), name, "{word}");
        }
    }
}
