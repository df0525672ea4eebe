use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use kombo_model::Timestamp;

/// A source of the current time.
pub(crate) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The clock of the operating system.
pub(crate) fn system_clock() -> Clock {
    Arc::new(|| {
        #[allow(clippy::disallowed_methods, reason = "the one default of the clock that the builder takes")]
        let now = SystemTime::now();
        // A clock before 1970 or after 9999 is broken; the epoch makes watermarks too early, never too late.
        let millis = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        i64::try_from(millis).ok().and_then(Timestamp::from_unix_millis).unwrap_or(Timestamp::MIN)
    })
}
