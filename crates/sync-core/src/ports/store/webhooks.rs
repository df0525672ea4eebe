use kombo_model::Timestamp;

use crate::ports::error::TxResult;
use crate::webhooks::record::WebhookRecord;

/// The received webhooks.
pub trait WebhookEvents {
    /// Stores webhooks and returns for each whether it was new: `false` if its id is already stored or occurs earlier
    /// in the list.
    fn insert_webhooks(&mut self, webhooks: &[WebhookRecord]) -> TxResult<Vec<bool>>;

    /// Deletes the webhooks from before `before` and returns their number.
    fn trim_webhooks(&mut self, before: Timestamp) -> TxResult<u64>;
}
