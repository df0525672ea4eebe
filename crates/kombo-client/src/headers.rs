//! Parses response headers. An unreadable header counts as missing.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kombo_model::{ErrorCode, Timestamp};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{StatusCode, Url};

use crate::RateLimit;

/// Longest rate limit window; a larger number is not a number of seconds.
const LONGEST_WINDOW: Duration = Duration::from_secs(86_400);
/// Upper bound of a requested wait: retrying once an hour does no harm.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

pub(crate) fn rate_limit(headers: &HeaderMap) -> RateLimit {
    RateLimit {
        limit: number(headers, "ratelimit-limit"),
        remaining: number(headers, "ratelimit-remaining"),
        reset: number(headers, "ratelimit-reset").map(Duration::from_secs).filter(|reset| *reset <= LONGEST_WINDOW),
    }
}

/// Returns the `Date` header.
pub(crate) fn server_date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(text(headers, DATE.as_str())?)
}

/// Returns how long a response asks to wait: `Retry-After`, and the end of the window if the key's rate limit was
/// exceeded. `now` replaces a missing `Date` header.
pub(crate) fn retry_after(
    headers: &HeaderMap,
    status: StatusCode,
    code: Option<&ErrorCode>,
    now: Timestamp,
) -> Option<Duration> {
    let asked = text(headers, RETRY_AFTER.as_str()).and_then(|text| {
        // Relative to the clock of the server that sent the date.
        let until = |date: Timestamp| date.since(server_date(headers).unwrap_or(now));
        seconds(text).or_else(|| http_date(text).map(until))
    });
    let rate_limit = rate_limit(headers);
    // If requests are left, another limit was exceeded: that of the connected tool.
    let used_up = rate_limit.remaining.unwrap_or(0) == 0;
    let hit = code == Some(&ErrorCode::PlatformRateLimitExceeded) || status == StatusCode::TOO_MANY_REQUESTS && used_up;
    let reset = if hit { rate_limit.reset } else { None };
    asked.max(reset).map(|wait| wait.min(LONGEST_WAIT))
}

/// Returns the `Content-Type`, shortened for errors.
pub(crate) fn content_type(headers: &HeaderMap) -> Option<Box<str>> {
    let kind = text(headers, CONTENT_TYPE.as_str())?;
    Some(kind.chars().take(80).collect::<String>().into_boxed_str())
}

/// Returns the target host of a redirect, or the request's own host if the address is relative.
pub(crate) fn redirect_host(headers: &HeaderMap, asked: &Url) -> Option<Box<str>> {
    let target = asked.join(text(headers, LOCATION.as_str())?).ok()?;
    target.host_str().map(Into::into)
}

/// Parses a date in one of HTTP's three forms, or in the mail format with another time zone.
fn http_date(text: &str) -> Option<Timestamp> {
    let date = match httpdate::parse_http_date(text) {
        Ok(date) => DateTime::<Utc>::from(date),
        Err(_) => DateTime::parse_from_rfc2822(text).ok()?.with_timezone(&Utc),
    };
    Timestamp::try_from(date).ok()
}

/// Parses a number of seconds, which may have a fraction. A negative one is invalid; one with too many digits is a long
/// time.
fn seconds(text: &str) -> Option<Duration> {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit());
    let number = text.parse::<f64>().ok().filter(|_| is_number)?;
    Some(Duration::try_from_secs_f64(number).unwrap_or(Duration::MAX))
}

/// Returns the content codings of a body that this client cannot decode, such as `br`.
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

/// Whether the `Content-Type` declares one byte per character.
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
