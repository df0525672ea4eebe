use kombo_model::{IntegrationId, Timestamp};

use crate::ports::error::TxResult;
use crate::webhooks::PendingWebhook;
use crate::webhooks::record::WebhookRecord;

/// The received webhooks, and those that are not planned yet.
pub trait WebhookEvents {
    /// Stores webhooks and returns for each whether it was new: `false` if its id is already stored or occurs earlier
    /// in the list.
    fn insert_webhooks(&mut self, webhooks: &[WebhookRecord]) -> TxResult<Vec<bool>>;

    /// Stores webhooks that have to be planned, in this order. One that is already pending stays as it is.
    fn put_pending_webhooks(&mut self, webhooks: &[PendingWebhook]) -> TxResult<()>;

    /// Returns the pending webhooks of an integration, those stored first at first, `limit` at most.
    fn pending_webhooks(&mut self, integration: &IntegrationId, limit: usize) -> TxResult<Vec<PendingWebhook>>;

    /// Returns the integrations with pending webhooks, and when the oldest of each was received, the oldest first,
    /// `limit` at most.
    fn integrations_with_pending_webhooks(&mut self, limit: usize) -> TxResult<Vec<(IntegrationId, Timestamp)>>;

    /// Ends the waiting of pending webhooks of an integration, given by the ids of their events, and stores the result
    /// of each event.
    fn settle_webhooks(&mut self, integration: &IntegrationId, results: &[(&str, &str)]) -> TxResult<()>;

    /// Deletes the webhooks from before `before` and returns their number. Pending ones are still planned.
    fn trim_webhooks(&mut self, before: Timestamp) -> TxResult<u64>;
}
