//! Units of work, each wholly or not at all.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sync_core::port::{Scope, Store, StoreError, Tx, TxResult};

use crate::journal::Journal;
use crate::state::State;
use crate::tx::Unit;

/// A [`Store`] in a folder. What is stored is in memory, and in the journal.
///
/// A unit works on a copy of the state, and notes what it changes. Committing writes these notes to the journal; then the
/// copy takes the place of the state. So a unit that fails leaves nothing, and readers, who have copies of their own, see
/// nothing of one that is under way.
pub(crate) struct JsonLinesStore(Arc<Shared>);

struct Shared {
    /// Who has it writes: units that write run one after the other, whatever their scope.
    journal: Mutex<Journal>,
    committed: Mutex<State>,
}

impl JsonLinesStore {
    /// Opens what is stored in a folder, which is made if it is not there. Nobody else can have it open.
    pub(crate) fn open(folder: &Path) -> TxResult<Self> {
        let (journal, state) = Journal::open(folder)?;
        Ok(Self(Arc::new(Shared { journal: Mutex::new(journal), committed: Mutex::new(state) })))
    }

    #[cfg(test)]
    pub(crate) fn committed(&self) -> State {
        self.0.committed()
    }
}

impl Shared {
    fn committed(&self) -> State {
        lock(&self.committed).clone()
    }

    fn transact<T, E: From<StoreError>>(&self, work: impl FnOnce(&mut dyn Tx) -> Result<T, E>) -> Result<T, E> {
        let mut journal = lock(&self.journal);
        let mut unit = Unit::writing(self.committed());
        let value = work(&mut unit)?;
        let (line, state) = unit.end();
        if !line.is_empty() {
            journal.append(line)?;
            *lock(&self.committed) = state;
        }
        Ok(value)
    }
}

impl Store for JsonLinesStore {
    async fn transact<T, E, F>(&self, _scope: Scope, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    {
        let shared = Arc::clone(&self.0);
        run(move || shared.transact(work)).await
    }

    async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    {
        let shared = Arc::clone(&self.0);
        run(move || work(&mut Unit::reading(shared.committed()))).await
    }
}

/// Runs a unit on a thread that may block. It runs to its end even if nobody waits for it any more.
async fn run<T, E, F>(unit: F) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
    F: FnOnce() -> Result<T, E> + Send + 'static,
{
    let failed = |message| StoreError::Failed { message, source: None };
    let ended = tokio::task::spawn_blocking(unit).await;
    ended.unwrap_or_else(|error| Err(failed(format!("a unit of work did not end: {error}")).into()))
}

/// A unit that panicked has changed nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
