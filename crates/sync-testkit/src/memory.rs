//! A store in memory that does what the [`Store`] port promises, and nothing else.

mod faults;
mod state;
mod tx;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kombo_model::IntegrationId;
use sync_core::ports::{Scope, Store, StoreError, Tx};
use sync_core::rows::{Model, StoredRow};
use sync_core::webhooks::WebhookRecord;

use faults::{Faults, Reason};
use state::State;
use tx::{MemoryTx, Mode};

/// A [`Store`] in memory. Clones share their content.
///
/// A transaction works on a copy of the state, which replaces the state when the transaction returns `Ok`. Writing
/// transactions run one at a time, whatever their scope. Reading transactions see the state as it was at their start.
///
/// The task yields once before and once after each transaction. A test that drops a future after some number of polls
/// therefore reaches every point at which a process can die: before a commit, and after it.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    /// The state without the commits that may be lost.
    durable: Arc<Mutex<State>>,
    faults: Arc<Mutex<Faults>>,
}

impl MemoryStore {
    /// Creates an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the `n`-th statement from now fail with `error`, once. The first one is number 1.
    pub fn fail_statement(&self, n: u64, error: StoreError) {
        self.faults().fail(n, error);
    }

    /// Cancels requested failures that have not happened yet.
    pub fn fail_no_more(&self) {
        self.faults().fail_no_more();
    }

    /// Makes the store reject rows with a text that contains `needle`, and webhooks with such an id, as databases
    /// reject some values.
    pub fn refuse_text(&self, needle: &str) {
        self.faults().refused = Some((needle.to_owned(), Reason::Known));
    }

    /// Like [`MemoryStore::refuse_text`], with an error that the store does not attribute to the text. Every row
    /// contains the needle `""`.
    pub fn stumble_over_text(&self, needle: &str) {
        self.faults().refused = Some((needle.to_owned(), Reason::Unknown));
    }

    /// Returns the number of statements that transactions have run so far.
    pub fn statements(&self) -> u64 {
        self.faults().statements
    }

    /// Loses what a database may lose in a crash: the notes of full fetches, and transactions that may be lost, unless
    /// a later one that may not was committed.
    pub fn crash(&self) {
        let mut state = self.state();
        *state = self.durable().clone();
        state.seen = Arc::default();
    }

    /// Returns the rows of a table in key order.
    pub fn table(&self, model: Model, integration: &IntegrationId) -> Vec<StoredRow> {
        self.state().table(model, integration).map(|table| table.values().cloned().collect()).unwrap_or_default()
    }

    /// Returns the webhooks in the order of their ids.
    pub fn webhooks(&self) -> Vec<WebhookRecord> {
        self.state().webhooks.values().cloned().collect()
    }

    /// Reads the state outside of any transaction, without injected faults and without counting statements.
    pub fn look<T, E: From<StoreError>>(&self, work: impl FnOnce(&mut dyn Tx) -> Result<T, E>) -> Result<T, E> {
        let state = self.state().clone();
        let faults = Mutex::default();
        MemoryTx::new(state, &faults, Mode::Read).run(work).map(|(value, _)| value)
    }

    /// Changes the state outside of any transaction, like an edit by hand.
    pub fn edit<T, E: From<StoreError>>(&self, work: impl FnOnce(&mut dyn Tx) -> Result<T, E>) -> Result<T, E> {
        self.transaction(&Mutex::default(), work)
    }

    fn transaction<T, E: From<StoreError>>(
        &self,
        faults: &Mutex<Faults>,
        work: impl FnOnce(&mut dyn Tx) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut state = self.state();
        let (value, after) = MemoryTx::new(state.clone(), faults, Mode::Write).run(work)?;
        if !after.may_be_lost {
            *self.durable() = after.state.clone();
        }
        *state = after.state;
        Ok(value)
    }

    fn durable(&self) -> MutexGuard<'_, State> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A transaction that panicked left the state unchanged.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    async fn transact<T, E, F>(&self, _scope: Scope, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    {
        tokio::task::yield_now().await;
        let result = self.transaction(&self.faults, work);
        tokio::task::yield_now().await;
        result
    }

    async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    {
        tokio::task::yield_now().await;
        let state = self.state().clone();
        let result = MemoryTx::new(state, &self.faults, Mode::Read).run(work).map(|(value, _)| value);
        tokio::task::yield_now().await;
        result
    }
}
