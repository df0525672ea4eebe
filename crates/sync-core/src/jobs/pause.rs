//! Pauses and resumes integrations for a person. Both operations open a transaction in the integration's scope, so that
//! no webhook is stored at the same time.
//!
//! A pause by a person is [`IntegrationStatus::Held`]. Only [`resume`] and the deletion at Kombo end it. Webhooks are
//! still stored, and their requests wait in the queue.

use std::collections::BTreeSet;

use kombo_model::{Endpoint, IntegrationId, Timestamp};

use crate::jobs::integration::{IntegrationRecord, IntegrationStatus};
use crate::jobs::queue;
use crate::jobs::request::{RequestCause, SyncKind, Target};
use crate::ports::error::TxResult;
use crate::ports::lock::LockMode;
use crate::ports::store::{Scope, Store, Tx};

/// The result of pausing or resuming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseOutcome {
    /// The status was changed.
    Done,
    /// The status was already as requested. Nothing was done.
    Already,
    /// The integration does not exist, or was deleted at Kombo.
    Unknown,
}

/// Stops fetching an integration until [`resume`]. Its workers lose their leases. Stored batches stay, and runs
/// continue after them later.
pub async fn pause<S: Store>(store: &S, id: &IntegrationId, now: Timestamp) -> TxResult<PauseOutcome> {
    let paused = id.clone();
    store.transact(Scope::Integration(id.clone()), move |tx| pause_within(tx, &paused, now)).await
}

fn pause_within(tx: &mut dyn Tx, id: &IntegrationId, now: Timestamp) -> TxResult<PauseOutcome> {
    let Some(known) = tx.integration(id)? else { return Ok(PauseOutcome::Unknown) };
    match known.status {
        IntegrationStatus::Deleted => return Ok(PauseOutcome::Unknown),
        IntegrationStatus::Held => return Ok(PauseOutcome::Already),
        IntegrationStatus::Active | IntegrationStatus::Paused | IntegrationStatus::NotFound => {}
    }
    let reason = Some("a person paused it".to_owned());
    tx.put_integration(&IntegrationRecord { status: IntegrationStatus::Held, status_since: now, reason, ..known })?;
    for request in tx.requests_of(std::slice::from_ref(id))? {
        if let Some(mut request) = tx.request(&request.target, LockMode::Wait)?.locked()
            && request.lease.is_some()
        {
            request.lease = None;
            tx.put_request(&request)?;
        }
    }
    Ok(PauseOutcome::Done)
}

/// Ends a pause, and requests the changes since then at `endpoints`. Waiting requests are due immediately.
pub async fn resume<S: Store>(
    store: &S,
    id: &IntegrationId,
    endpoints: &BTreeSet<Endpoint>,
    now: Timestamp,
) -> TxResult<PauseOutcome> {
    let (resumed, endpoints) = (id.clone(), endpoints.clone());
    store.transact(Scope::Integration(id.clone()), move |tx| resume_within(tx, &resumed, &endpoints, now)).await
}

fn resume_within(
    tx: &mut dyn Tx,
    id: &IntegrationId,
    endpoints: &BTreeSet<Endpoint>,
    now: Timestamp,
) -> TxResult<PauseOutcome> {
    let Some(known) = tx.integration(id)? else { return Ok(PauseOutcome::Unknown) };
    match known.status {
        IntegrationStatus::Held => {}
        IntegrationStatus::Deleted => return Ok(PauseOutcome::Unknown),
        IntegrationStatus::Active | IntegrationStatus::Paused | IntegrationStatus::NotFound => {
            return Ok(PauseOutcome::Already);
        }
    }
    // The fetches will show whether Kombo still serves the integration.
    let status = IntegrationStatus::Active;
    let resumed = IntegrationRecord { status, status_since: now, reason: None, ..known };
    tx.put_integration(&resumed)?;
    for endpoint in resumed.endpoints(endpoints) {
        let target = Target { integration_id: id.clone(), endpoint, kind: SyncKind::Delta };
        queue::request(tx, target, RequestCause::Command, now, now)?;
    }
    queue::set_going(tx, id, now)?;
    Ok(PauseOutcome::Done)
}
