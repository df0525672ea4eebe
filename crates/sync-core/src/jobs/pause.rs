//! What a person may do to an integration besides requesting fetches: pause it and resume it. Both open a transaction in the
//! integration's scope, so that no webhook is stored at the same time.
//!
//! A pause by a person is [`IntegrationStatus::Held`]. Nothing but [`resume`] and the deletion at Kombo ends it: webhooks
//! go on being stored, and what they ask for waits in the queue.

use std::collections::BTreeSet;

use kombo_model::{Endpoint, IntegrationId, Timestamp};

use crate::jobs::integration::{IntegrationRecord, IntegrationStatus};
use crate::jobs::queue;
use crate::jobs::request::{RequestCause, SyncKind, Target};
use crate::ports::error::TxResult;
use crate::ports::lock::LockMode;
use crate::ports::store::{Scope, Store, Tx};

/// What became of a wish to pause or to resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseOutcome {
    /// It is as wished now.
    Done,
    /// It was so before: nothing was done.
    Already,
    /// There is no such integration, or it was deleted at Kombo.
    Unknown,
}

/// Keeps an integration from being fetched until [`resume`]. Whoever works on it loses the lease; what is stored stays,
/// and the work goes on from there later.
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

/// Ends the pause, and asks for what changed meanwhile at `endpoints`. What waited goes on at once.
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
    // Whether Kombo still serves it is found out by the fetches.
    let status = IntegrationStatus::Active;
    tx.put_integration(&IntegrationRecord { status, status_since: now, reason: None, ..known })?;
    for endpoint in endpoints {
        let target = Target { integration_id: id.clone(), endpoint: *endpoint, kind: SyncKind::Delta };
        queue::request(tx, target, RequestCause::Command, now, now)?;
    }
    queue::set_going(tx, id, now)?;
    Ok(PauseOutcome::Done)
}
