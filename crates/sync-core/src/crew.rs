//! The workers: each leases what is most due, leads it to its end, and looks for more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::dispatch::{self, FullFetches};
use crate::engine::Engine;
use crate::error::SyncError;
use crate::port::{Clock, Event, Observer, Scope, Source, Store, StoreError, Tx};
use crate::queue::{self, Claim};
use crate::types::{Lease, LeaseToken, SyncKind};

/// How long an idle worker sleeps unless it is told of work.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// After a failure of the store.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What workers need of the program that they work in.
pub trait Host: Send + Sync + 'static {
    /// Whether work may be begun.
    fn is_open(&self) -> bool;

    /// A token that no lease ever had.
    fn token(&self) -> LeaseToken;

    /// Runs the work on a lease: a program may mark what it works on.
    fn run<F: Future + Send>(&self, lease: &Lease, work: F) -> impl Future<Output = F::Output> + Send {
        let _ = lease;
        work
    }
}

/// Some workers of one process.
#[derive(Debug)]
pub struct Crew<St, So, C, O, H> {
    engine: Engine<St, So, C, O>,
    host: H,
    owner: String,
    wake: Arc<Notify>,
    stop: CancellationToken,
    full_fetches: AtomicUsize,
    most_full_fetches: usize,
}

impl<St: Store, So: Source, C: Clock, O: Observer, H: Host> Crew<St, So, C, O, H> {
    /// A crew of so many workers: as many calls of [`Crew::work`] are to run side by side. They lease as `owner`, look
    /// for work when `wake` says so and now and then, and end when `stop` does.
    pub fn new(
        engine: Engine<St, So, C, O>,
        host: H,
        owner: String,
        workers: usize,
        wake: Arc<Notify>,
        stop: CancellationToken,
    ) -> Self {
        // Half of them, so that backfills never keep a delta waiting for a worker.
        let most_full_fetches = workers.div_ceil(2);
        Self { engine, host, owner, wake, stop, full_fetches: AtomicUsize::new(0), most_full_fetches }
    }

    /// Works until the crew is stopped.
    pub async fn work(&self) {
        while !self.stop.is_cancelled() {
            let wait = match self.lease().await {
                Ok(Some((lease, place))) => {
                    // Where there was one there may be more.
                    self.wake.notify_one();
                    self.work_on(&lease, place).await;
                    continue;
                }
                Ok(None) => LOOK_EVERY,
                Err(error) => {
                    self.engine.observer().event(Event::NotLeased { error: &error });
                    LOOK_AGAIN
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

    /// With the lease of a full fetch comes a place among those that may run.
    async fn lease(&self) -> Result<Option<(Lease, Option<Place<'_>>)>, StoreError> {
        if !self.host.is_open() {
            return Ok(None);
        }
        let policy = self.engine.policy();
        let claim = Claim { owner: self.owner.clone(), token: self.host.token(), ttl: policy.lease_ttl };
        let endpoints = policy.plan.endpoints.clone();
        // Taken before the lease, so that two workers cannot both take the last place.
        let place = Place::take(&self.full_fetches, self.most_full_fetches);
        let full = if place.is_some() { FullFetches::Allowed } else { FullFetches::Enough };
        let now = self.engine.clock().now();
        let unit = move |tx: &mut dyn Tx| dispatch::next(tx, &claim, &endpoints, full, now);
        let leased = self.engine.store().transact(Scope::Shared, unit).await?;
        Ok(leased.map(|lease| {
            let place = place.filter(|_| lease.request.target.kind == SyncKind::Full);
            (lease, place)
        }))
    }

    async fn work_on(&self, lease: &Lease, place: Option<Place<'_>>) {
        let target = &lease.request.target;
        let result = self.host.run(lease, self.engine.work(lease, &self.stop)).await;
        drop(place);
        match result {
            Ok(_) | Err(SyncError::LeaseLost(_)) => {}
            // Whatever else happens, the lease expires by itself, and the work goes on from its checkpoint.
            Err(error) => {
                self.engine.observer().event(Event::BrokeOff { target, error: &error });
                match &error {
                    SyncError::Store(error) if error.is_transient() => self.let_go(lease).await,
                    SyncError::LeaseLost(_) | SyncError::Source(_) | SyncError::Store(_) => self.pause().await,
                }
            }
        }
    }

    /// Ends the lease of work that broke off with the database, as soon as that answers: nobody need wait for the
    /// lease to expire.
    async fn let_go(&self, held: &Lease) {
        while !self.stop.is_cancelled() {
            self.pause().await;
            let (lease, now) = (held.clone(), self.engine.clock().now());
            let unit = move |tx: &mut dyn Tx| queue::release(tx, &lease, now, false, now).map(drop);
            match self.engine.store().transact(Scope::Shared, unit).await {
                Err(SyncError::Store(error)) if error.is_transient() => {}
                Err(SyncError::LeaseLost(_)) => {
                    return self.engine.observer().event(Event::LeaseLost { target: &held.request.target });
                }
                Ok(()) | Err(_) => return,
            }
        }
    }

    async fn pause(&self) {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// A place among the full fetches that may run side by side.
#[derive(Debug)]
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(taken: &'a AtomicUsize, most: usize) -> Option<Self> {
        let one_more = |taken| if taken < most { Some(taken + 1) } else { None };
        taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).ok().map(|_| Self(taken))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
