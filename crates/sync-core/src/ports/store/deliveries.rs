use kombo_model::IntegrationId;

use crate::horizon::Horizon;
use crate::outbox::state::{Backlog, Delivery};
use crate::ports::error::TxResult;
use crate::ports::lock::{Lock, LockMode};

/// How far changes were delivered.
pub trait Deliveries {
    /// The `seq` after which the delivery of changes began, if it ever did.
    fn delivery_start(&mut self) -> TxResult<Option<i64>>;

    /// Says after which `seq` the delivery of changes begins, unless that was said before.
    fn insert_delivery_start(&mut self, seq: i64) -> TxResult<()>;

    /// The registered integrations that have no delivery, in the order of ids.
    fn undelivered_integrations(&mut self) -> TxResult<Vec<IntegrationId>>;

    /// Writes a delivery if its integration has none. Waits for units that write one.
    fn insert_delivery(&mut self, delivery: &Delivery) -> TxResult<()>;

    /// Writes a delivery.
    fn put_delivery(&mut self, delivery: &Delivery) -> TxResult<()>;

    /// The delivery of an integration, locked until the transaction ends.
    fn delivery(&mut self, integration: &IntegrationId, mode: LockMode) -> TxResult<Lock<Delivery>>;

    /// All deliveries, in the order of integrations.
    fn deliveries(&mut self) -> TxResult<Vec<Delivery>>;

    /// Up to `limit` deliveries that are due and that nobody holds: [`Delivery::is_due`] says so, there is
    /// no lease or [`Horizon::is_held`] says no, and there is an entry of the integration after `delivered_seq` or a dead
    /// letter that is to be tried again. By `not_before`, then by integration. They are not locked: see
    /// [`Self::delivery`].
    fn due_deliveries(&mut self, horizon: &Horizon, limit: usize) -> TxResult<Vec<Delivery>>;

    /// For each delivery what comes after its `delivered_seq`, if anything does, in the order of integrations.
    fn undelivered(&mut self) -> TxResult<Vec<Backlog>>;
}
