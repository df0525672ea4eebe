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

/// Where the mirror lives.
///
/// A store runs units of work. What a unit does is the core's business: a store only offers the statements of [`Tx`]
/// and sees to it that a unit happens wholly or not at all. A unit is a plain function that runs on a thread which may
/// block, so that no transaction stays open while a task waits for something else.
pub trait Store: Send + Sync + 'static {
    /// Runs `work` in one transaction and commits it if it returns `Ok`; otherwise nothing of it happened.
    ///
    /// Units with the same [`Scope::Integration`] run one after the other, whatever process they run in. A unit that
    /// began runs to its end even if the returned future is dropped.
    fn transact<T, E, F>(&self, scope: Scope, work: F) -> impl Future<Output = Result<T, E>> + Send
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static;

    /// Runs `work` on one consistent snapshot. It must not write.
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

/// Which units of work must wait for each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// None.
    Shared,
    /// All that write the mirror of this integration.
    Integration(IntegrationId),
}

/// The statements of a transaction: those of its supertraits, one for each kind of thing that is stored. They can be called on
/// a `dyn Tx` without importing the supertraits.
///
/// All times are written as they are given. Lists may be of any length: a store splits them as its database demands.
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
    /// Allows a database that crashes to lose this transaction, so that its commit need not wait until it is durable. It becomes
    /// durable with the next transaction that is not allowed to be lost. Whoever allows it has to notice the loss.
    ///
    /// A store that knows of no such difference does nothing, as here.
    fn may_be_lost(&mut self) -> TxResult<()> {
        Ok(())
    }

    /// The database's own clock, if processes on several machines share it: then it decides between their clocks.
    ///
    /// `None`, as here, if the store has no clock but the machine's.
    fn clock(&mut self) -> TxResult<Option<Timestamp>> {
        Ok(None)
    }
}
