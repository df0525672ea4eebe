//! The worker pool: each worker leases the request that is most due, leads it to its end, and looks for the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sync_core::SyncError;
use sync_core::jobs::dispatch::{self, FullFetches};
use sync_core::jobs::queue::{self, Claim};
use sync_core::jobs::{Lease, LeaseToken, SyncKind};
use sync_core::ports::{Clock, Event, Observer, Scope, Source, Store, StoreError, Tx};
use sync_core::pull::Engine;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How long an idle worker sleeps unless a notification wakes it.
const POLL_EVERY: Duration = Duration::from_secs(2);
/// How long a worker waits after the store failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What the worker pool needs from the process it runs in.
pub trait Host: Send + Sync + 'static {
    /// Whether new work may start.
    fn is_open(&self) -> bool;

    /// A token that no lease ever had.
    fn token(&self) -> LeaseToken;

    /// Runs the work on a lease. A host may attach context to it, such as a task-local.
    fn run<F: Future + Send>(&self, lease: &Lease, work: F) -> impl Future<Output = F::Output> + Send {
        let _ = lease;
        work
    }
}

/// The workers of one process.
#[derive(Debug)]
pub struct WorkerPool<St, So, C, O, H> {
    engine: Engine<St, So, C, O>,
    host: H,
    owner: String,
    wake: Arc<Notify>,
    stop: CancellationToken,
    full_fetches: AtomicUsize,
    max_full_fetches: usize,
}

impl<St: Store, So: Source, C: Clock, O: Observer, H: Host> WorkerPool<St, So, C, O, H> {
    /// A pool of `workers` workers: run that many calls of [`WorkerPool::work`] side by side. They lease as `owner`,
    /// look for work when `wake` is notified and every two seconds, and end when `stop` is cancelled.
    pub fn new(
        engine: Engine<St, So, C, O>,
        host: H,
        owner: String,
        workers: usize,
        wake: Arc<Notify>,
        stop: CancellationToken,
    ) -> Self {
        // Half of the workers, so that a delta never waits for a backfill to release a worker.
        let max_full_fetches = workers.div_ceil(2);
        Self { engine, host, owner, wake, stop, full_fetches: AtomicUsize::new(0), max_full_fetches }
    }

    /// Works until the pool is stopped.
    pub async fn work(&self) {
        while !self.stop.is_cancelled() {
            let wait = match self.lease().await {
                Ok(Some((lease, slot))) => {
                    // There may be more work: wake another worker.
                    self.wake.notify_one();
                    self.work_on(&lease, slot).await;
                    continue;
                }
                Ok(None) => POLL_EVERY,
                Err(error) => {
                    self.engine.observer().event(Event::NotLeased { error: &error });
                    RETRY_AFTER
                }
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {}
                () = self.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Leases what is most due. The lease of a full fetch comes with a slot among those that may run.
    async fn lease(&self) -> Result<Option<(Lease, Option<FullFetchSlot<'_>>)>, StoreError> {
        if !self.host.is_open() {
            return Ok(None);
        }
        let policy = self.engine.policy();
        let claim = Claim {
            owner: self.owner.clone(),
            token: self.host.token(),
            ttl: policy.lease_ttl,
            longest_wait: policy.longest_wait(),
        };
        let endpoints = policy.plan.endpoints.clone();
        // Taken before the lease, so that two workers cannot both take the last slot.
        let slot = FullFetchSlot::take(&self.full_fetches, self.max_full_fetches);
        let full = if slot.is_some() { FullFetches::Allowed } else { FullFetches::Enough };
        let now = self.engine.clock().now();
        let unit = move |tx: &mut dyn Tx| dispatch::next(tx, &claim, &endpoints, full, now);
        let leased = self.engine.store().transact(Scope::Shared, unit).await?;
        Ok(leased.map(|lease| {
            let slot = slot.filter(|_| lease.request.target.kind == SyncKind::Full);
            (lease, slot)
        }))
    }

    async fn work_on(&self, lease: &Lease, slot: Option<FullFetchSlot<'_>>) {
        let target = &lease.request.target;
        let result = self.host.run(lease, self.engine.work(lease, &self.stop)).await;
        drop(slot);
        match result {
            Ok(_) | Err(SyncError::LeaseLost(_)) => {}
            // In every other case the lease expires, and the work resumes from its checkpoint.
            Err(error) => {
                self.engine.observer().event(Event::BrokeOff { target, error: &error });
                match &error {
                    SyncError::Store(error) if error.is_transient() => self.release(lease).await,
                    SyncError::LeaseLost(_) | SyncError::Source(_) | SyncError::Store(_) | _ => self.pause().await,
                }
            }
        }
    }

    /// Releases the lease of work that broke off with the database, as soon as the database answers, so that nobody
    /// has to wait for the lease to expire.
    async fn release(&self, lease: &Lease) {
        while !self.stop.is_cancelled() {
            self.pause().await;
            let (released, now) = (lease.clone(), self.engine.clock().now());
            let unit = move |tx: &mut dyn Tx| queue::release(tx, &released, now, false, now).map(drop);
            match self.engine.store().transact(Scope::Shared, unit).await {
                Err(SyncError::Store(error)) if error.is_transient() => {}
                Err(SyncError::LeaseLost(_)) => {
                    return self.engine.observer().event(Event::LeaseLost { target: &lease.request.target });
                }
                Ok(()) | Err(_) => return,
            }
        }
    }

    async fn pause(&self) {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(RETRY_AFTER) => {}
        }
    }
}

/// A slot among the full fetches that may run side by side.
#[derive(Debug)]
struct FullFetchSlot<'a>(&'a AtomicUsize);

impl<'a> FullFetchSlot<'a> {
    fn take(taken: &'a AtomicUsize, max: usize) -> Option<Self> {
        let one_more = |taken| if taken < max { Some(taken + 1) } else { None };
        taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).ok().map(|_| Self(taken))
    }
}

impl Drop for FullFetchSlot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
