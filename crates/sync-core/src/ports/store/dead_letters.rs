use kombo_model::IntegrationId;

use crate::outbox::state::{DeadLetter, DeliveryId};
use crate::ports::error::TxResult;

/// The deliveries that were given up.
pub trait DeadLetters {
    /// Stores a dead letter with its body. Replaces one with the same integration and id.
    fn put_dead_letter(&mut self, letter: &DeadLetter, body: &str) -> TxResult<()>;

    /// Returns all dead letters, of one integration or of all, in the order of integrations and `first_seq`.
    fn dead_letters(&mut self, integration: Option<&IntegrationId>) -> TxResult<Vec<DeadLetter>>;

    /// Returns the unchanged body of a dead letter, if the dead letter exists.
    fn dead_letter_body(&mut self, integration: &IntegrationId, id: &DeliveryId) -> TxResult<Option<String>>;

    /// Marks a dead letter to be tried again. Returns whether it exists.
    fn mark_dead_letter(&mut self, integration: &IntegrationId, id: &DeliveryId) -> TxResult<bool>;

    /// Deletes a dead letter. Returns whether it existed.
    fn delete_dead_letter(&mut self, integration: &IntegrationId, id: &DeliveryId) -> TxResult<bool>;
}
