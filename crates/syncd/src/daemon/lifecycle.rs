use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use store_diesel::{DieselStore, Trial};
use sync_runtime::KeyGate;
use tokio::sync::Mutex;

use crate::output;

/// A database with slower answers counts as down.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Checks within this time share an answer, so that they do not load the database.
const SAME_FOR: Duration = Duration::from_secs(2);

/// Whether the daemon can do its work.
pub(crate) struct Readiness {
    store: OnceLock<Stores>,
    gate: Arc<KeyGate>,
    /// Result and time of the last check of the database.
    found: Mutex<Option<(Instant, Result<(), String>)>>,
}

struct Stores {
    all: Arc<DieselStore>,
    for_webhooks: Arc<DieselStore>,
}

impl Readiness {
    pub(super) fn new(gate: Arc<KeyGate>) -> Self {
        Self { store: OnceLock::new(), gate, found: Mutex::default() }
    }

    /// Marks the tables as ready. Checks use the connections of webhooks, which do not wait for long transactions.
    pub(super) fn ready(&self, all: Arc<DieselStore>, for_webhooks: Arc<DieselStore>) {
        // Set only once, at the end of the start.
        drop(self.store.set(Stores { all, for_webhooks }));
    }

    pub(super) fn store(&self) -> Option<&Arc<DieselStore>> {
        self.store.get().map(|stores| &stores.all)
    }

    /// Checks whether the daemon can work. `Err` contains the reason if it cannot.
    pub(super) async fn check(&self) -> Result<(), String> {
        let Some(stores) = self.store.get() else {
            return Err("starting: the database does not answer yet, or is being migrated".to_owned());
        };
        self.check_store(&stores.for_webhooks).await?;
        if self.gate.is_open() { Ok(()) } else { Err("Kombo rejects the key".to_owned()) }
    }

    /// Checks the database. One caller does so, while concurrent ones wait for its answer.
    async fn check_store(&self, store: &DieselStore) -> Result<(), String> {
        if let Some(reason) = store.unusable() {
            return Err(reason);
        }
        let mut found = self.found.lock().await;
        if let Some((at, answer)) = &*found
            && at.elapsed() < SAME_FOR
        {
            return answer.clone();
        }
        let answer = match tokio::time::timeout(ANSWER_WITHIN, store.faults(Trial::FirstWritten)).await {
            Ok(Ok(faults)) if faults.is_empty() => Ok(()),
            Ok(Ok(faults)) => Err(output::one_line(&faults.join("; "))),
            Ok(Err(error)) => {
                let said = output::one_line(&output::chain(&error));
                Err(format!("the database does not answer, or cannot be written to: {said}"))
            }
            Err(_) => Err("the database does not answer".to_owned()),
        };
        *found = Some((Instant::now(), answer.clone()));
        answer
    }
}
