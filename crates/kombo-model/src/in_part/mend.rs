use std::borrow::Cow;

use serde_json::value::RawValue;

/// Prefix of the replacement for a word that is not JSON.
const NO_JSON: &str = r#"{"(no JSON)":"#;

/// Whether a mended text contains something that was not JSON.
pub(crate) fn holds_no_json(mended: &str) -> bool {
    mended.contains(NO_JSON)
}

/// Whether a mended value was not JSON.
pub(super) fn is_no_json(mended: &str) -> bool {
    mended.starts_with(NO_JSON)
}

/// Repairs a text that is almost JSON, so that parsers accept it. Nothing else changes.
///
/// - An unpaired surrogate becomes U+FFFD, and control characters within texts are escaped.
/// - A trailing comma is dropped.
/// - A word that is not JSON, such as `NaN`, becomes the object `{"(no JSON)":"NaN"}`, which no field accepts.
///
/// ```
/// assert_eq!(kombo_model::mend_json(r#"{"a":"\ud83d!"}"#), r#"{"a":"\ufffd!"}"#);
/// assert_eq!(kombo_model::mend_json("{\"a\":\n\"1\n2\"}"), "{\"a\":\n\"1\\u000a2\"}");
/// assert_eq!(kombo_model::mend_json("[NaN,]"), r#"[{"(no JSON)":"NaN"}]"#);
/// ```
pub fn mend_json(text: &str) -> Cow<'_, str> {
    let mut mended = String::new();
    let mut copied = 0; // everything before it is in `mended`
    let mut in_text = false;
    let mut at = 0;
    let bytes = text.as_bytes();
    let (mut commas, mut colons) = (Run::new(b','), Run::new(b':'));
    while let Some(&byte) = bytes.get(at) {
        let (length, replacement) = match byte {
            b'"' => {
                in_text = !in_text;
                (1, None)
            }
            b'\\' if in_text => escape(text, at),
            0..0x20 if in_text => (1, Some(Cow::Owned(format!("\\u{byte:04x}")))),
            _ if in_text => (1, None),
            b',' if matches!(commas.end(bytes, at), Some(b'}' | b']')) => (1, Some(Cow::Borrowed(""))),
            b':' if matches!(colons.end(bytes, at), Some(b',' | b'}')) => {
                (1, Some(Cow::Owned(format!(":{}", no_json("")))))
            }
            b' ' | b'\t' | b'\r' | b'\n' | b'{' | b'}' | b'[' | b']' | b',' | b':' => (1, None),
            _ => word(text, at),
        };
        if let Some(replacement) = replacement {
            mended.push_str(text.get(copied..at).unwrap_or_default());
            mended.push_str(&replacement);
            copied = at + length;
        }
        at += length;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    mended.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(mended)
}

/// A run of one mark and white space.
struct Run {
    mark: u8,
    /// The end of the last run: it is looked for once, however many marks the run has.
    end: usize,
}

impl Run {
    fn new(mark: u8) -> Self {
        Self { mark, end: 0 }
    }

    /// Returns the byte that follows the run around `at`.
    fn end(&mut self, bytes: &[u8], at: usize) -> Option<u8> {
        if at >= self.end {
            let belongs = |byte: &u8| byte.is_ascii_whitespace() || *byte == self.mark;
            self.end = at + bytes.get(at..)?.iter().take_while(|byte| belongs(byte)).count();
        }
        bytes.get(self.end).copied()
    }
}

/// Returns the length of the word at `at`, and its replacement.
fn word(text: &str, at: usize) -> (usize, Option<Cow<'static, str>>) {
    let rest = text.get(at..).unwrap_or_default();
    let ends = |letter: char| letter.is_ascii_whitespace() || matches!(letter, '{' | '}' | '[' | ']' | ',' | ':' | '"');
    let word = rest.get(..rest.find(ends).unwrap_or(rest.len())).unwrap_or_default();
    // At the end of the text it may be the start of a longer word.
    let is_json = word.len() == rest.len() || serde_json::from_str::<&RawValue>(word).is_ok();
    (word.len().max(1), (!is_json).then(|| Cow::Owned(no_json(word))))
}

fn no_json(word: &str) -> String {
    format!("{NO_JSON}{}}}", serde_json::Value::from(word))
}

/// Returns the length of the escape at `at`, and its replacement.
fn escape(text: &str, at: usize) -> (usize, Option<Cow<'static, str>>) {
    match (code_unit(text, at), code_unit(text, at + 6)) {
        (None, _) => (2, None),
        (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, None),
        (Some(0xd800..=0xdfff), _) => (6, Some(Cow::Borrowed("\\ufffd"))),
        (Some(_), _) => (6, None),
    }
}

/// Returns the UTF-16 code unit of the `\uXXXX` at `at`, if there is one.
fn code_unit(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// If each mark looked ahead to the end of the run, this would take hours.
    #[test]
    fn long_runs_of_commas_and_colons_take_linear_time() {
        let commas = format!("[1{}]", ", ".repeat(1_000_000));
        assert_eq!(mend_json(&commas), format!("[1{}]", " ".repeat(1_000_000)));
        let colons = format!("{{\"a\"{}1}}", ":\n".repeat(1_000_000));
        assert_eq!(mend_json(&colons), colons);
    }

    #[test]
    fn what_a_reader_gives_up_on_is_replaced_within_texts_only() {
        for (text, mended) in [
            (r#"{"\ud83d":1}"#, r#"{"\ufffd":1}"#),
            (r#"["\ud83d\ude00"]"#, r#"["\ud83d\ude00"]"#),
            (r#"["\ud83d\ud83d\ude00"]"#, r#"["\ufffd\ud83d\ude00"]"#),
            (r#"["\ude00\uD83D"]"#, r#"["\ufffd\ufffd"]"#),
            (r#"["\\ud83d", "\"\ud83d"]"#, r#"["\\ud83d", "\"\ufffd"]"#),
            (r#"["\u0000\u00e9\n"]"#, r#"["\u0000\u00e9\n"]"#),
            ("[\n\t\"é\t\0é\"\r]", "[\n\t\"é\\u0009\\u0000é\"\r]"),
            ("[1, 2 ,, ]", "[1, 2  ]"),
            (r#"{"a":",}","b":1,}"#, r#"{"a":",}","b":1}"#),
            ("[NaN]", r#"[{"(no JSON)":"NaN"}]"#),
            ("[-Infinity, 1]", r#"[{"(no JSON)":"-Infinity"}, 1]"#),
            ("[01,.5,1.,+1,0x1F,True,nil]", &{
                let words = ["01", ".5", "1.", "+1", "0x1F", "True", "nil"];
                format!("[{}]", words.map(|word| format!(r#"{{"(no JSON)":"{word}"}}"#)).join(","))
            }),
            (r#"{"a":,"b": }"#, r#"{"a":{"(no JSON)":""},"b":{"(no JSON)":""} }"#),
            (
                "[true,false,null,-0.5e-7,1e400,123456789012345678901]",
                "[true,false,null,-0.5e-7,1e400,123456789012345678901]",
            ),
            // The word may continue.
            ("[tru", "[tru"),
            ("\"\\", "\"\\"),
            ("\"\\é", "\"\\é"),
        ] {
            assert_eq!(mend_json(text), mended, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic_and_a_mended_one_is_mended(text in "[\\\\\"ud83e0é\\x00-\\x1f{},:]{0,40}") {
            let mended = mend_json(&text).into_owned();
            proptest::prop_assert_eq!(mend_json(&mended), mended.as_str());
        }
    }
}
