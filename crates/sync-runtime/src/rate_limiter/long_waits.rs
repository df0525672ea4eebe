use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kombo_model::Timestamp;

/// Shorter waits are not reported.
const LONG: Duration = Duration::from_secs(5);

/// The latest reported long wait. It ensures that each wait is reported once, however many requests share it.
#[derive(Debug, Default)]
pub(super) struct LongWaits(Mutex<Option<Timestamp>>);

impl LongWaits {
    /// Whether a wait is long, and no wait with about the same end was reported.
    pub(super) fn is_new(&self, until: Timestamp, now: Timestamp) -> bool {
        let mut reported = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_long = until > now && until.since(now) >= LONG;
        let is_known = reported.is_some_and(|known| known > now && (until <= known || until.since(known) < LONG));
        if is_long && !is_known {
            *reported = Some(until);
        }
        is_long && !is_known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_767_225_600_000 + seconds * 1_000).unwrap_or(Timestamp::MAX)
    }

    #[test]
    fn each_long_wait_is_reported_once() {
        let waits = LongWaits::default();
        let said: Vec<bool> =
            [(120, 0), (120, 1), (121, 60), (124, 119), (4, 0), (126, 121), (130, 122), (135, 128), (300, 130)]
                .into_iter()
                .map(|(until, now)| waits.is_new(at(until), at(now)))
                .collect();
        assert_eq!(said, [true, false, false, false, false, true, false, true, true]);
    }
}
