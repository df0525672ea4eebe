use std::time::Duration;

use kombo_model::{Timestamp, Warning};

/// One object of Kombo's, with what the response said beside it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Answer<T> {
    /// The object.
    pub data: T,
    /// What else the response said.
    pub meta: ResponseMeta,
}

/// What was written, with what the response said beside it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Written<T> {
    /// What was written, as it is now.
    pub data: T,
    /// What Kombo remarks on it: worth a line in a log, not a failure.
    pub warnings: Vec<Warning>,
    /// What else the response said.
    pub meta: ResponseMeta,
}

/// What a response says beside its data.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseMeta {
    /// Our wall clock just before the request of the successful attempt was sent.
    pub requested_at: Timestamp,
    /// How long the successful attempt took, body included, decoding excluded.
    pub elapsed: Duration,
    /// Kombo's wall clock: the `Date` header, in whole seconds. `None` where it is missing or unreadable.
    pub server_date: Option<Timestamp>,
    /// How many requests the key has left.
    pub rate_limit: RateLimit,
    /// How many attempts it took, this one included.
    pub attempts: u32,
}

/// What the `ratelimit-…` headers say of the API key; it covers all requests with it. A header that is missing or
/// unreadable is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests a window.
    pub limit: Option<u64>,
    /// Requests left in this window.
    pub remaining: Option<u64>,
    /// Time left until the next window.
    pub reset: Option<Duration>,
}
