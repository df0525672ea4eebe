//! The time: the database's where replicas share one, else the machine's.

use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kombo_model::Timestamp;
use store_diesel::DieselStore;
use sync_core::ports::{Clock, Store as _, StoreError};
use tokio::time::Instant;

/// The time that the database told, and when it did, by the clock that never jumps.
static TOLD: RwLock<Option<(Timestamp, Instant)>> = RwLock::new(None);

/// What is taken for the time that an answer takes: less is not worth a correction.
const SAME: Duration = Duration::from_secs(1);

/// The clock of the process. The only place of the daemon that asks the machine for the time.
///
/// Once [`follow`] has asked a database that replicas share, it is that database's clock: so leases, waits and retention
/// mean the same to all replicas, and a machine whose clock jumps is not noticed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let told = *TOLD.read().unwrap_or_else(PoisonError::into_inner);
        told.map_or_else(machine, |(at, since)| at.saturating_add(since.elapsed()))
    }
}

/// The machine's clock, right or wrong.
#[allow(clippy::disallowed_methods, reason = "the one adapter between the machine's clock and the Clock port")]
pub(crate) fn machine() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).ok().and_then(Timestamp::from_unix_millis).unwrap_or(Timestamp::MAX)
}

/// Sets the clock by the database's, if it has one of its own, and returns what that said.
pub(crate) async fn follow(store: &DieselStore) -> Result<Option<Timestamp>, StoreError> {
    let asked = Instant::now();
    let Some(at) = store.read(|tx| tx.clock()).await? else { return Ok(None) };
    let took = asked.elapsed();
    let mut told = TOLD.write().unwrap_or_else(PoisonError::into_inner);
    let known = told.map(|(at, since)| at.saturating_add(since.elapsed()));
    // An answer that took long says little of the moment.
    let is_known = known.is_some_and(|known| took > SAME || apart(known, at) <= SAME);
    if !is_known {
        *told = Some((at, asked + took / 2));
    }
    Ok(Some(at))
}

/// Distance between two times.
pub(crate) fn apart(one: Timestamp, other: Timestamp) -> Duration {
    one.max(other).since(one.min(other))
}
