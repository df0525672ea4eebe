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

use std::collections::BTreeSet;
use std::time::Duration;

use kombo_model::{Endpoint, IntegrationId, Timestamp};

use crate::error::SyncError;
use crate::horizon::{self, Horizon};
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
    lease_if(tx, target, claim, now, |_| true)
}

/// Leases the request for `target` if, once it is locked, `wanted` still says so.
fn lease_if(
    tx: &mut dyn Tx,
    target: &Target,
    claim: &Claim,
    now: Timestamp,
    wanted: impl Fn(&QueuedRequest) -> bool,
) -> TxResult<Option<Lease>> {
    // One endpoint is worked on by one lease: the sibling is locked too, so that nobody leases it meanwhile. Neither
    // lock is waited for, so two workers cannot wait for each other.
    let (Lock::Locked(request), sibling) =
        (tx.request(target, LockMode::Skip)?, tx.request(&sibling(target), LockMode::Skip)?)
    else {
        return Ok(None);
    };
    let sibling = match sibling {
        Lock::Missing => None,
        Lock::Busy => return Ok(None),
        Lock::Locked(sibling) => Some(sibling),
    };
    let horizon = claim.horizon(now);
    if is_held(&request, &horizon)
        || sibling.as_ref().is_some_and(|sibling| is_held(sibling, &horizon))
        || !wanted(&request)
    {
        return Ok(None);
    }
    if let Some(mut sibling) = sibling.filter(|sibling| sibling.lease.is_some()) {
        // It has expired. Whoever had it must not find it again, should it wake up: it would work beside this one.
        sibling.lease = None;
        tx.put_request(&sibling)?;
    }
    take(tx, request, claim, now).map(Some)
}

/// Leases the request that is most due among those that `allowed` lets pass.
pub fn lease_next(
    tx: &mut dyn Tx,
    claim: &Claim,
    now: Timestamp,
    allowed: impl Fn(&QueuedRequest) -> bool,
) -> TxResult<Option<Lease>> {
    lease_next_if(tx, claim, now, |_, request| Ok(allowed(request)))
}

/// The same, where what is allowed depends on what is stored.
pub(crate) fn lease_next_if(
    tx: &mut dyn Tx,
    claim: &Claim,
    now: Timestamp,
    mut allowed: impl FnMut(&mut dyn Tx, &QueuedRequest) -> TxResult<bool>,
) -> TxResult<Option<Lease>> {
    let horizon = claim.horizon(now);
    let (mut look_at, mut looked) = (16, 0);
    // Two workers that lock a delta and its full fetch at the same moment both let go. Who then goes on to the full fetch
    // would find both free, and begin what the delta is to go before.
    let mut held_back = BTreeSet::new();
    loop {
        let due = tx.due_requests(&horizon, look_at)?;
        for request in due.iter().skip(looked) {
            if !allowed(tx, request)? || held_back.contains(&request.target) {
                continue;
            }
            // Looked at again under the lock: it may just have been released to wait.
            if let Some(lease) = lease_if(tx, &request.target, claim, now, |locked| horizon.is_due(locked.not_before))?
            {
                return Ok(Some(lease));
            }
            if request.target.kind == SyncKind::Delta {
                held_back.insert(sibling(&request.target));
            }
        }
        if due.len() < look_at {
            return Ok(None);
        }
        // Many that are due and not allowed must not hide the others.
        (look_at, looked) = (look_at * 8, due.len());
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
    for request in tx.requests()? {
        if request.target.integration_id == *integration
            && request.not_before > now
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
