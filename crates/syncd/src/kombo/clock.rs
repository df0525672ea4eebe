use std::sync::{Arc, Mutex, PoisonError};

use kombo_model::Timestamp;
use sync_core::ports::Clock as _;
use tokio::time::Instant;

use crate::clock::{SystemClock, machine};

/// Kombo's clock, as its answers tell it: the latest `Date`, and when it came by the clock that never jumps.
///
/// It shows no later time than Kombo's own: `Date` is cut off to seconds, and the way here takes time. So an answer without
/// a `Date` is dated as surely as one with it, however wrong the clock of this machine is.
#[derive(Debug, Clone, Default)]
pub(crate) struct KomboClock(Arc<Mutex<Option<(Timestamp, Instant)>>>);

impl KomboClock {
    /// Takes note of the `Date` of an answer that has just come, and returns what it is, or must have been.
    pub(crate) fn date(&self, said: Option<Timestamp>) -> Option<Timestamp> {
        if let Some(said) = said {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((said, Instant::now()));
        }
        self.now()
    }

    /// A time that has surely come, by whichever clock: what is old by it may go. `None` if Kombo has told no time, so that
    /// nothing confirms the clock of this machine.
    pub(crate) fn surely(&self) -> Option<Timestamp> {
        self.now().map(|kombo| kombo.min(SystemClock.now()).min(machine()))
    }

    /// Kombo's time; `None` before it has told any.
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
