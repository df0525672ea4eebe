//! The moment from which the next delta asks for changes. Plain functions.

use std::time::Duration;

use kombo_model::Timestamp;

use crate::horizon;
use crate::ports::error::Invariant;

/// When a fetch started, as the earlier of our clock and Kombo's; `None` if Kombo's is unknown: our clock alone may be
/// ahead, and a watermark from it would pass changes for good.
///
/// `requested_at` is our clock when the first request was sent; `server_date` is Kombo's clock when it had answered,
/// `elapsed` later, so Kombo's clock at the request was earlier by as much. A `Date` header has whole seconds, cut off:
/// the error is on the safe side.
pub fn fetch_started_at(
    requested_at: Timestamp,
    server_date: Option<Timestamp>,
    elapsed: Duration,
) -> Option<Timestamp> {
    server_date.map(|date| requested_at.min(date.saturating_sub(elapsed)))
}

/// A stored watermark, if it can be right. None lies ahead of our clock, since it never lay ahead of ours nor of Kombo's:
/// one that does was stored by a clock that was ahead, and changes that it passed are lost unless everything is listed.
pub fn plausible(watermark: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    horizon::happened(watermark, now)
}

/// The watermark after a complete fetch: its start less `overlap`, and never earlier than the one before.
///
/// Rows become visible some time after their `changed_at`; `overlap` is for them.
pub fn advance(watermark: Option<Timestamp>, fetch_started_at: Timestamp, overlap: Duration) -> Timestamp {
    let next = fetch_started_at.saturating_sub(overlap);
    watermark.map_or(next, |before| before.max(next))
}

/// Fails if a watermark that can be right would move back.
pub(crate) fn assert_not_back(
    before: Option<Timestamp>,
    after: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), Invariant> {
    match (plausible(before, now), after) {
        (Some(from), Some(to)) if to < from => Err(Invariant::WatermarkMovesBack { from, to }),
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watermark_does_not_move_back() {
        let at = |seconds: i64| Timestamp::from_unix_millis(1_767_225_600_000 + seconds * 1_000);
        let now = at(1_000).unwrap_or(Timestamp::MAX);
        assert_eq!(assert_not_back(at(1), at(2), now), Ok(()));
        assert_eq!(assert_not_back(None, at(2), now), Ok(()));
        assert!(matches!(assert_not_back(at(2), at(1), now), Err(Invariant::WatermarkMovesBack { .. })));
        // What a clock stored that was ahead never was right.
        assert_eq!(assert_not_back(at(9_000), at(1), now), Ok(()));
    }
}
