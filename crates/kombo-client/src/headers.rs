//! What the headers of a response say. A header that cannot be read counts as missing.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kombo_model::{ErrorCode, Timestamp};
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{StatusCode, Url};

use crate::RateLimit;

/// No wait is longer: a number above it is not a number of seconds.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

pub(crate) fn rate_limit(headers: &HeaderMap) -> RateLimit {
    RateLimit {
        limit: number(headers, "ratelimit-limit"),
        remaining: number(headers, "ratelimit-remaining"),
        reset: number(headers, "ratelimit-reset").map(Duration::from_secs).filter(|reset| *reset <= LONGEST_WAIT),
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
    let asked = text(headers, RETRY_AFTER.as_str()).and_then(|text| match text.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        // Measured by the clock of the server that names the date.
        Err(_) => http_date(text).map(|date| date.since(server_date(headers).unwrap_or(now))),
    });
    let rate_limit = rate_limit(headers);
    // With requests left, it was another limit that was hit: that of the connected tool.
    let used_up = rate_limit.remaining.unwrap_or(0) == 0;
    let hit = code == Some(&ErrorCode::PlatformRateLimitExceeded) || status == StatusCode::TOO_MANY_REQUESTS && used_up;
    let reset = if hit { rate_limit.reset } else { None };
    asked.map(|wait| wait.min(LONGEST_WAIT)).max(reset)
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

fn http_date(text: &str) -> Option<Timestamp> {
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Timestamp::try_from(date.with_timezone(&Utc)).ok()
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests;
