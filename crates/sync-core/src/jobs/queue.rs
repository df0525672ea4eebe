//! Requests and leases, which give each endpoint to one worker at a time. Functions over a transaction.
//!
//! ```
//! # use std::time::Duration;
//! # use kombo_model::{Endpoint, IntegrationId, Timestamp};
//! # use sync_core::jobs::{LeaseToken, RequestCause, SyncKind, Target};
//! # use sync_testkit::MemoryStore;
//! use sync_core::jobs::LeasedTx;
//! use sync_core::jobs::queue::{self, Claim};
//!
//! # let store = MemoryStore::new();
//! # let now: Timestamp = "2026-01-01T00:00:00Z".parse()?;
//! # let target = Target {
//! #     integration_id: IntegrationId::from("sandbox:a"),
//! #     endpoint: Endpoint::LmsUsers,
//! #     kind: SyncKind::Full,
//! # };
//! let claim = |owner: &str| Claim {
//!     owner: owner.to_owned(),
//!     token: LeaseToken(format!("random, of {owner}")),
//!     ttl: Duration::from_secs(30),
//!     longest_wait: Duration::from_secs(3_600),
//! };
//! store.edit(|tx| queue::request(tx, target.clone(), RequestCause::Load, now, now))?;
//! let first = store.edit(|tx| queue::lease_target(tx, &target, &claim("first"), now))?;
//! let second = store.edit(|tx| queue::lease_target(tx, &target, &claim("second"), now))?;
//! assert!(first.is_some() && second.is_none());
//!
//! // The first one died: its lease has run out.
//! let later = now.saturating_add(Duration::from_secs(31));
//! let second = store.edit(|tx| queue::lease_target(tx, &target, &claim("second"), later))?;
//! assert!(second.is_some());
//! // And if it is not dead after all, it notices before it writes.
//! let lost = store.edit(|tx| LeasedTx::assert_lease(tx, &first.unwrap(), later, Duration::from_secs(30)).map(drop));
//! assert!(lost.is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::time::Duration;

use kombo_model::{Endpoint, IntegrationId, Timestamp};

use crate::error::SyncError;
use crate::horizon::{self, Horizon};
use crate::jobs::eligible::{Claimable, Eligible};
use crate::jobs::endpoint::{EndpointState, EndpointStatus};
use crate::jobs::lease::{LeasedTx, sibling};
use crate::jobs::request::{HeldLease, Lease, LeaseToken, QueuedRequest, RequestCause, SyncKind, Target};
use crate::ports::error::TxResult;
use crate::ports::lock::{Lock, LockMode};
use crate::ports::store::Tx;

/// The data of a new lease.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Name of the worker, for people and for [`release_abandoned`].
    pub owner: String,
    /// Random token, different for each lease.
    pub token: LeaseToken,
    /// Duration of the lease without an extension.
    pub ttl: Duration,
    /// The longest possible wait: see [`SyncPolicy::longest_wait`](crate::pull::SyncPolicy::longest_wait).
    pub longest_wait: Duration,
}

impl Claim {
    /// Returns the limits for stored times.
    pub fn horizon(&self, now: Timestamp) -> Horizon {
        Horizon { now, longest_wait: self.longest_wait, lease_ttl: self.ttl }
    }
}

/// Requests a fetch. All requests for a target that arrive before its fetch lead to one fetch. Those that arrive during
/// the fetch lead to one more.
///
/// A delta of an endpoint that was never loaded becomes a full fetch. A request that waits after a temporary failure
/// keeps waiting, unless a person requests it. Other waits end when a webhook announces changes, because their cause
/// may be resolved.
pub fn request(
    tx: &mut dyn Tx,
    target: Target,
    cause: RequestCause,
    not_before: Timestamp,
    now: Timestamp,
) -> TxResult<QueuedRequest> {
    let state = state(tx, &target.integration_id, target.endpoint)?;
    request_of(tx, &state, target, cause, not_before, now)
}

/// Requests a fetch, given the state of the endpoint.
pub(crate) fn request_of(
    tx: &mut dyn Tx,
    state: &EndpointState,
    mut target: Target,
    cause: RequestCause,
    not_before: Timestamp,
    now: Timestamp,
) -> TxResult<QueuedRequest> {
    if state.loaded_at.is_none() || !target.endpoint.info().has_updated_after {
        target.kind = SyncKind::Full;
    }
    let new = new_request(target, cause, not_before, now);
    let known = loop {
        if let Some(request) = tx.request(&new.target, LockMode::Wait)?.locked() {
            break request;
        }
        // Another transaction may insert the request at the same time, and yet another may complete it before it can be
        // locked here.
        if tx.insert_request(&new)? {
            return Ok(new);
        }
    };
    let mut request = known.clone();
    // The generation already differs from that of the fetch: raising it again would have no effect.
    if request.generation <= request.lease.as_ref().map_or(FIRST, |held| held.generation) {
        request.generation += 1;
    }
    let over = match cause {
        RequestCause::Command => true,
        RequestCause::Webhook => request.attempts > 0 && state.status != EndpointStatus::Retrying,
        RequestCause::Load | RequestCause::Schedule | RequestCause::Poll | RequestCause::CatchUp => false,
    };
    if over {
        // The cause of the earlier failures may be resolved.
        request.not_before = not_before;
        request.attempts = 0;
    } else if request.attempts == 0 {
        request.not_before = request.not_before.min(not_before.max(now));
    }
    if request != known {
        tx.put_request(&request)?;
    }
    Ok(request)
}

/// Returns a request that nobody has leased yet.
pub(crate) fn new_request(target: Target, cause: RequestCause, not_before: Timestamp, now: Timestamp) -> QueuedRequest {
    QueuedRequest {
        target,
        cause,
        requested_at: now,
        not_before,
        generation: FIRST,
        attempts: 0,
        approved_removals: None,
        lease: None,
    }
}

/// Leases the request for `target`. `None` if there is none, or another worker works on its endpoint.
pub fn lease_target(tx: &mut dyn Tx, target: &Target, claim: &Claim, now: Timestamp) -> TxResult<Option<Lease>> {
    let Lock::Locked(request) = tx.request(target, LockMode::Skip)? else { return Ok(None) };
    lease_locked(tx, request, claim, |_| false, now)
}

/// Leases a locked request, or the other one of its endpoint if that `goes_first`. `None` if another worker works on
/// the endpoint.
fn lease_locked(
    tx: &mut dyn Tx,
    request: QueuedRequest,
    claim: &Claim,
    goes_first: impl Fn(&QueuedRequest) -> bool,
    now: Timestamp,
) -> TxResult<Option<Lease>> {
    // Each endpoint has one lease, so the sibling is locked as well. Neither lock is waited for, so two workers cannot
    // wait for each other.
    let sibling = match tx.request(&sibling(&request.target), LockMode::Skip)? {
        Lock::Missing => None,
        Lock::Busy => return Ok(None),
        Lock::Locked(sibling) => Some(sibling),
    };
    let horizon = claim.horizon(now);
    if is_held(&request, &horizon) || sibling.as_ref().is_some_and(|sibling| is_held(sibling, &horizon)) {
        return Ok(None);
    }
    let (first, other) = match sibling {
        Some(sibling) if goes_first(&sibling) => (sibling, Some(request)),
        sibling => (request, sibling),
    };
    if let Some(mut other) = other.filter(|other| other.lease.is_some()) {
        // The lease has expired. It is removed so that its worker, if it wakes up, cannot work in parallel.
        other.lease = None;
        tx.put_request(&other)?;
    }
    take(tx, first, claim, now).map(Some)
}

/// Delay of requests of inactive integrations. `resume` makes them due.
const IDLE_FOR: Duration = Duration::from_secs(3_600);

/// Leases the request of the preferred kind that became due first: see
/// [`Requests::claimable_request`](crate::ports::Requests::claimable_request).
///
/// Two workers that try a delta and its full fetch at the same time may both get nothing. The next attempt, in another
/// transaction, finds the delta.
pub fn lease_next(tx: &mut dyn Tx, claim: &Claim, eligible: &Eligible, now: Timestamp) -> TxResult<Option<Lease>> {
    let horizon = claim.horizon(now);
    loop {
        match tx.claimable_request(&horizon, eligible)? {
            Claimable::Request(request) => {
                // If another worker had briefly locked the delta, only its full fetch was found.
                let goes_first = |sibling: &QueuedRequest| {
                    sibling.target.kind == SyncKind::Delta
                        && horizon.is_due(sibling.not_before)
                        && eligible.admits(sibling)
                };
                return lease_locked(tx, request, claim, goes_first, now);
            }
            Claimable::Nothing => return Ok(None),
            Claimable::Idle => {
                let until = now.saturating_add(IDLE_FOR.min(claim.longest_wait));
                if tx.postpone_idle_requests(&horizon, until)? == 0 {
                    return Ok(None); // other workers postpone them
                }
            }
        }
    }
}

fn take(tx: &mut dyn Tx, mut request: QueuedRequest, claim: &Claim, now: Timestamp) -> TxResult<Lease> {
    request.lease = Some(HeldLease {
        token: claim.token.clone(),
        owner: claim.owner.clone(),
        expires_at: now.saturating_add(claim.ttl),
        generation: request.generation,
    });
    tx.put_request(&request)?;
    Ok(Lease { request, token: claim.token.clone() })
}

/// The generation of a new request.
const FIRST: i64 = 1;

/// Ends the lease of completed work. Deletes the request, unless it was requested again meanwhile. Returns whether it
/// was.
pub fn finish(tx: &mut dyn Tx, lease: &Lease, now: Timestamp) -> Result<bool, SyncError> {
    Ok(LeasedTx::assert_lease(tx, lease, now, Duration::ZERO)?.finish(now)?)
}

/// Ends the lease of work that continues at `not_before`.
pub fn release(
    tx: &mut dyn Tx,
    lease: &Lease,
    not_before: Timestamp,
    failed: bool,
    now: Timestamp,
) -> Result<(), SyncError> {
    Ok(LeasedTx::assert_lease(tx, lease, now, Duration::ZERO)?.release(not_before, failed)?)
}

/// Ends the leases of owners that have ended, according to `is_gone`, so that their work continues before they expire.
/// Returns the targets of these leases.
pub fn release_abandoned(tx: &mut dyn Tx, is_gone: impl Fn(&str) -> bool) -> TxResult<Vec<Target>> {
    let mut released = Vec::new();
    for request in tx.leased_requests()? {
        if !request.lease.as_ref().is_some_and(|held| is_gone(&held.owner)) {
            continue; // not locked: that would wait for its worker
        }
        // Checked again under a lock: the lease may have been extended or taken over.
        if let Some(mut request) = tx.request(&request.target, LockMode::Wait)?.locked()
            && request.lease.as_ref().is_some_and(|held| is_gone(&held.owner))
        {
            request.lease = None;
            tx.put_request(&request)?;
            released.push(request.target);
        }
    }
    Ok(released)
}

/// Makes the waiting requests of an integration due immediately. It is called when the integration is active again.
pub(crate) fn set_going(tx: &mut dyn Tx, integration: &IntegrationId, now: Timestamp) -> TxResult<()> {
    for request in tx.requests_of(std::slice::from_ref(integration))? {
        if request.not_before > now
            // A locked request is being worked on or requested, so it is due already.
            && let Lock::Locked(mut request) = tx.request(&request.target, LockMode::Skip)?
        {
            request.not_before = now;
            tx.put_request(&request)?;
        }
    }
    Ok(())
}

/// Returns the state of an endpoint.
pub fn state(tx: &mut dyn Tx, integration: &IntegrationId, endpoint: Endpoint) -> TxResult<EndpointState> {
    Ok(tx.endpoint(integration, endpoint)?.unwrap_or_else(|| EndpointState::new(integration.clone(), endpoint)))
}

/// Sets the status of an endpoint. Keeps its start if the status does not change.
pub fn set_status(state: &mut EndpointState, status: EndpointStatus, reason: Option<String>, now: Timestamp) {
    if state.status != status || horizon::happened(state.status_since, now).is_none() {
        state.status_since = Some(now);
    }
    state.status = status;
    state.reason = reason;
}

/// Shows in the status of an endpoint that its fetch waits, and why. Does nothing unless `owner` fetches the endpoint now,
/// and keeps a status that says more. The end of the fetch ends the status.
pub fn note_wait(
    tx: &mut dyn Tx,
    owner: &str,
    (integration, endpoint): (&IntegrationId, Endpoint),
    reason: String,
    now: Timestamp,
) -> TxResult<()> {
    let is_fetched = tx.leased_requests()?.into_iter().any(|request| {
        request.target.integration_id == *integration
            && request.target.endpoint == endpoint
            && request.lease.is_some_and(|held| held.owner == owner)
    });
    let mut state = state(tx, integration, endpoint)?;
    if !is_fetched || !matches!(state.status, EndpointStatus::Ok | EndpointStatus::Retrying) {
        return Ok(());
    }
    set_status(&mut state, EndpointStatus::Retrying, Some(reason), now);
    tx.put_endpoint(&state)
}

fn is_held(request: &QueuedRequest, horizon: &Horizon) -> bool {
    request.lease.as_ref().is_some_and(|held| horizon.is_held(held.expires_at))
}
