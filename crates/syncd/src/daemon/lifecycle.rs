use std::sync::{Arc, OnceLock};
use std::time::Duration;

use store_diesel::DieselStore;
use sync_core::port::Store as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::KeyGate;

/// A database that takes longer to answer is as good as none.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Whether the daemon can do its work.
pub(crate) struct Readiness {
    store: OnceLock<Arc<DieselStore>>,
    gate: Arc<KeyGate>,
}

impl Readiness {
    pub(super) fn new(gate: Arc<KeyGate>) -> Self {
        Self { store: OnceLock::new(), gate }
    }

    /// The tables are there.
    pub(super) fn ready(&self, store: Arc<DieselStore>) {
        // Set once, at the end of the start.
        drop(self.store.set(store));
    }

    pub(super) fn store(&self) -> Option<&Arc<DieselStore>> {
        self.store.get()
    }

    /// `Err` says why not.
    pub(super) async fn check(&self) -> Result<(), &'static str> {
        let Some(store) = self.store.get() else {
            return Err("starting: the database does not answer yet, or is being migrated");
        };
        let look = store.read(|tx| tx.last_change());
        if !matches!(tokio::time::timeout(ANSWER_WITHIN, look).await, Ok(Ok(_))) {
            return Err("the database does not answer");
        }
        if self.gate.is_open() { Ok(()) } else { Err("Kombo rejects the key") }
    }
}

/// Asks everything to stop on the first SIGTERM or SIGINT, and ends at once on the second.
pub(super) async fn stop_on_signal(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be heard: stop the daemon with SIGKILL, it goes on from its checkpoints");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = stop.cancelled() => return,
    }
    tracing::info!("stopping: running batches end first; a second signal ends everything at once");
    stop.cancel();
    // A task of its own, so that this one does not hold the end back.
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("stopped at once: unfinished work goes on from its checkpoint the next time");
        crate::stderr::flush();
        std::process::exit(130);
    });
}
