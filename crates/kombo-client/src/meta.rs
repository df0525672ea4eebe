use std::time::Duration;

use kombo_model::{Timestamp, Warning};

/// One of Kombo's objects, with the response's metadata.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Answer<T> {
    /// The object.
    pub data: T,
    /// The response's metadata.
    pub meta: ResponseMeta,
}

/// The result of a write, with the response's metadata.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Written<T> {
    /// The written object in its new state.
    pub data: T,
    /// Kombo's warnings: worth logging, but not failures.
    pub warnings: Vec<Warning>,
    /// The response's metadata.
    pub meta: ResponseMeta,
}

/// The metadata of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseMeta {
    /// The local wall clock just before the successful attempt was sent.
    pub requested_at: Timestamp,
    /// Duration of the successful attempt, including the body, excluding decoding.
    pub elapsed: Duration,
    /// Kombo's wall clock: the `Date` header, in whole seconds. `None` if it is missing or unreadable.
    pub server_date: Option<Timestamp>,
    /// The rate limit of the key.
    pub rate_limit: RateLimit,
    /// Number of attempts, including this one.
    pub attempts: u32,
}

/// The API key's rate limit from the `ratelimit-…` headers; it covers all requests with the key. A header that is
/// missing or unreadable is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests per window.
    pub limit: Option<u64>,
    /// Requests left in this window.
    pub remaining: Option<u64>,
    /// Time left until the next window.
    pub reset: Option<Duration>,
}
