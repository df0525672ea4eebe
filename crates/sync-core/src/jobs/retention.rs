//! How long the change log, runs and webhooks are kept. A function over a unit of work.

use std::time::Duration;

use kombo_model::Timestamp;

use crate::outbox::state::Undelivered;
use crate::ports::error::TxResult;
use crate::ports::store::Tx;

/// Webhooks are kept at least this long: Kombo may send one again days later, and it must be known then.
pub const WEBHOOKS_AT_LEAST: Duration = Duration::from_secs(7 * 86_400);

/// What was removed because it was old.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Entries of the change log.
    pub changes: u64,
    /// Runs.
    pub runs: u64,
    /// Webhooks.
    pub webhooks: u64,
}

/// Removes entries of the change log and runs that are older than `keep_for`, and webhooks that are older than that and
/// than [`WEBHOOKS_AT_LEAST`]. The latest run of each target stays, and so do entries that are not delivered yet if
/// `undelivered` says so. Zero keeps everything for ever.
pub fn trim(tx: &mut dyn Tx, keep_for: Duration, undelivered: Undelivered, now: Timestamp) -> TxResult<Trimmed> {
    if keep_for.is_zero() {
        return Ok(Trimmed::default());
    }
    Ok(Trimmed {
        changes: tx.trim_changes(now.saturating_sub(keep_for), undelivered)?,
        runs: tx.trim_runs(now.saturating_sub(keep_for))?,
        webhooks: tx.trim_webhooks(now.saturating_sub(keep_for.max(WEBHOOKS_AT_LEAST)))?,
    })
}
