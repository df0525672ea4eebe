mod changes;
mod dead_letters;
mod deliveries;
mod endpoints;
mod integrations;
mod pacing;
mod quarantine;
mod requests;
mod rows;
mod runs;
mod seen;
mod webhooks;

use kombo_model::{IntegrationId, Timestamp};

pub use changes::ChangeLog;
pub use dead_letters::DeadLetters;
pub use deliveries::Deliveries;
pub use endpoints::Endpoints;
pub use integrations::Integrations;
pub use pacing::RateLimit;
pub use quarantine::{Quarantine, QuarantinePart, QuarantineRelease};
pub use requests::Requests;
pub use rows::{BulkRows, MirrorRows};
pub use runs::Runs;
pub use seen::{SeenNotes, UNSEEN_PAGE};
pub use webhooks::WebhookEvents;

use crate::ports::error::{StoreError, TxResult};

/// The storage of the mirror.
///
/// A store runs transactions. The core decides what a transaction does; a store only provides the statements of [`Tx`]
/// and makes each transaction atomic. A transaction is a plain function on a thread that may block, so it never stays
/// open while a task waits for something else.
pub trait Store: Send + Sync + 'static {
    /// Runs `work` in one transaction. Commits it if `work` returns `Ok`, and rolls it back otherwise.
    ///
    /// Transactions with the same [`Scope::Integration`] run one after the other, in all processes. A transaction that
    /// has begun runs to its end even if the returned future is dropped.
    fn transact<T, E, F>(&self, scope: Scope, work: F) -> impl Future<Output = Result<T, E>> + Send
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static;

    /// Runs `work` on one consistent snapshot. `work` must not write.
    fn read<T, E, F>(&self, work: F) -> impl Future<Output = Result<T, E>> + Send
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static;
}

impl<S: Store> Store for std::sync::Arc<S> {
    fn transact<T, E, F>(&self, scope: Scope, work: F) -> impl Future<Output = Result<T, E>> + Send
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    {
        (**self).transact(scope, work)
    }

    fn read<T, E, F>(&self, work: F) -> impl Future<Output = Result<T, E>> + Send
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    {
        (**self).read(work)
    }
}

/// The transactions that must wait for each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// No others.
    Shared,
    /// All transactions that write the mirror of this integration.
    Integration(IntegrationId),
}

/// The statements of a transaction, in one supertrait for each kind of stored data. They can be called on a `dyn Tx`
/// without importing the supertraits.
///
/// All times are stored as given. Lists may have any length: a store splits them as its database requires.
pub trait Tx:
    BulkRows
    + SeenNotes
    + ChangeLog
    + Integrations
    + Endpoints
    + Requests
    + Runs
    + RateLimit
    + Deliveries
    + DeadLetters
    + WebhookEvents
    + Quarantine
{
    /// Allows the database to lose this transaction in a crash, so that its commit need not wait for the disk. The
    /// transaction becomes durable with the next one that must not be lost. The caller has to detect the loss.
    ///
    /// The default does nothing, for stores without this distinction.
    fn may_be_lost(&mut self) -> TxResult<()> {
        Ok(())
    }

    /// Returns the database's own clock, if processes on several machines share it. It then decides between their
    /// clocks.
    ///
    /// The default is `None`: the store has only the clock of the machine.
    fn clock(&mut self) -> TxResult<Option<Timestamp>> {
        Ok(None)
    }
}
