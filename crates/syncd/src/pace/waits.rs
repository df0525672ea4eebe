use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kombo_model::Timestamp;

/// A shorter wait is not worth a line.
const LONG: Duration = Duration::from_secs(5);

/// Mentions long waits in the log: each once, however many requests wait.
#[derive(Debug, Default)]
pub(super) struct Waits(Mutex<Option<Timestamp>>);

impl Waits {
    pub(super) fn mention(&self, why: &'static str, until: Timestamp, now: Timestamp) {
        if self.is_news(until, now) {
            tracing::warn!(until = until.to_string(), seconds = until.since(now).as_secs(), "{why}");
        }
    }

    /// Whether nothing was said of a wait that ends about then.
    fn is_news(&self, until: Timestamp, now: Timestamp) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_long = until > now && until.since(now) >= LONG;
        let is_said = said.is_some_and(|said| said > now && (until <= said || until.since(said) < LONG));
        if is_long && !is_said {
            *said = Some(until);
        }
        is_long && !is_said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_767_225_600_000 + seconds * 1_000).unwrap_or(Timestamp::MAX)
    }

    #[test]
    fn each_long_wait_is_mentioned_once() {
        let waits = Waits::default();
        let said: Vec<bool> =
            [(120, 0), (120, 1), (121, 60), (124, 119), (4, 0), (126, 121), (130, 122), (135, 128), (300, 130)]
                .into_iter()
                .map(|(until, now)| waits.is_news(at(until), at(now)))
                .collect();
        assert_eq!(said, [true, false, false, false, false, true, false, true, true]);
    }
}
