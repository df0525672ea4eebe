use std::borrow::Cow;

/// A JSON text in which every half of a surrogate pair is U+FFFD, and control characters within texts are escaped. JSON
/// allows neither, or not for sure, and readers give up on the whole text. Nothing else changes.
///
/// ```
/// assert_eq!(kombo_model::mend_json(r#"{"a":"\ud83d!"}"#), r#"{"a":"\ufffd!"}"#);
/// assert_eq!(kombo_model::mend_json("{\"a\":\n\"1\n2\"}"), "{\"a\":\n\"1\\u000a2\"}");
/// ```
pub fn mend_json(text: &str) -> Cow<'_, str> {
    let mut mended = String::new();
    let mut copied = 0; // everything before is in `mended` already
    let mut in_text = false;
    let mut at = 0;
    let bytes = text.as_bytes();
    while let Some(&byte) = bytes.get(at) {
        let (length, replacement) = match byte {
            b'"' => {
                in_text = !in_text;
                (1, None)
            }
            b'\\' if in_text => escape(text, at),
            0..0x20 if in_text => (1, Some(Cow::Owned(format!("\\u{byte:04x}")))),
            _ => (1, None),
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

/// The length of the escape at `at`, and what to put in place of it.
fn escape(text: &str, at: usize) -> (usize, Option<Cow<'static, str>>) {
    match (code_unit(text, at), code_unit(text, at + 6)) {
        (None, _) => (2, None),
        (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, None),
        (Some(0xd800..=0xdfff), _) => (6, Some(Cow::Borrowed("\\ufffd"))),
        (Some(_), _) => (6, None),
    }
}

/// The UTF-16 code unit of the `\uXXXX` at `at`, if there is one.
fn code_unit(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("\"\\", "\"\\"),
            ("\"\\é", "\"\\é"),
        ] {
            assert_eq!(mend_json(text), mended, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic_and_a_mended_one_is_mended(text in "[\\\\\"ud83e0é\\x00-\\x1f{}]{0,40}") {
            let mended = mend_json(&text).into_owned();
            proptest::prop_assert_eq!(mend_json(&mended), mended.as_str());
        }
    }
}
