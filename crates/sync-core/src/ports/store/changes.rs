use kombo_model::{IntegrationId, Timestamp};

use crate::changes::Change;
use crate::outbox::state::Undelivered;
use crate::ports::error::TxResult;

/// The change log.
pub trait ChangeLog {
    /// Adds entries to the change log and gives them their `seq`. A reader never sees an entry before one with a
    /// smaller `seq` became visible.
    fn append_changes(&mut self, changes: &[Change]) -> TxResult<()>;

    /// Up to `limit` entries after `seq`, in order.
    fn changes(&mut self, integration: Option<&IntegrationId>, seq: i64, limit: usize) -> TxResult<Vec<Change>>;

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

    /// Removes entries from before `before`, and says how many. With [`Undelivered::Keep`] those stay that come after the
    /// [`Delivery::delivered_seq`](crate::outbox::Delivery::delivered_seq) of their integration.
    fn trim_changes(&mut self, before: Timestamp, undelivered: Undelivered) -> TxResult<u64>;
}
