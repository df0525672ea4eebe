use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kombo_client::{Operation, Outcome, ResponseEvent};
use store_diesel::DieselStore;
use sync_core::jobs::queue;
use sync_core::ports::{Clock as _, Scope, Store as _};

use super::log_retry;
use crate::clock::SystemClock;
use crate::output;
use crate::wiring::OnAnswer;

/// Shorter waits are not shown.
const LONG: Duration = Duration::from_secs(5);

/// Shows in the status of an endpoint that its fetch waits before a request is sent again. A daemon does not wait within
/// a request for so long.
#[derive(Debug, Default)]
pub(super) struct Waits(OnceLock<(Arc<DieselStore>, String)>);

impl Waits {
    /// Begins to show the waits of the fetches of this owner of leases.
    pub(super) fn show_in(&self, store: &Arc<DieselStore>, owner: &str) {
        self.0.get_or_init(|| (Arc::clone(store), owner.to_owned()));
    }

    /// Returns an observer that logs retries and shows long waits.
    pub(super) fn observer(self: Arc<Self>) -> OnAnswer {
        Arc::new(move |event| {
            log_retry(event);
            self.note(event);
        })
    }

    fn note(&self, event: &ResponseEvent) {
        let Some((store, owner)) = self.0.get() else { return };
        let (Operation::List(endpoint), Some(integration), Some(pause)) =
            (event.operation, event.integration.clone(), event.pause.filter(|pause| *pause >= LONG))
        else {
            return;
        };
        let now = SystemClock.now();
        let why = match event.outcome {
            Outcome::Status(status) => format!("HTTP {status}"),
            Outcome::Fault(_) => "no answer".to_owned(),
        };
        let until = now.saturating_add(pause);
        let reason = format!("{}: {why}; the request is sent again at {until}", event.operation);
        let (store, owner) = (Arc::clone(store), owner.clone());
        tokio::spawn(async move {
            let scope = Scope::Integration(integration.clone());
            let noted = store
                .transact(scope, move |tx| queue::note_wait(tx, &owner, (&integration, endpoint), reason, now))
                .await;
            if let Err(error) = noted {
                tracing::debug!(error = output::chain(&error), "a wait could not be shown in the status");
            }
        });
    }
}
