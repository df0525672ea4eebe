//! Percent-escapes.

use std::fmt::Write as _;

/// Returns the text with each `%XX` replaced by its byte. `Err` contains the fault, without the text itself.
pub(super) fn decode(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "a % is not followed by two hexadecimal digits; % itself is written %25";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or(WRONG);
        let value = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(value).map_err(|_| WRONG)?);
    }
    let text = String::from_utf8(bytes).map_err(|_| "percent-escapes do not make UTF-8")?;
    if text.contains('\0') { Err("%00 is no character of a name") } else { Ok(text) }
}

/// Returns the text with each control character and each of `special` escaped.
pub(super) fn encode(text: &str, special: &[char]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '%' || c.is_control() || special.contains(&c) {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a string cannot fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        } else {
            encoded.push(c);
        }
    }
    encoded
}
