use kombo_model::{IntegrationId, Timestamp};

use crate::changes::{Change, LogPosition};
use crate::outbox::state::Undelivered;
use crate::ports::error::TxResult;

/// The change log.
pub trait ChangeLog {
    /// Adds entries to the change log and gives them their `seq`. In transactions of an integration's scope, a reader never
    /// sees an entry of the integration before one of it with a smaller `seq` became visible. Transactions of several
    /// integrations do not wait for each other.
    fn append_changes(&mut self, changes: &[Change]) -> TxResult<()>;

    /// Up to `limit` entries after `seq`, of an integration or of all, in the order of `seq`. An entry of another integration
    /// with a smaller `seq` may become visible later: to follow all of them, read [`Self::settled_changes`].
    fn changes(&mut self, integration: Option<&IntegrationId>, seq: i64, limit: usize) -> TxResult<Vec<Change>>;

    /// Up to `limit` entries after a position, with their own: those before which none will become visible any more. Who goes
    /// on after the last position sees every entry once. An entry is settled once it is committed and all transactions
    /// that began to write earlier have ended.
    fn settled_changes(&mut self, after: LogPosition, limit: usize) -> TxResult<Vec<(LogPosition, Change)>>;

    /// The position of the entry with this `seq`. If it is not there any more, that of the entry before it, with this `seq`.
    fn log_position(&mut self, seq: i64) -> TxResult<LogPosition>;

    /// The position of the last settled entry.
    fn settled_end(&mut self) -> TxResult<LogPosition>;

    /// Up to `limit` entries of an integration, or of its rows of this `record_id`, whatever their model: those with a
    /// `seq` below `before`, the latest first.
    fn latest_changes(
        &mut self,
        integration: &IntegrationId,
        record_id: Option<&str>,
        before: i64,
        limit: usize,
    ) -> TxResult<Vec<Change>>;

    /// The `seq` of the last entry that is there; 0 if there is none.
    fn last_change(&mut self) -> TxResult<i64>;

    /// The same once all transactions that append have ended: what is appended later has a greater `seq`.
    fn last_change_of_all(&mut self) -> TxResult<i64>;

    /// Removes entries from before `before`, and says how many. With [`Undelivered::Keep`] those stay that come after the
    /// [`Delivery::delivered_seq`](crate::outbox::Delivery::delivered_seq) of their integration.
    fn trim_changes(&mut self, before: Timestamp, undelivered: Undelivered) -> TxResult<u64>;
}
