//! A store in memory: what the [`Store`] port promises, and nothing else.

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

/// A [`Store`] in memory. Clones share what is stored.
///
/// A unit works on a copy of the state, which takes the state's place when the unit returns `Ok`. Units that write run
/// one at a time, whatever their scope; transactions that read run on the state as it was when they began.
///
/// The task is given up once before a unit and once after it, so that a test which drops a future after some number of
/// polls finds every point at which a process can die: before a commit, and after it.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    /// The state of which nothing can be lost.
    durable: Arc<Mutex<State>>,
    faults: Arc<Mutex<Faults>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the `n`-th statement from now fail with `error`, once. The first one is number 1.
    pub fn fail_statement(&self, n: u64, error: StoreError) {
        self.faults().fail(n, error);
    }

    /// Takes back failures that were asked for and did not happen yet.
    pub fn fail_no_more(&self) {
        self.faults().fail_no_more();
    }

    /// Makes the store refuse rows with a text that contains `needle`, and webhooks with such an id, as databases refuse
    /// some values.
    pub fn refuse_text(&self, needle: &str) {
        self.faults().refused = Some((needle.to_owned(), Reason::Known));
    }

    /// As [`MemoryStore::refuse_text`], with an error of which the store does not know that it lies in the text. Every
    /// row contains the needle `""`.
    pub fn stumble_over_text(&self, needle: &str) {
        self.faults().refused = Some((needle.to_owned(), Reason::Unknown));
    }

    /// Number of statements that transactions have run so far.
    pub fn statements(&self) -> u64 {
        self.faults().statements
    }

    /// Loses what a database may lose when it crashes: the notes of what full fetches showed, and the units that may be
    /// lost and were not followed by one that may not.
    pub fn crash(&self) {
        let mut state = self.state();
        *state = self.durable().clone();
        state.seen = Arc::default();
    }

    /// The rows of a table, in the order of keys.
    pub fn table(&self, model: Model, integration: &IntegrationId) -> Vec<StoredRow> {
        self.state().table(model, integration).map(|table| table.values().cloned().collect()).unwrap_or_default()
    }

    /// The webhooks, in the order of their ids.
    pub fn webhooks(&self) -> Vec<WebhookRecord> {
        self.state().webhooks.values().cloned().collect()
    }

    /// Looks at what is stored, outside of any transaction: no injected fault is met, no statement is counted.
    pub fn look<T, E: From<StoreError>>(&self, work: impl FnOnce(&mut dyn Tx) -> Result<T, E>) -> Result<T, E> {
        let state = self.state().clone();
        let faults = Mutex::default();
        MemoryTx::new(state, &faults, Mode::Read).run(work).map(|(value, _)| value)
    }

    /// Changes what is stored, outside of any transaction, as a person does by hand.
    pub fn edit<T, E: From<StoreError>>(&self, work: impl FnOnce(&mut dyn Tx) -> Result<T, E>) -> Result<T, E> {
        self.unit(&Mutex::default(), work)
    }

    fn unit<T, E: From<StoreError>>(
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
        // A transaction that panicked left the state as it was.
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
        let result = self.unit(&self.faults, work);
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
