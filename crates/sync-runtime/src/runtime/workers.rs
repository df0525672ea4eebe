//! The worker pool: each worker leases the request that is most due, leads it to its end, and looks for the next.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sync_core::SyncError;
use sync_core::jobs::dispatch::{self, Admission};
use sync_core::jobs::queue::{self, Claim};
use sync_core::jobs::{Lease, SyncKind};
use sync_core::ports::{Clock, Event, FailureClass, Scope, Source, Store, StoreError, Tx};
use sync_core::pull::Attempt;
use tokio_util::sync::CancellationToken;

use super::Runtime;
use crate::host::Host;
use crate::observer::{Notice, RuntimeObserver};

/// How long an idle worker sleeps unless a notification wakes it.
const POLL_EVERY: Duration = Duration::from_secs(2);
/// How long a worker waits after the store failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl<St: Store, So: Source, C: Clock, O: RuntimeObserver, H: Host> Runtime<St, So, C, O, H> {
    /// One worker: works until the runtime stops.
    pub(crate) async fn work(&self) {
        while !self.stop.is_cancelled() {
            let wait = match self.lease().await {
                Ok(Some((lease, taken))) => {
                    // There may be more work: wake another worker.
                    self.wakers.work.notify_one();
                    self.work_on(&lease, taken).await;
                    continue;
                }
                Ok(None) => POLL_EVERY,
                Err(error) => {
                    self.observer().notice(Notice::NotLeased { error: &error });
                    RETRY_AFTER
                }
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {}
                () = self.wakers.work.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Leases what is most due, with the slots that the lease takes.
    async fn lease(&self) -> Result<Option<(Lease, Taken<'_>)>, StoreError> {
        if !self.gate.is_open() {
            return Ok(None);
        }
        let (policy, claim) = (self.engine.policy(), self.claim());
        let endpoints = policy.plan.endpoints.clone();
        // Taken before the lease, so that two workers cannot both take the last slot.
        let taken = Taken { full_fetch: self.full_fetches.take(), retry: self.retries.take() };
        let admission = Admission { full_fetches: taken.full_fetch.is_some(), retries: taken.retry.is_some() };
        let now = self.engine.clock().now();
        let unit = move |tx: &mut dyn Tx| dispatch::next(tx, &claim, &endpoints, admission, now);
        let leased = self.engine.store().transact(Scope::Shared, unit).await?;
        Ok(leased.map(|lease| {
            let full_fetch = taken.full_fetch.filter(|_| lease.request.target.kind == SyncKind::Full);
            let retry = taken.retry.filter(|_| lease.request.attempts > 0);
            (lease, Taken { full_fetch, retry })
        }))
    }

    /// What a worker of this process leases a request with.
    pub(crate) fn claim(&self) -> Claim {
        let policy = self.engine.policy();
        Claim {
            owner: self.policy.owner.clone(),
            token: self.host.token(),
            ttl: policy.lease_ttl,
            longest_wait: policy.longest_wait(),
        }
    }

    async fn work_on(&self, lease: &Lease, taken: Taken<'_>) {
        let result = self.attempt(lease, &self.stop).await;
        if taken.retry.is_some() {
            self.retries.learn(matches!(&result, Ok(Attempt { failure: None, .. })));
        }
        drop(taken);
        match result {
            Ok(_) | Err(SyncError::LeaseLost(_)) => {}
            // In every other case the lease expires, and the work resumes from its checkpoint.
            Err(error) => {
                self.observer().notice(Notice::BrokeOff { target: &lease.request.target, error: &error });
                match &error {
                    SyncError::Store(error) if error.is_transient() => self.release(lease).await,
                    SyncError::LeaseLost(_) | SyncError::Source(_) | SyncError::Store(_) | _ => {
                        self.pause(RETRY_AFTER).await;
                    }
                }
            }
        }
    }

    /// Works on a lease. Closes the gate if Kombo rejected the key.
    pub(crate) async fn attempt(&self, lease: &Lease, stop: &CancellationToken) -> Result<Attempt, SyncError> {
        let result = self.host.run(lease, self.engine.work(lease, stop)).await;
        if let Ok(Attempt { failure: Some(failure), .. }) = &result
            && failure.class() == FailureClass::KeyRejected
        {
            self.reject_key();
        }
        // Changes may have been committed. The dispatcher looks now and then during long work.
        self.wakers.deliveries.notify_one();
        result
    }

    /// Releases the lease of work that broke off with the database, as soon as the database answers, so that nobody
    /// has to wait for the lease to expire.
    async fn release(&self, lease: &Lease) {
        while !self.stop.is_cancelled() {
            self.pause(RETRY_AFTER).await;
            let (released, now) = (lease.clone(), self.engine.clock().now());
            let unit = move |tx: &mut dyn Tx| queue::release(tx, &released, now, false, now).map(drop);
            match self.engine.store().transact(Scope::Shared, unit).await {
                Err(SyncError::Store(error)) if error.is_transient() => {}
                Err(SyncError::LeaseLost(_)) => {
                    return self.observer().event(Event::LeaseLost { target: &lease.request.target });
                }
                Ok(()) | Err(_) => return,
            }
        }
    }
}

/// The slots that a lease takes.
#[derive(Debug)]
struct Taken<'a> {
    full_fetch: Option<Slot<'a>>,
    retry: Option<Slot<'a>>,
}

/// Bounds how many workers are busy with one kind of work.
#[derive(Debug)]
pub(crate) struct Slots {
    taken: AtomicUsize,
    max: AtomicUsize,
    usual_max: usize,
    workers: usize,
}

impl Slots {
    /// Half of the workers, so that a delta never waits for a backfill to release a worker.
    pub(crate) fn for_full_fetches(workers: usize) -> Self {
        Self::new(workers.div_ceil(2), workers)
    }

    /// A quarter of the workers: integrations that fail or answer slowly must not keep the others from the healthy ones.
    pub(crate) fn for_retries(workers: usize) -> Self {
        Self::new((workers / 4).max(1), workers)
    }

    fn new(usual_max: usize, workers: usize) -> Self {
        Self { taken: AtomicUsize::new(0), max: AtomicUsize::new(usual_max), usual_max, workers }
    }

    fn take(&self) -> Option<Slot<'_>> {
        let max = self.max.load(Ordering::SeqCst);
        let one_more = |taken| if taken < max { Some(taken + 1) } else { None };
        self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).ok().map(|_| Slot(&self.taken))
    }

    /// Each success allows one more at a time, since an outage may be over; the first failure, the usual number again.
    fn learn(&self, succeeded: bool) {
        let next = |max: usize| Some(if succeeded { (max + 1).min(self.workers) } else { self.usual_max });
        // It is never refused.
        let _: Result<usize, usize> = self.max.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
    }
}

/// A slot that is taken until it is dropped.
#[derive(Debug)]
struct Slot<'a>(&'a AtomicUsize);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successes_open_the_way_for_what_failed_and_one_failure_closes_it() {
        let slots = Slots::for_retries(8);
        let free = || std::iter::from_fn(|| slots.take()).take(20).collect::<Vec<_>>().len();
        assert_eq!(free(), 2);
        for _ in 0..3 {
            slots.learn(true);
        }
        assert_eq!(free(), 5);
        for _ in 0..30 {
            slots.learn(true);
        }
        assert_eq!(free(), 8, "no more than there are workers");
        slots.learn(false);
        assert_eq!(free(), 2);
    }
}
