//! Formatting of values for people.

use askama::Template;
use kombo_model::Timestamp;
use sync_core::rows::Value;

use crate::output;

/// Maximum length of a text.
const MOST_CHARACTERS: usize = 2_000;

/// A past time: its age, with the exact time as a hint.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    source = "{% if exact.is_empty() %}{{ text }}{% else %}<time datetime=\"{{ exact }}\" title=\"{{ exact }}\">{{ text }}</time>{% endif %}",
    ext = "html"
)]
pub(super) struct When {
    exact: String,
    text: String,
}

/// Its template has already escaped the content.
impl askama::filters::HtmlSafe for When {}

impl When {
    pub(super) fn of(time: Option<Timestamp>, now: Timestamp) -> Self {
        Self { exact: time.map(|time| time.to_string()).unwrap_or_default(), text: output::ago(time, now) }
    }

    /// Time until something is due; a dash if nothing is.
    pub(super) fn due(time: Option<Timestamp>, now: Timestamp) -> Self {
        match time {
            None => Self { exact: String::new(), text: "–".to_owned() },
            Some(time) if time <= now => Self { exact: time.to_string(), text: "now".to_owned() },
            time => Self::of(time, now),
        }
    }
}

/// Formats a number with groups of thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns the text, cut if it is very long.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}… ({} bytes in all)", text.get(..end).unwrap_or_default(), text.len()),
        None => text.to_owned(),
    }
}

/// Formats the content of a column.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::Absent | Value::Null => "–".to_owned(),
        Value::Unreadable => "cannot be read".to_owned(),
        Value::Time(time) => time.to_string(),
        Value::Date(date) => date.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::Text(text) | Value::Json(text) => cut(text),
    }
}

/// Formats the columns of a change: their names and, with `values`, the old and new values if they are kept.
pub(super) fn fields(fields: &serde_json::Value, values: bool) -> String {
    let names: Vec<String> = match fields {
        serde_json::Value::Array(names) => names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        serde_json::Value::Object(columns) if values => columns
            .iter()
            .map(|(name, change)| format!("{name}: {} → {}", plain(change.get("old")), plain(change.get("new"))))
            .collect(),
        serde_json::Value::Object(columns) => columns.keys().cloned().collect(),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => Vec::new(),
    };
    cut(&names.join(", "))
}

fn plain(value: Option<&serde_json::Value>) -> String {
    match value {
        None | Some(serde_json::Value::Null) => "–".to_owned(),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(cut("é"), "é");
        assert!(cut(&"é".repeat(2_001)).ends_with("é… (4002 bytes in all)"));
    }

    #[test]
    fn values_of_changes_are_shown_only_if_asked_for() {
        let change = serde_json::json!({ "first_name": { "old": "Ada", "new": null } });
        assert_eq!(fields(&change, true), "first_name: Ada → –");
        assert_eq!(fields(&change, false), "first_name");
        assert_eq!(fields(&serde_json::json!(["a", "b"]), false), "a, b");
    }
}
