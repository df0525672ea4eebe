//! The machine's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use kombo_model::Timestamp;
use sync_core::ports::Clock;

/// The only place that reads the time.
#[derive(Clone)]
pub(crate) struct MachineClock;

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that all else is given")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).ok().and_then(Timestamp::from_unix_millis).unwrap_or(Timestamp::MIN)
    }
}
