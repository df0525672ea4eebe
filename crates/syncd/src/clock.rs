use std::time::{SystemTime, UNIX_EPOCH};

use kombo_model::Timestamp;
use sync_core::port::Clock;

/// The machine's clock. The only place of the daemon that asks it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one adapter between the machine's clock and the Clock port")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).ok().and_then(Timestamp::from_unix_millis).unwrap_or(Timestamp::MAX)
    }
}
