use kombo_model::{IntegrationId, Timestamp};

use crate::changes::{Change, LogPosition};
use crate::outbox::state::Undelivered;
use crate::ports::error::TxResult;

/// The change log.
pub trait ChangeLog {
    /// Appends entries to the change log and assigns their `seq`. In transactions of an integration's scope, the
    /// integration's entries become visible in the order of `seq`. Transactions of different integrations do not wait
    /// for each other.
    fn append_changes(&mut self, changes: &[Change]) -> TxResult<()>;

    /// Returns up to `limit` entries after `seq`, of one integration or of all, in the order of `seq`. An entry of
    /// another integration with a smaller `seq` may become visible later. To follow all integrations, read
    /// [`Self::settled_changes`].
    fn changes(&mut self, integration: Option<&IntegrationId>, seq: i64, limit: usize) -> TxResult<Vec<Change>>;

    /// Returns up to `limit` settled entries after a position, each with its own position. An entry is settled once it
    /// is committed and all transactions that began to write earlier have ended, so no earlier entry can become visible
    /// any more. A reader that continues after the last position sees every entry exactly once.
    fn settled_changes(&mut self, after: LogPosition, limit: usize) -> TxResult<Vec<(LogPosition, Change)>>;

    /// Returns the position of the entry with this `seq`. If that entry no longer exists, returns the position of the
    /// entry before it, with this `seq`.
    fn log_position(&mut self, seq: i64) -> TxResult<LogPosition>;

    /// Returns the position of the last settled entry.
    fn settled_end(&mut self) -> TxResult<LogPosition>;

    /// Returns up to `limit` entries with a `seq` below `before`, the latest first: those of an integration, or of its
    /// rows with this `record_id` in any model.
    fn latest_changes(
        &mut self,
        integration: &IntegrationId,
        record_id: Option<&str>,
        before: i64,
        limit: usize,
    ) -> TxResult<Vec<Change>>;

    /// Returns the `seq` of the last visible entry, or of the last one that [`Self::trim_changes`] deleted if that is
    /// greater; 0 if there was none.
    fn last_change(&mut self) -> TxResult<i64>;

    /// Waits until all transactions that append have ended, then returns the `seq` of the last entry. Entries that are
    /// appended later have a greater `seq`.
    fn last_change_of_all(&mut self) -> TxResult<i64>;

    /// Deletes the entries from before `before` and returns their number. With [`Undelivered::Keep`], entries after the
    /// [`Delivery::delivered_seq`](crate::outbox::Delivery::delivered_seq) of their integration are kept.
    fn trim_changes(&mut self, before: Timestamp, undelivered: Undelivered) -> TxResult<u64>;
}
