//! What the headers of a response say. A header that cannot be read counts as missing.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kombo_model::{ErrorCode, Timestamp};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{StatusCode, Url};

use crate::RateLimit;

/// No window is longer: a number above it is not a number of seconds.
const LONGEST_WINDOW: Duration = Duration::from_secs(86_400);
/// What an answer asks for beyond this is cut: asking again once an hour harms nobody.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

pub(crate) fn rate_limit(headers: &HeaderMap) -> RateLimit {
    RateLimit {
        limit: number(headers, "ratelimit-limit"),
        remaining: number(headers, "ratelimit-remaining"),
        reset: number(headers, "ratelimit-reset").map(Duration::from_secs).filter(|reset| *reset <= LONGEST_WINDOW),
    }
}

/// The `Date` header.
pub(crate) fn server_date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(text(headers, DATE.as_str())?)
}

/// How long a response asks to wait: `Retry-After`, and the end of the window where it was the key's rate limit that
/// was hit. `now` stands in for a missing `Date` header.
pub(crate) fn retry_after(
    headers: &HeaderMap,
    status: StatusCode,
    code: Option<&ErrorCode>,
    now: Timestamp,
) -> Option<Duration> {
    let asked = text(headers, RETRY_AFTER.as_str()).and_then(|text| {
        // Measured by the clock of the server that names the date.
        let until = |date: Timestamp| date.since(server_date(headers).unwrap_or(now));
        seconds(text).or_else(|| http_date(text).map(until))
    });
    let rate_limit = rate_limit(headers);
    // With requests left, it was another limit that was hit: that of the connected tool.
    let used_up = rate_limit.remaining.unwrap_or(0) == 0;
    let hit = code == Some(&ErrorCode::PlatformRateLimitExceeded) || status == StatusCode::TOO_MANY_REQUESTS && used_up;
    let reset = if hit { rate_limit.reset } else { None };
    asked.max(reset).map(|wait| wait.min(LONGEST_WAIT))
}

/// The `Content-Type`, cut to a length that an error can bear.
pub(crate) fn content_type(headers: &HeaderMap) -> Option<Box<str>> {
    let kind = text(headers, CONTENT_TYPE.as_str())?;
    Some(kind.chars().take(80).collect::<String>().into_boxed_str())
}

/// The host that a redirect leads to, the request's own where the address is relative.
pub(crate) fn redirect_host(headers: &HeaderMap, asked: &Url) -> Option<Box<str>> {
    let target = asked.join(text(headers, LOCATION.as_str())?).ok()?;
    target.host_str().map(Into::into)
}

/// A date in one of HTTP's three forms, or in that of mails with another time zone.
fn http_date(text: &str) -> Option<Timestamp> {
    let date = match httpdate::parse_http_date(text) {
        Ok(date) => DateTime::<Utc>::from(date),
        Err(_) => DateTime::parse_from_rfc2822(text).ok()?.with_timezone(&Utc),
    };
    Timestamp::try_from(date).ok()
}

/// A number of seconds, which may have a fraction. A negative one is none, and one of too many digits is a long time.
fn seconds(text: &str) -> Option<Duration> {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit());
    let number = text.parse::<f64>().ok().filter(|_| is_number)?;
    Some(Duration::try_from_secs_f64(number).unwrap_or(Duration::MAX))
}

/// The content codings of a body that this client does not undo, such as `br`.
pub(crate) fn foreign_encoding(headers: &HeaderMap) -> Option<Box<str>> {
    let values = headers.get_all(CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let known = ["", "identity", "gzip", "x-gzip"];
    let foreign: Vec<&str> = values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|coding| !known.iter().any(|known| known.eq_ignore_ascii_case(coding)))
        .collect();
    let name = foreign.join(", ").chars().take(80).collect::<String>();
    (!name.is_empty()).then(|| name.into_boxed_str())
}

/// Whether the `Content-Type` says that a body has one byte for each character.
pub(crate) fn is_latin1(headers: &HeaderMap) -> bool {
    let charset = text(headers, CONTENT_TYPE.as_str()).and_then(|kind| {
        kind.split(';')
            .filter_map(|part| part.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
    });
    charset.is_some_and(|(_, charset)| {
        let charset = charset.trim().trim_matches('"').to_ascii_lowercase();
        matches!(charset.as_str(), "iso-8859-1" | "latin1" | "latin-1" | "us-ascii")
    })
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests;
