use std::borrow::Cow;

use serde_json::{Number, Value};

use super::decompose::MAX_ID_BYTES;
use crate::schedule::spread;

/// Whether two JSON texts mean the same: key order, white space and the spelling of numbers and escapes aside.
///
/// Texts that are too deep to read (more than 127 levels) are the same if they are equal to the letter.
pub fn same_json(left: &str, right: &str) -> bool {
    if left == right {
        return true;
    }
    match (serde_json::from_str::<Value>(left), serde_json::from_str::<Value>(right)) {
        (Ok(left), Ok(right)) => same_value(&left, &right),
        _ => false,
    }
}

fn same_value(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => same_number(left, right),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same_value(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| same_value(left, right)))
        }
        _ => left == right,
    }
}

/// `PostgreSQL`'s jsonb writes `1e2` as `100`, which reads as another kind of number here.
fn same_number(left: &Number, right: &Number) -> bool {
    left == right || (left.is_f64() || right.is_f64()) && left.as_f64() == right.as_f64()
}

const REPLACEMENT: &str = "\u{fffd}";

/// The text without NUL, which `PostgreSQL` cannot hold and `SQLite`'s tools cut off at: U+FFFD stands in its place.
pub fn clean_text(text: String) -> String {
    if text.contains('\0') { text.replace('\0', REPLACEMENT) } else { text }
}

/// What a record is called where any id must fit: names of more bytes than two ids with a slash are cut, and end with a
/// digest.
pub fn bounded_name(name: String) -> String {
    const LONGEST: usize = 2 * MAX_ID_BYTES + 1;
    if name.len() <= LONGEST {
        return name;
    }
    let start: String = name.chars().take(100).collect();
    format!("{start}…#{:016x}{:016x}", spread(&name, ""), spread(&name, "name"))
}

/// The JSON text with U+FFFD in the place of what `PostgreSQL`'s jsonb refuses: escaped NUL and lone surrogates.
pub fn clean_json(text: String) -> String {
    match replace_escapes(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(clean) => clean,
    }
}

fn replace_escapes(text: &str) -> Cow<'_, str> {
    if !text.contains("\\u") {
        return Cow::Borrowed(text);
    }
    let mut clean = String::new();
    let mut copied = 0; // everything before is in `clean` already
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find('\\')) {
        let escape = at + found;
        let unit = code_unit(text, escape);
        let follower = code_unit(text, escape + 6);
        let (length, bad) = match unit {
            None => (2, false),
            Some(0xd800..=0xdbff) if matches!(follower, Some(0xdc00..=0xdfff)) => (12, false),
            Some(0 | 0xd800..=0xdfff) => (6, true),
            Some(_) => (6, false),
        };
        at = escape + length;
        if bad {
            clean.push_str(text.get(copied..escape).unwrap_or_default());
            clean.push_str("\\ufffd");
            copied = at;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    clean.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(clean)
}

/// The UTF-16 code unit of the `\uXXXX` at `at`, if there is one.
fn code_unit(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

/// Whether the arrays and objects of a JSON text nest deeper than `limit`. Each level takes two letters at least, so
/// most texts need no look.
pub(crate) fn is_deeper(text: &str, limit: usize) -> bool {
    text.len() > 2 * limit && depth(text) > limit
}

/// How deep the arrays and objects of a JSON text nest.
pub(super) fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_is_of_meaning() {
        for (left, right) in [
            (r#"{"a":1,"b":[1,2]}"#, r#"{ "b": [1, 2], "a": 1 }"#),
            ("1e2", "100"),
            ("1.0", "1"),
            (r#""\u00e9""#, "\"é\""),
            (r#"{"a":1,"a":2}"#, r#"{"a": 2}"#),
        ] {
            assert!(same_json(left, right), "{left} {right}");
        }
        for (left, right) in [
            (r#"{"a":1}"#, r#"{"a":1,"b":null}"#),
            ("[1,2]", "[2,1]"),
            ("null", "0"),
            (r#""1""#, "1"),
            ("9007199254740993", "9007199254740992"),
        ] {
            assert!(!same_json(left, right), "{left} {right}");
        }
    }

    #[test]
    fn what_databases_refuse_is_replaced() {
        for (text, clean) in [
            (r#""a\u0000b""#, r#""a\ufffdb""#),
            (r#""\\u0000""#, r#""\\u0000""#),
            (r#""\\\u0000""#, r#""\\\ufffd""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ud83dx""#, r#""\ufffdx""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ude00""#, r#""\ufffd""#),
            (r#""\uD83D""#, r#""\ufffd""#),
            (r#""\u00e9\n""#, r#""\u00e9\n""#),
            (r#""é\u0000é\u0000""#, r#""é\ufffdé\ufffd""#),
        ] {
            assert_eq!(clean_json(text.to_owned()), clean, "{text}");
        }
        assert_eq!(clean_text("a\0b".to_owned()), "a\u{fffd}b");
    }

    #[test]
    fn depth_counts_outside_of_strings() {
        assert_eq!(depth("1"), 0);
        assert_eq!(depth(r#"{"a":[{}],"b":"[[[\"[["}"#), 3);
    }
}
