use kombo_model::IntegrationId;

use crate::outbox::state::{DeadLetter, DeliveryId};
use crate::ports::error::TxResult;

/// What could not be delivered.
pub trait DeadLetters {
    /// Stores a dead letter with its body; one with the same integration and id is replaced.
    fn put_dead_letter(&mut self, letter: &DeadLetter, body: &str) -> TxResult<()>;

    /// All dead letters, of one integration or of all, in the order of integrations and `first_seq`.
    fn dead_letters(&mut self, integration: Option<&IntegrationId>) -> TxResult<Vec<DeadLetter>>;

    /// The body of a dead letter, if there is one, to the letter.
    fn dead_letter_body(&mut self, integration: &IntegrationId, id: &DeliveryId) -> TxResult<Option<String>>;

    /// Says that a dead letter is to be tried again, and whether there is one.
    fn mark_dead_letter(&mut self, integration: &IntegrationId, id: &DeliveryId) -> TxResult<bool>;

    /// Removes a dead letter, and says whether there was one.
    fn delete_dead_letter(&mut self, integration: &IntegrationId, id: &DeliveryId) -> TxResult<bool>;
}
