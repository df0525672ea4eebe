//! The moment from which the next delta asks for changes. Plain functions.

use std::time::Duration;

use kombo_model::Timestamp;

/// When a fetch started, as the earlier of our clock and Kombo's.
///
/// `requested_at` is our clock when the first request was sent; `server_date` is Kombo's clock when it had answered,
/// `elapsed` later, so Kombo's clock at the request was earlier by as much. A `Date` header has whole seconds, cut off:
/// the error is on the safe side.
pub fn fetch_started_at(requested_at: Timestamp, server_date: Option<Timestamp>, elapsed: Duration) -> Timestamp {
    match server_date {
        Some(date) => requested_at.min(date.saturating_sub(elapsed)),
        None => requested_at,
    }
}

/// The watermark after a complete fetch: its start less `overlap`, and never earlier than the one before.
///
/// Rows become visible some time after their `changed_at`; `overlap` is for them.
pub fn advance(watermark: Option<Timestamp>, fetch_started_at: Timestamp, overlap: Duration) -> Timestamp {
    let next = fetch_started_at.saturating_sub(overlap);
    watermark.map_or(next, |before| before.max(next))
}
