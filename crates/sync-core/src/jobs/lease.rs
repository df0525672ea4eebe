//! Transactions with a lease.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use kombo_model::Timestamp;

use crate::error::SyncError;
use crate::horizon;
use crate::jobs::request::{HeldLease, Lease, QueuedRequest, SyncKind, Target};
use crate::ports::error::{Invariant, TxResult};
use crate::ports::lock::LockMode;
use crate::ports::store::Tx;

/// The generation of a request when its fetch begins.
const BEGUN: i64 = 1;

/// A transaction of a worker that cannot lose its lease before the transaction ends. [`LeasedTx::assert_lease`] is the
/// only way to create one, so functions that take a `LeasedTx` cannot be called without that check:
///
/// ```compile_fail,E0308
/// use sync_core::ports::{Tx, TxResult};
/// use sync_core::rows::apply::{Applying, apply};
/// use sync_core::rows::{Batch, RunCounts};
///
/// fn write(tx: &mut dyn Tx, batch: &Batch, applying: &Applying<'_>) -> TxResult<RunCounts> {
///     apply(tx, batch, applying)
/// }
/// ```
///
/// It has all statements of a [`Tx`].
pub struct LeasedTx<'a> {
    tx: &'a mut dyn Tx,
    request: QueuedRequest,
}

impl<'a> LeasedTx<'a> {
    /// Checks the lease. Extends it as well, unless at least five sixths of `ttl` are left. The request stays locked
    /// until the transaction ends, so nobody can take over in between.
    ///
    /// # Errors
    /// [`SyncError::LeaseLost`] if another worker took over, or the lease was ended.
    pub fn assert_lease(
        tx: &'a mut dyn Tx,
        lease: &Lease,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<LeasedTx<'a>, SyncError> {
        let lost = || SyncError::LeaseLost(lease.request.target.to_string());
        let mut request = tx.request(&lease.request.target, LockMode::Wait)?.locked().ok_or_else(lost)?;
        let holds = |held: &&mut HeldLease| held.token == lease.token;
        let held = request.lease.as_mut().filter(holds).ok_or_else(lost)?;
        let until = now.saturating_add(ttl);
        // A lease that ends later than any valid one was stored while a clock was ahead. Other workers treat it as
        // expired.
        let is_too_long = !ttl.is_zero() && held.expires_at > horizon::latest(now, ttl);
        if held.expires_at.saturating_add(ttl / 6) < until || is_too_long {
            held.expires_at = until;
            tx.put_request(&request)?;
        }
        Ok(Self { tx, request })
    }

    /// Returns the stored request of the lease.
    pub fn leased(&self) -> &QueuedRequest {
        &self.request
    }

    /// Records that a fetch begins at its first page. It covers all requests so far.
    pub(crate) fn begin(&mut self) -> TxResult<()> {
        self.request.generation = BEGUN;
        self.go_on()
    }

    /// Records that a fetch resumes an earlier attempt. Changes that were requested since its beginning may be on pages
    /// that it has passed.
    pub(crate) fn go_on(&mut self) -> TxResult<()> {
        if let Some(held) = self.request.lease.as_mut() {
            held.generation = BEGUN;
        }
        self.tx.put_request(&self.request)
    }

    /// Returns an error if another worker has a lease of the same endpoint, which is impossible.
    pub(crate) fn assert_alone(&mut self, now: Timestamp, ttl: Duration) -> TxResult<()> {
        let sibling = sibling(&self.request.target);
        let found = self.tx.request(&sibling, LockMode::Skip)?.locked();
        let held = found.and_then(|request| request.lease).filter(|held| horizon::is_ahead(held.expires_at, now, ttl));
        match held {
            Some(_) => Err(Invariant::TwoLeases { one: self.request.target.clone(), other: sibling }.into()),
            None => Ok(()),
        }
    }

    /// Ends the lease of completed work. Deletes the request, unless it was requested again meanwhile. Returns whether
    /// it was.
    pub(crate) fn finish(&mut self, now: Timestamp) -> TxResult<bool> {
        let request = &mut self.request;
        let taken = request.lease.take().map_or(request.generation, |held| held.generation);
        let again = request.generation != taken;
        if again {
            request.requested_at = now;
            request.not_before = now;
            request.attempts = 0;
            request.approved_removals = None;
            self.tx.put_request(request)?;
        } else {
            self.tx.delete_request(&request.target)?;
        }
        // The next due time depends on this fetch.
        self.tx.put_next_looks(&[(request.target.integration_id.clone(), now)])?;
        Ok(again)
    }

    /// Ends the lease of work that continues at `not_before`.
    pub(crate) fn release(&mut self, not_before: Timestamp, failed: bool) -> TxResult<()> {
        let request = &mut self.request;
        request.lease = None;
        request.not_before = not_before;
        request.attempts = if failed { request.attempts.saturating_add(1) } else { request.attempts };
        self.tx.put_request(request)
    }
}

impl<'a> Deref for LeasedTx<'a> {
    type Target = dyn Tx + 'a;

    fn deref(&self) -> &Self::Target {
        self.tx
    }
}

impl DerefMut for LeasedTx<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.tx
    }
}

impl fmt::Debug for LeasedTx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeasedTx").field("request", &self.request).finish_non_exhaustive()
    }
}

/// Returns the target of the other kind for the same endpoint.
pub(crate) fn sibling(target: &Target) -> Target {
    let kind = match target.kind {
        SyncKind::Delta => SyncKind::Full,
        SyncKind::Full => SyncKind::Delta,
    };
    Target { kind, ..target.clone() }
}
