mod number;
mod tree;

use std::borrow::Cow;

use number::is_moderate;
use tree::Tree;

use super::decompose::MAX_ID_BYTES;
use crate::stable_hash::stable_hash;

/// Whether two JSON texts are equal as data: key order, white space and the notation of numbers and escapes do not
/// matter. Numbers are compared to the last digit.
///
/// Texts that are not JSON or nest too deep (more than 127 levels) are compared literally.
pub fn same_json(left: &str, right: &str) -> bool {
    if left == right {
        return true;
    }
    match (Tree::read(left), Tree::read(right)) {
        (Some(left), Some(right)) => left == right,
        _ => false,
    }
}

/// Whether a text is JSON. Only texts that are not too deep can be checked.
pub(super) fn is_json(text: &str) -> bool {
    is_deeper(text, tree::MOST_LEVELS) || Tree::read(text).is_some()
}

/// Returns the JSON text as a `serde_json` value. Numbers that `serde_json` would round become text, and so does a text
/// that cannot be read.
pub(super) fn to_value(text: &str) -> serde_json::Value {
    Tree::read(text).map_or_else(|| serde_json::Value::String(text.to_owned()), |tree| tree.to_value())
}

/// Turns numbers into texts if `PostgreSQL`'s jsonb rejects them or writes them with far more digits. `None` if there
/// are no such numbers.
pub(super) fn moderate_numbers(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let has_exponent = || bytes.windows(2).any(|two| matches!(two, [b'0'..=b'9', b'e' | b'E']));
    if text.len() < 500 && !has_exponent() {
        return None;
    }
    let (mut moderate, mut copied, mut at) = (String::new(), 0, 0);
    let mut in_text = false;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if in_text => at += 1,
            b'"' => in_text = !in_text,
            b'-' | b'0'..=b'9' if !in_text => {
                let rest = text.get(at..).unwrap_or_default();
                let is_part = |letter: char| matches!(letter, '0'..='9' | '-' | '+' | '.' | 'e' | 'E');
                let number = rest.split_once(|letter| !is_part(letter)).map_or(rest, |(number, _)| number);
                if !is_moderate(number) {
                    moderate.push_str(text.get(copied..at).unwrap_or_default());
                    moderate.extend(["\"", number, "\""]);
                    copied = at + number.len();
                }
                at += number.len() - 1;
            }
            _ => {}
        }
        at += 1;
    }
    moderate.push_str(text.get(copied..)?);
    (copied > 0).then_some(moderate)
}

const REPLACEMENT: &str = "\u{fffd}";

/// Replaces NUL with U+FFFD. `PostgreSQL` cannot store NUL, and `SQLite`'s tools cut texts off at it.
pub fn clean_text(text: String) -> String {
    if text.contains('\0') { text.replace('\0', REPLACEMENT) } else { text }
}

/// Shortens the name of a record so that it fits where any id must fit. Names with more bytes than two ids and a slash
/// are cut and end with a digest.
pub fn bounded_name(name: String) -> String {
    const LONGEST: usize = 2 * MAX_ID_BYTES + 1;
    if name.len() <= LONGEST {
        return name;
    }
    let start: String = name.chars().take(100).collect();
    format!("{start}…#{:016x}{:016x}", stable_hash(&name, ""), stable_hash(&name, "name"))
}

/// Replaces with U+FFFD what `PostgreSQL`'s jsonb rejects in JSON text: escaped NUL and lone surrogates.
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
    let mut copied = 0; // everything before is already in `clean`
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

/// Returns the UTF-16 code unit of the `\uXXXX` at `at`, if there is one.
fn code_unit(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

/// Whether the arrays and objects of a JSON text nest deeper than `limit`. Each level takes at least two characters, so
/// most texts need not be scanned.
pub(crate) fn is_deeper(text: &str, limit: usize) -> bool {
    text.len() > 2 * limit && depth(text) > limit
}

/// Returns the nesting depth of the arrays and objects in a JSON text.
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
            (r#"{"a":1,"b":"\\\"}","a":[{},[]]}"#, r#" { "b" : "\\\u0022}" , "a" : [ { } , [ ] ] } "#),
            ("[1e400,-0,123456789012345678901]", &format!("[1{}, 0, 123456789012345678901]", "0".repeat(400))),
            ("[true,false,null]", "[ true , false,null]"),
        ] {
            assert!(same_json(left, right), "{left} {right}");
        }
        for (left, right) in [
            (r#"{"a":1}"#, r#"{"a":1,"b":null}"#),
            ("[1,2]", "[2,1]"),
            ("null", "0"),
            (r#""1""#, "1"),
            ("9007199254740993", "9007199254740992"),
            ("[123456789012345678901]", "[123456789012345678902]"),
            ("[0.12345678901234567890]", "[0.12345678901234567891]"),
            ("[1e400]", "[1e401]"),
            ("[1", "[1]"),
            ("[1]]", "[1]"),
            ("[1,]", "[1]"),
            ("{\"a\":1", "{\"a\":1}"),
            ("nul", "null"),
            ("", "null"),
        ] {
            assert!(!same_json(left, right), "{left} {right}");
        }
    }

    #[test]
    fn numbers_out_of_range_become_texts() {
        for (text, moderate) in [
            (r#"{"n":1e400,"m":1.5e-7}"#, r#"{"n":1e400,"m":1.5e-7}"#),
            (r#"{"n":1e400000}"#, r#"{"n":"1e400000"}"#),
            (
                r#"[ -1e999999999 ,"1e999999999 \\" , 1E-999999,1]"#,
                r#"[ "-1e999999999" ,"1e999999999 \\" , "1E-999999",1]"#,
            ),
            ("1e99999999999999999999", r#""1e99999999999999999999""#),
        ] {
            assert_eq!(moderate_numbers(text).as_deref().unwrap_or(text), moderate, "{text}");
        }
    }

    #[test]
    fn no_digit_is_lost_on_the_way_into_the_log() {
        let value = to_value(r#"{"a":[123456789012345678901,0.1,18446744073709551615],"b":{"c":"d"},"a2":1e400}"#);
        let expected = serde_json::json!({"a": ["123456789012345678901", 0.1, 18_446_744_073_709_551_615_u64], "b": {"c": "d"}, "a2": "1e400"});
        assert_eq!(value, expected);
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
