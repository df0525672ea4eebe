//! The time from which the next delta requests changes. Plain functions.

use std::time::Duration;

use kombo_model::Timestamp;

use crate::horizon;
use crate::ports::error::Invariant;

/// Returns when a fetch started, as the earlier of our clock and Kombo's. `None` if Kombo's clock is unknown: ours may
/// be ahead, and a watermark derived from it would skip changes permanently.
///
/// `requested_at` is our clock when the first request was sent. `server_date` is Kombo's clock when it had answered,
/// `elapsed` later; the difference is Kombo's clock at the request. A `Date` header is rounded down to whole seconds,
/// so any error makes the start earlier, which is safe.
pub fn fetch_started_at(
    requested_at: Timestamp,
    server_date: Option<Timestamp>,
    elapsed: Duration,
) -> Option<Timestamp> {
    server_date.map(|date| requested_at.min(date.saturating_sub(elapsed)))
}

/// Returns a stored watermark, unless it must be wrong. A watermark never lies ahead of our clock or Kombo's. One that
/// does was stored while a clock was ahead, and the changes that it skipped are lost unless everything is listed.
pub fn plausible(watermark: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    horizon::happened(watermark, now)
}

/// Returns the watermark after a complete fetch: its start less `overlap`, but never earlier than the previous
/// watermark.
///
/// The overlap covers records that become visible some time after their `changed_at`.
pub fn advance(watermark: Option<Timestamp>, fetch_started_at: Timestamp, overlap: Duration) -> Timestamp {
    let next = fetch_started_at.saturating_sub(overlap);
    watermark.map_or(next, |before| before.max(next))
}

/// Returns an error if a plausible watermark would move back.
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
        // A watermark from a clock that was ahead may move back.
        assert_eq!(assert_not_back(at(9_000), at(1), now), Ok(()));
    }
}
