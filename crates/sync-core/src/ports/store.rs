use std::collections::HashMap;
use std::error::Error;

use kombo_model::{Endpoint, IntegrationId, Timestamp};

use crate::changes::Change;
use crate::horizon::Horizon;
use crate::jobs::endpoint::EndpointState;
use crate::jobs::integration::IntegrationRecord;
use crate::jobs::request::{Request, Target};
use crate::outbox::state::{Backlog, DeadLetter, Delivery, DeliveryId, Undelivered};
use crate::pull::quarantined::Quarantined;
use crate::pull::run::{Run, RunId};
use crate::ratelimit::Pacing;
use crate::rows::model::Model;
use crate::rows::row::{Held, Key, NewRow, Row, StoredRow};
use crate::webhooks::record::WebhookRecord;

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

/// What [`Tx::try_request`] finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TryRequest {
    /// There is none.
    Missing,
    /// Another unit has it locked.
    Busy,
    /// It is locked by this unit now.
    Locked(Request),
}

/// What a statement returns.
pub type TxResult<T> = Result<T, StoreError>;

/// The statements of a unit of work.
///
/// All times are written as they are given. Lists may be of any length: a store splits them as its database demands.
pub trait Tx {
    /// Allows a database that crashes to lose this unit, so that its commit need not wait until it is durable. It becomes
    /// durable with the next unit that is not allowed to be lost. Whoever allows it has to notice the loss.
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

    /// The stored rows among `keys`, in any order.
    fn rows(&mut self, model: Model, integration: &IntegrationId, keys: &[Key]) -> TxResult<Vec<StoredRow>>;

    /// What is stored under the keys of `rows`, none of which occurs twice, for each row in their order.
    ///
    /// That is [`Tx::rows`] unless a store can compare rows while it reads them: most rows of a full fetch are stored as
    /// they are.
    fn held(&mut self, model: Model, integration: &IntegrationId, rows: &[&Row]) -> TxResult<Vec<Held>> {
        let keys: Vec<Key> = rows.iter().map(|row| row.key.clone()).collect();
        let stored = self.rows(model, integration, &keys)?;
        let mut stored: HashMap<Key, StoredRow> = stored.into_iter().map(|row| (row.row.key.clone(), row)).collect();
        Ok(keys.iter().map(|key| stored.remove(key).map_or(Held::Nothing, Held::Row)).collect())
    }

    /// The rows without `removed_at` whose [`Model::parent_column`] is among `parents`, in any order.
    fn members(&mut self, model: Model, integration: &IntegrationId, parents: &[String]) -> TxResult<Vec<StoredRow>>;

    /// Writes whole rows: new ones are inserted, stored ones replaced. No key may occur twice.
    fn put_rows(&mut self, model: Model, integration: &IntegrationId, rows: &[StoredRow]) -> TxResult<()>;

    /// Writes rows of which this unit saw that none is stored. No key may occur twice. Absent values become null.
    ///
    /// That is [`Tx::put_rows`] unless a store knows a faster way. It may then answer with [`StoreError::Unavailable`] if
    /// one is stored after all, since somebody who is not syncd wrote in between.
    fn insert_rows(&mut self, model: Model, integration: &IntegrationId, rows: &[NewRow<'_>]) -> TxResult<()> {
        let rows: Vec<StoredRow> = rows.iter().map(|row| row.to_stored()).collect();
        self.put_rows(model, integration, &rows)
    }

    /// Writes rows as [`Tx::insert_rows`] does if none of them is stored, and says whether that was so. Otherwise nothing
    /// was written. No key may occur twice.
    ///
    /// A store may know a faster way than to look them up first.
    fn insert_if_new(&mut self, model: Model, integration: &IntegrationId, rows: &[NewRow<'_>]) -> TxResult<bool> {
        let keys: Vec<Key> = rows.iter().map(|row| row.row.key.clone()).collect();
        let are_new = self.rows(model, integration, &keys)?.is_empty();
        if are_new {
            self.insert_rows(model, integration, rows)?;
        }
        Ok(are_new)
    }

    /// Up to `limit` rows with keys after `after`, in the order of keys.
    fn rows_after(
        &mut self,
        model: Model,
        integration: &IntegrationId,
        after: Option<&Key>,
        limit: usize,
    ) -> TxResult<Vec<StoredRow>>;

    /// How many live rows there are.
    fn live_rows(&mut self, model: Model, integration: &IntegrationId) -> TxResult<u64>;

    /// Notes that batch number `batch` of a full fetch showed the rows of `model` with these keys. Repeating it replaces the
    /// note.
    ///
    /// Notes may be lost when the database crashes, all at once or not: see [`Tx::seen_batches`].
    fn put_seen(&mut self, run: RunId, batch: i64, model: Model, keys: &[Key]) -> TxResult<()>;

    /// Of how many batches there are notes of [`Tx::put_seen`] for this run.
    fn seen_batches(&mut self, run: RunId) -> TxResult<i64>;

    /// Forgets the notes of this run.
    fn clear_seen(&mut self, run: RunId) -> TxResult<()>;

    /// Up to `limit` keys of rows of `model` without `removed_at` that no note of this run for `model` holds, after `after`,
    /// in an order of keys; that of ids where a key is one.
    fn unseen(
        &mut self,
        model: Model,
        integration: &IntegrationId,
        run: RunId,
        after: Option<&Key>,
        limit: usize,
    ) -> TxResult<Vec<Key>>;

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
    /// [`Delivery::delivered_seq`] of their integration.
    fn trim_changes(&mut self, before: Timestamp, undelivered: Undelivered) -> TxResult<u64>;

    /// The integration, if it is registered.
    fn integration(&mut self, id: &IntegrationId) -> TxResult<Option<IntegrationRecord>>;

    /// All registered integrations, in the order of ids.
    fn integrations(&mut self) -> TxResult<Vec<IntegrationRecord>>;

    /// Registers or replaces an integration.
    fn put_integration(&mut self, integration: &IntegrationRecord) -> TxResult<()>;

    /// What is known of an endpoint, if anything is.
    fn endpoint(&mut self, integration: &IntegrationId, endpoint: Endpoint) -> TxResult<Option<EndpointState>>;

    /// All that is known of endpoints, in the order of integrations and endpoints.
    fn endpoints(&mut self) -> TxResult<Vec<EndpointState>>;

    /// All that is known of the endpoints of an integration, in their order.
    fn endpoints_of(&mut self, integration: &IntegrationId) -> TxResult<Vec<EndpointState>>;

    /// Writes what is known of an endpoint.
    fn put_endpoint(&mut self, state: &EndpointState) -> TxResult<()>;

    /// The request for a target, locked until the unit ends. Waits for units that have it locked.
    fn request(&mut self, target: &Target) -> TxResult<Option<Request>>;

    /// The request for a target, locked until the unit ends, without waiting for other units.
    fn try_request(&mut self, target: &Target) -> TxResult<TryRequest>;

    /// All requests, in the order of their time.
    fn requests(&mut self) -> TxResult<Vec<Request>>;

    /// Up to `limit` requests that are due and that nobody holds: [`Horizon::is_due`] says so of `not_before`, and there
    /// is no lease or [`Horizon::is_held`] says no. Deltas first, then by `requested_at`. They are not locked: see
    /// [`Tx::try_request`].
    fn due_requests(&mut self, horizon: &Horizon, limit: usize) -> TxResult<Vec<Request>>;

    /// Writes a request.
    fn put_request(&mut self, request: &Request) -> TxResult<()>;

    /// Writes a request if there is none for its target, and says whether there was none. Waits for units that write
    /// one.
    fn insert_request(&mut self, request: &Request) -> TxResult<bool>;

    /// Removes a request.
    fn delete_request(&mut self, target: &Target) -> TxResult<()>;

    /// Starts a run and gives it its number; the number in `run` is ignored.
    fn insert_run(&mut self, run: &Run) -> TxResult<RunId>;

    /// Writes a run.
    fn put_run(&mut self, run: &Run) -> TxResult<()>;

    /// A run, if there is one of this number.
    fn run(&mut self, id: RunId) -> TxResult<Option<Run>>;

    /// The latest run of a target.
    fn latest_run(&mut self, target: &Target) -> TxResult<Option<Run>>;

    /// The latest `limit` runs, the latest first.
    fn recent_runs(&mut self, integration: Option<&IntegrationId>, limit: usize) -> TxResult<Vec<Run>>;

    /// Up to `limit` runs with numbers below `before`, the latest first.
    fn runs_before(&mut self, integration: Option<&IntegrationId>, before: RunId, limit: usize) -> TxResult<Vec<Run>>;

    /// Removes runs that ended before `before`, but for the latest of each target, and says how many.
    fn trim_runs(&mut self, before: Timestamp) -> TxResult<u64>;

    /// When requests to the source may be sent, locked until the unit ends. The default if nothing was said.
    fn pacing(&mut self) -> TxResult<Pacing>;

    /// Says when requests to the source may be sent.
    fn put_pacing(&mut self, pacing: &Pacing) -> TxResult<()>;

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

    /// The delivery of an integration, locked until the unit ends. Waits for units that have it locked.
    fn delivery(&mut self, integration: &IntegrationId) -> TxResult<Option<Delivery>>;

    /// The same without waiting: none if another unit has it locked.
    fn try_delivery(&mut self, integration: &IntegrationId) -> TxResult<Option<Delivery>>;

    /// All deliveries, in the order of integrations.
    fn deliveries(&mut self) -> TxResult<Vec<Delivery>>;

    /// Up to `limit` deliveries that are due and that nobody holds: [`Delivery::is_due`] says so, there is
    /// no lease or [`Horizon::is_held`] says no, and there is an entry of the integration after `delivered_seq` or a dead
    /// letter that is to be tried again. By `not_before`, then by integration. They are not locked: see
    /// [`Tx::try_delivery`].
    fn due_deliveries(&mut self, horizon: &Horizon, limit: usize) -> TxResult<Vec<Delivery>>;

    /// For each delivery what comes after its `delivered_seq`, if anything does, in the order of integrations.
    fn undelivered(&mut self) -> TxResult<Vec<Backlog>>;

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

    /// Stores webhooks, and says of each whether it was: `false` if one with its id is stored already or comes before it
    /// in the list.
    fn insert_webhooks(&mut self, webhooks: &[WebhookRecord]) -> TxResult<Vec<bool>>;

    /// Removes webhooks from before `before`, and says how many.
    fn trim_webhooks(&mut self, before: Timestamp) -> TxResult<u64>;

    /// Puts records in quarantine; one with the same integration, endpoint and id is replaced.
    fn put_quarantined(&mut self, records: &[Quarantined]) -> TxResult<()>;

    /// Takes records out of quarantine, and says how many were there.
    fn clear_quarantined(&mut self, integration: &IntegrationId, endpoint: Endpoint, ids: &[String]) -> TxResult<u64>;

    /// Takes records of an endpoint out of quarantine that another run than `run` put there, and says how many were there.
    fn clear_quarantined_before(
        &mut self,
        integration: &IntegrationId,
        endpoint: Endpoint,
        run: RunId,
    ) -> TxResult<u64>;

    /// All records in quarantine, in the order of integrations, endpoints and ids.
    fn quarantined(&mut self, integration: Option<&IntegrationId>) -> TxResult<Vec<Quarantined>>;

    /// The first `limit` records in quarantine, in the order of integrations, endpoints and ids.
    fn first_quarantined(&mut self, integration: Option<&IntegrationId>, limit: usize) -> TxResult<Vec<Quarantined>>;

    /// The first `limit` records of an endpoint in quarantine whose id is `from` or comes after it, in the order of ids.
    fn quarantined_from(
        &mut self,
        integration: &IntegrationId,
        endpoint: Endpoint,
        from: &str,
        limit: usize,
    ) -> TxResult<Vec<Quarantined>>;

    /// How many records are in quarantine in all.
    fn quarantine_total(&mut self) -> TxResult<u64>;

    /// How many records of an endpoint are in quarantine.
    fn quarantine_size(&mut self, integration: &IntegrationId, endpoint: Endpoint) -> TxResult<u64>;
}

/// Why a store could not do its part.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database does not answer, or not in time: try again later.
    #[error("{message}")]
    Unavailable {
        /// What was tried.
        message: String,
        /// What the database said.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The database refuses the content of a row. Without that row the unit may pass.
    #[error("the database refuses a value: {message}")]
    Refused {
        /// What the database said of it.
        message: String,
    },
    /// What is stored makes no sense to this version.
    #[error("{table}: {message}")]
    Corrupt {
        /// Where.
        table: &'static str,
        /// What is wrong.
        message: String,
    },
    /// The database gives a reason that this version does not know. It may lie in the content of a row.
    #[error("{message}")]
    Unexpected {
        /// What was tried.
        message: String,
        /// What the database said.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// Anything else: it does not lie in the content of a row, and does not pass by itself.
    #[error("{message}")]
    Failed {
        /// What was tried.
        message: String,
        /// What the database said.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl StoreError {
    /// Whether the same may pass later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Whether the same may pass without one of the rows.
    pub fn may_lie_in_a_row(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Unexpected { .. })
    }
}
