//! Requests and leases: who works on what, and that nobody else does. Functions over a unit of work.
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
//! #     endpoint: Endpoint::Users,
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

/// Who leases, until when, and how the lease is told from others.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The worker, for people and for [`release_abandoned`].
    pub owner: String,
    /// Random: no two leases share it.
    pub token: LeaseToken,
    /// How long the lease holds without being extended.
    pub ttl: Duration,
    /// The longest that anything waits: see [`SyncPolicy::longest_wait`](crate::pull::SyncPolicy::longest_wait).
    pub longest_wait: Duration,
}

impl Claim {
    /// The stored times that count for whoever leases now.
    pub fn horizon(&self, now: Timestamp) -> Horizon {
        Horizon { now, longest_wait: self.longest_wait, lease_ttl: self.ttl }
    }
}

/// Asks for a fetch. Any number of wishes for a target while its request waits lead to one fetch; one that arrives
/// while the fetch runs leads to one more after it.
///
/// A delta of an endpoint that was never loaded becomes a full fetch. What waits for a passing failure to pass goes
/// on waiting, unless a person asks. What waits for something else is tried when a webhook tells of changes: that may be
/// over.
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

/// The same, where it is known how the endpoint stands.
pub(crate) fn request_of(
    tx: &mut dyn Tx,
    state: &EndpointState,
    mut target: Target,
    cause: RequestCause,
    not_before: Timestamp,
    now: Timestamp,
) -> TxResult<QueuedRequest> {
    if target.kind == SyncKind::Delta && state.loaded_at.is_none() {
        target.kind = SyncKind::Full;
    }
    let new = QueuedRequest {
        target,
        cause,
        requested_at: now,
        not_before,
        generation: FIRST,
        attempts: 0,
        approved_removals: None,
        lease: None,
    };
    let known = loop {
        if let Some(request) = tx.request(&new.target, LockMode::Wait)?.locked() {
            break request;
        }
        // Another unit may make it at the same time, and another be done with it before it can be locked here.
        if tx.insert_request(&new)? {
            return Ok(new);
        }
    };
    let mut request = known.clone();
    // One wish that nobody has seen yet says as much as many.
    if request.generation <= request.lease.as_ref().map_or(FIRST, |held| held.generation) {
        request.generation += 1;
    }
    let over = match cause {
        RequestCause::Command => true,
        RequestCause::Webhook => request.attempts > 0 && state.status != EndpointStatus::Retrying,
        RequestCause::Load | RequestCause::Schedule | RequestCause::Poll | RequestCause::CatchUp => false,
    };
    if over {
        // What made earlier attempts wait may be over.
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

/// Leases the request for `target`; `None` if there is none, or if somebody works on its endpoint.
pub fn lease_target(tx: &mut dyn Tx, target: &Target, claim: &Claim, now: Timestamp) -> TxResult<Option<Lease>> {
    let Lock::Locked(request) = tx.request(target, LockMode::Skip)? else { return Ok(None) };
    lease_locked(tx, request, claim, |_| false, now)
}

/// Leases a request that is locked, or the other one of its endpoint if that `goes_first`. `None` if somebody works on the
/// endpoint.
fn lease_locked(
    tx: &mut dyn Tx,
    request: QueuedRequest,
    claim: &Claim,
    goes_first: impl Fn(&QueuedRequest) -> bool,
    now: Timestamp,
) -> TxResult<Option<Lease>> {
    // One endpoint is worked on by one lease: the sibling is locked too, so that nobody leases it meanwhile. Neither
    // lock is waited for, so two workers cannot wait for each other.
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
        // It has expired. Whoever had it must not find it again, should it wake up: it would work beside this one.
        other.lease = None;
        tx.put_request(&other)?;
    }
    take(tx, first, claim, now).map(Some)
}

/// How long requests are put off of integrations that are not worked on. `resume` makes them due.
const IDLE_FOR: Duration = Duration::from_secs(3_600);

/// Leases the request that has been due for longest among those of the preferred kind: see
/// [`Requests::claimable_request`](crate::ports::Requests::claimable_request).
///
/// Two workers that try a delta and its full fetch at the same moment may both get nothing: the next attempt, in another
/// transaction, finds the delta.
pub fn lease_next(tx: &mut dyn Tx, claim: &Claim, eligible: &Eligible, now: Timestamp) -> TxResult<Option<Lease>> {
    let horizon = claim.horizon(now);
    loop {
        match tx.claimable_request(&horizon, eligible)? {
            Claimable::Request(request) => {
                // Another worker may have had the delta locked for a moment: then only its full fetch was found.
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
                if tx.put_off_idle_requests(&horizon, until)? == 0 {
                    return Ok(None); // others are at it
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

/// The generation of a request as it is made.
const FIRST: i64 = 1;

/// Ends the lease of work that came to its end: the request is gone, unless it was requested again meanwhile. Returns whether
/// it was.
pub fn finish(tx: &mut dyn Tx, lease: &Lease, now: Timestamp) -> Result<bool, SyncError> {
    Ok(LeasedTx::assert_lease(tx, lease, now, Duration::ZERO)?.finish(now)?)
}

/// Ends the lease of work that is to go on at `not_before`.
pub fn release(
    tx: &mut dyn Tx,
    lease: &Lease,
    not_before: Timestamp,
    failed: bool,
    now: Timestamp,
) -> Result<(), SyncError> {
    Ok(LeasedTx::assert_lease(tx, lease, now, Duration::ZERO)?.release(not_before, failed)?)
}

/// Ends leases whose owner `is_gone`, so that work goes on before they expire. Returns what they held.
pub fn release_abandoned(tx: &mut dyn Tx, is_gone: impl Fn(&str) -> bool) -> TxResult<Vec<Target>> {
    let mut released = Vec::new();
    for request in tx.requests()? {
        if !request.lease.as_ref().is_some_and(|held| is_gone(&held.owner)) {
            continue; // not locked: whoever works on it would have to be waited for
        }
        // Looked at again under a lock: it may have been extended or taken over since.
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

/// Sets going at once what waits for an integration: called when it is in order again.
pub(crate) fn set_going(tx: &mut dyn Tx, integration: &IntegrationId, now: Timestamp) -> TxResult<()> {
    for request in tx.requests_of(std::slice::from_ref(integration))? {
        if request.not_before > now
            // One that is locked is being worked on or asked for, so it is going.
            && let Lock::Locked(mut request) = tx.request(&request.target, LockMode::Skip)?
        {
            request.not_before = now;
            tx.put_request(&request)?;
        }
    }
    Ok(())
}

/// What is known of an endpoint.
pub fn state(tx: &mut dyn Tx, integration: &IntegrationId, endpoint: Endpoint) -> TxResult<EndpointState> {
    Ok(tx.endpoint(integration, endpoint)?.unwrap_or_else(|| EndpointState::new(integration.clone(), endpoint)))
}

/// Sets how an endpoint stands, keeping since when if it stood so before.
pub fn set_status(state: &mut EndpointState, status: EndpointStatus, reason: Option<String>, now: Timestamp) {
    if state.status != status || horizon::happened(state.status_since, now).is_none() {
        state.status_since = Some(now);
    }
    state.status = status;
    state.reason = reason;
}

fn is_held(request: &QueuedRequest, horizon: &Horizon) -> bool {
    request.lease.as_ref().is_some_and(|held| horizon.is_held(held.expires_at))
}
