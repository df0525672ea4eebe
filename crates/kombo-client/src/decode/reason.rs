/// Returns the text of a decoding error without the value it quotes: `invalid type: string, expected a sequence` for
/// `invalid type: string "Ada", expected a sequence at line 1 column 7`.
pub(super) fn without_data(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if error.is_syntax() || error.is_eof() {
        return text;
    }
    // Line and column are useless without the text.
    let position = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&position).unwrap_or(&text);
    let Some(rest) = text.strip_prefix("invalid type: ").or_else(|| text.strip_prefix("invalid value: ")) else {
        return text.to_owned();
    };
    // The quoted value may contain the same words, so the expected type follows their last occurrence.
    let Some((found, expected)) = rest.rsplit_once(", expected ") else { return "invalid value".to_owned() };
    let kind = found.split(['"', '`']).next().unwrap_or_default().trim();
    format!("invalid type: {kind}, expected {expected}")
}
