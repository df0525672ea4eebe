//! Deletes old entries of the change log, runs and webhooks. A function over a transaction.

use std::time::Duration;

use kombo_model::Timestamp;

use crate::outbox::state::Undelivered;
use crate::ports::error::TxResult;
use crate::ports::store::Tx;

/// The minimum time to keep webhooks. Kombo may send a webhook again days later, and it must still be recognized.
pub const WEBHOOKS_AT_LEAST: Duration = Duration::from_secs(7 * 86_400);

/// The numbers of deleted entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Entries of the change log.
    pub changes: u64,
    /// Runs.
    pub runs: u64,
    /// Webhooks.
    pub webhooks: u64,
}

/// Deletes entries of the change log and runs that are older than `keep_for`, and webhooks that are also older than
/// [`WEBHOOKS_AT_LEAST`]. Keeps the latest run of each target, and undelivered entries if `undelivered` says so. Zero
/// keeps everything permanently.
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
