//! The time: the database's clock if replicas share one, otherwise the machine's.

use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kombo_model::Timestamp;
use store_diesel::DieselStore;
use sync_core::ports::{Clock, Store as _, StoreError};
use tokio::time::Instant;

/// The last time from the database, and when it was read by the monotonic clock.
static OFFSET: RwLock<Option<(Timestamp, Instant)>> = RwLock::new(None);

/// Uncertainty due to the duration of an answer. Smaller differences are not corrected.
const SAME: Duration = Duration::from_secs(1);

/// The clock of the process, and the only place in the daemon that reads the machine's clock.
///
/// Once [`follow`] has read the clock of a database that replicas share, it shows the database's time. Leases, waits
/// and retention then mean the same to all replicas, and jumps of a machine's clock have no effect.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let offset = *OFFSET.read().unwrap_or_else(PoisonError::into_inner);
        offset.map_or_else(machine, |(at, since)| at.saturating_add(since.elapsed()))
    }
}

/// Returns the machine's time, which may be wrong.
#[allow(clippy::disallowed_methods, reason = "the one adapter between the machine's clock and the Clock port")]
pub(crate) fn machine() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).ok().and_then(Timestamp::from_unix_millis).unwrap_or(Timestamp::MAX)
}

/// Sets the clock by the database's, if the database has one, and returns that time.
pub(crate) async fn follow(store: &DieselStore) -> Result<Option<Timestamp>, StoreError> {
    let asked = Instant::now();
    let Some(at) = store.read(|tx| tx.clock()).await? else { return Ok(None) };
    let took = asked.elapsed();
    let mut offset = OFFSET.write().unwrap_or_else(PoisonError::into_inner);
    let known = offset.map(|(at, since)| at.saturating_add(since.elapsed()));
    // A slow answer says little about the present time.
    let is_known = known.is_some_and(|known| took > SAME || apart(known, at) <= SAME);
    if !is_known {
        *offset = Some((at, asked + took / 2));
    }
    Ok(Some(at))
}

/// Distance between two times.
pub(crate) fn apart(one: Timestamp, other: Timestamp) -> Duration {
    one.max(other).since(one.min(other))
}
