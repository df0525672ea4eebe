use kombo_model::IntegrationId;

use crate::horizon::Horizon;
use crate::outbox::state::{Backlog, Delivery};
use crate::ports::error::TxResult;
use crate::ports::lock::{Lock, LockMode};

/// The progress of deliveries.
pub trait Deliveries {
    /// Returns the `seq` after which the delivery of changes began, if it ever began.
    fn delivery_start(&mut self) -> TxResult<Option<i64>>;

    /// Sets the `seq` after which the delivery of changes begins, unless it is already set.
    fn insert_delivery_start(&mut self, seq: i64) -> TxResult<()>;

    /// Returns the registered integrations that have no delivery, in the order of ids.
    fn undelivered_integrations(&mut self) -> TxResult<Vec<IntegrationId>>;

    /// Inserts a delivery if its integration has none. Waits for transactions that write one.
    fn insert_delivery(&mut self, delivery: &Delivery) -> TxResult<()>;

    /// Inserts or replaces a delivery.
    fn put_delivery(&mut self, delivery: &Delivery) -> TxResult<()>;

    /// Returns the delivery of an integration, locked until the transaction ends.
    fn delivery(&mut self, integration: &IntegrationId, mode: LockMode) -> TxResult<Lock<Delivery>>;

    /// Returns the deliveries with a lease, expired or not, in the order of integrations.
    fn leased_deliveries(&mut self) -> TxResult<Vec<Delivery>>;

    /// Returns all deliveries, in the order of integrations.
    fn deliveries(&mut self) -> TxResult<Vec<Delivery>>;

    /// Returns up to `limit` deliveries that can be leased, ordered by `not_before` and integration. They are due
    /// according to [`Delivery::is_due`], their lease, if any, has expired according to [`Horizon::is_held`], and the
    /// integration has an entry after `delivered_seq` or a dead letter to try again. They are not locked: see
    /// [`Self::delivery`].
    ///
    /// The number of rows that this reads does not depend on the number of deliveries.
    fn due_deliveries(&mut self, horizon: &Horizon, limit: usize) -> TxResult<Vec<Delivery>>;

    /// Returns the backlog after `delivered_seq` of each delivery that has one, in the order of integrations.
    fn undelivered(&mut self) -> TxResult<Vec<Backlog>>;
}
