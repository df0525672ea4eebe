/// What a decoding error says, without the value that it quotes: `invalid type: string, expected a sequence` for
/// `invalid type: string "Ada", expected a sequence at line 1 column 7`.
pub(super) fn without_data(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if error.is_syntax() || error.is_eof() {
        return text;
    }
    // Line and column mean nothing without the text beside them.
    let position = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&position).unwrap_or(&text);
    let Some(rest) = text.strip_prefix("invalid type: ").or_else(|| text.strip_prefix("invalid value: ")) else {
        return text.to_owned();
    };
    // The quoted value may itself hold these words: what is expected stands behind the last of them.
    let Some((found, expected)) = rest.rsplit_once(", expected ") else { return "invalid value".to_owned() };
    let kind = found.split(['"', '`']).next().unwrap_or_default().trim();
    format!("invalid type: {kind}, expected {expected}")
}
