use kombo_model::Timestamp;

use crate::ports::error::TxResult;
use crate::webhooks::record::WebhookRecord;

/// The webhooks that came.
pub trait WebhookEvents {
    /// Stores webhooks, and says of each whether it was: `false` if one with its id is stored already or comes before it
    /// in the list.
    fn insert_webhooks(&mut self, webhooks: &[WebhookRecord]) -> TxResult<Vec<bool>>;

    /// Removes webhooks from before `before`, and says how many.
    fn trim_webhooks(&mut self, before: Timestamp) -> TxResult<u64>;
}
