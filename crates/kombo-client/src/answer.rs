//! Turns status, headers and body of a failed response into an error.

use kombo_model::{ApiError, ErrorCode};
use serde::Deserialize;

/// Longest message in an error, in characters.
const LONGEST_TEXT: usize = 1_000;

/// Kombo's error body, read more leniently than documented: a missing message must not hide the code, which decides how
/// to react.
#[derive(Deserialize)]
struct LenientBody {
    status: String,
    error: LenientError,
}

#[derive(Deserialize)]
struct LenientError {
    code: Option<ErrorCode>,
    title: Option<String>,
    message: Option<String>,
    log_url: Option<String>,
}

/// Reads Kombo's error body; `None` if the body is not Kombo's. `secret` is cut out of the texts, in case a server
/// repeats what it received.
pub(crate) fn kombo_error(body: &str, secret: &str) -> Option<ApiError> {
    let body: LenientBody = serde_json::from_str(body).ok()?;
    if body.status != "error" {
        return None;
    }
    let clean = |text: String| printable(&text.replace(secret, "[redacted]"));
    let error = body.error;
    Some(ApiError {
        code: error.code.filter(|code| !code.as_str().trim().is_empty()).map(|code| clean(code.into_string()).into()),
        title: error.title.map(clean),
        message: error.message.map(clean).unwrap_or_default(),
        log_url: error.log_url.map(clean),
    })
}

/// Replaces control characters and limits the length, so that no server can forge log lines.
fn printable(text: &str) -> String {
    let line = |c: char| if c.is_control() { ' ' } else { c };
    let mut out: String = text.chars().take(LONGEST_TEXT).map(line).collect();
    if out.len() < text.len() && text.chars().nth(LONGEST_TEXT).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests;
