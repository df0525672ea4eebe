//! Places in the row of requests to the source, shared by all replicas. A function over a unit of work.

use std::time::Duration;

use kombo_model::Timestamp;

use crate::port::{Tx, TxResult};

/// Takes `count` places, `interval` apart, behind those that others took. Returns the time of the first.
///
/// Places that nobody took in time are gone: a pause does not allow a burst.
pub fn reserve(tx: &mut dyn Tx, count: u32, interval: Duration, now: Timestamp) -> TxResult<Timestamp> {
    let first = tx.paced_until()?.map_or(now, |next| next.max(now));
    tx.put_paced_until(first.saturating_add(interval.saturating_mul(count)))?;
    Ok(first)
}
