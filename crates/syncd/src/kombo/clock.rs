use std::sync::{Arc, Mutex, PoisonError};

use kombo_model::Timestamp;
use sync_core::ports::Clock as _;
use tokio::time::Instant;

use crate::clock::{SystemClock, machine};

/// Kombo's clock, derived from its answers: the latest `Date`, and the time since its arrival by the monotonic clock.
///
/// It is never ahead of Kombo's own clock, because `Date` is cut off to seconds and an answer takes time to arrive. It
/// therefore dates an answer without a `Date` as safely as one with it, however wrong this machine's clock is.
#[derive(Debug, Clone, Default)]
pub(crate) struct KomboClock(Arc<Mutex<Option<(Timestamp, Instant)>>>);

impl KomboClock {
    /// Notes the `Date` of an answer that has just arrived. Returns that date, or the derived one if the answer has
    /// none.
    pub(crate) fn date(&self, said: Option<Timestamp>) -> Option<Timestamp> {
        if let Some(said) = said {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((said, Instant::now()));
        }
        self.now()
    }

    /// Returns a time that has certainly passed by all clocks, so that what is older may be removed. `None` if Kombo
    /// has sent no time that confirms this machine's clock.
    pub(crate) fn surely(&self) -> Option<Timestamp> {
        self.now().map(|kombo| kombo.min(SystemClock.now()).min(machine()))
    }

    /// Returns Kombo's time; `None` before the first `Date`.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        let told = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.map(|(said, since)| said.saturating_add(since.elapsed()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_without_a_date_is_dated_by_the_one_before() {
        let (clock, said) = (KomboClock::default(), "2026-01-01T00:00:00Z".parse().unwrap());
        assert_eq!((clock.date(None), clock.now()), (None, None));
        assert_eq!(clock.date(Some(said)), Some(said));
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(clock.date(None), Some(said.saturating_add(Duration::from_secs(90))));
        let earlier = said.saturating_sub(Duration::from_secs(3_600));
        assert_eq!(clock.date(Some(earlier)), Some(earlier), "a later answer replaces an earlier one");
    }
}
