use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sync_core::SyncError;
use sync_core::dispatch::{self, FullFetches};
use sync_core::engine::Engine;
use sync_core::port::{Clock as _, Scope, Store as _, StoreError, Tx};
use sync_core::queue::{self, Claim};
use sync_core::types::{Lease, LeaseToken, SyncKind};
use tokio_util::task::TaskTracker;

use super::measure::{self, Meter};
use super::{DaemonEngine, Shared};
use crate::clock::SystemClock;
use crate::pace::FETCHING;
use crate::{output, owner};

/// How long an idle worker sleeps unless it is told of work.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// After a failure of the store.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

struct Crew {
    shared: Arc<Shared>,
    engine: DaemonEngine,
    owner: String,
    full_fetches: AtomicUsize,
    most_full_fetches: usize,
}

/// Sets the workers to work until the daemon stops.
pub(super) fn spawn(tasks: &TaskTracker, shared: &Arc<Shared>) {
    let workers = shared.config.sync.workers;
    let meter = Meter { gate: Arc::clone(&shared.gate) };
    let (store, source) = (Arc::clone(&shared.store), Arc::clone(&shared.source));
    let crew = Arc::new(Crew {
        shared: Arc::clone(shared),
        engine: Engine::new(store, source, SystemClock, meter, shared.config.policy()),
        owner: owner::this_process(),
        full_fetches: AtomicUsize::new(0),
        // Half of them, so that backfills never keep a delta waiting for a worker.
        most_full_fetches: workers.div_ceil(2),
    });
    for _ in 0..workers {
        tasks.spawn(work(Arc::clone(&crew)));
    }
}

async fn work(crew: Arc<Crew>) {
    let stop = &crew.shared.stop;
    while !stop.is_cancelled() {
        let wait = match crew.lease().await {
            Ok(Some(lease)) => {
                // Where there was one there may be more.
                crew.shared.wake.notify_one();
                crew.work_on(lease).await;
                continue;
            }
            Ok(None) => LOOK_EVERY,
            Err(error) => {
                tracing::warn!(error = output::chain(&error), "no work could be taken");
                LOOK_AGAIN
            }
        };
        tokio::select! {
            () = crew.shared.wake.notified() => {}
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => {}
        }
    }
}

impl Crew {
    async fn lease(&self) -> Result<Option<Lease>, StoreError> {
        if !self.shared.gate.is_open() {
            return Ok(None);
        }
        let policy = self.engine.policy();
        let claim = Claim {
            owner: self.owner.clone(),
            token: LeaseToken(format!("{:032x}", fastrand::u128(..))),
            ttl: policy.lease_ttl,
        };
        let endpoints = policy.plan.endpoints.clone();
        // Counted before the lease, so that two workers cannot both take the last place.
        let busy = self.full_fetches.fetch_add(1, Ordering::SeqCst);
        let full = if busy < self.most_full_fetches { FullFetches::Allowed } else { FullFetches::Enough };
        let now = SystemClock.now();
        let leased = self
            .shared
            .store
            .transact(Scope::Shared, move |tx| dispatch::next(tx, &claim, &endpoints, full, now))
            .await;
        if !matches!(&leased, Ok(Some(lease)) if lease.request.target.kind == SyncKind::Full) {
            self.full_fetches.fetch_sub(1, Ordering::SeqCst);
        }
        leased
    }

    async fn work_on(&self, lease: Lease) {
        let kind = lease.request.target.kind;
        let result = FETCHING.scope(kind, self.engine.work(&lease, &self.shared.stop)).await;
        if kind == SyncKind::Full {
            self.full_fetches.fetch_sub(1, Ordering::SeqCst);
        }
        match result {
            Ok(_) | Err(SyncError::LeaseLost(_)) => {}
            // Whatever else happens, the lease expires by itself, and the work goes on from its checkpoint.
            Err(error) => {
                tracing::error!(target = %lease.request.target, error = output::chain(&error), "work broke off");
                match &error {
                    SyncError::Store(error) if error.is_transient() => self.let_go(&lease).await,
                    SyncError::LeaseLost(_) | SyncError::Source(_) | SyncError::Store(_) | _ => self.pause().await,
                }
            }
        }
    }

    /// Ends the lease of work that broke off with the database, as soon as that answers: nobody need wait for the
    /// lease to expire.
    async fn let_go(&self, held: &Lease) {
        while !self.shared.stop.is_cancelled() {
            self.pause().await;
            let (lease, now) = (held.clone(), SystemClock.now());
            let unit = move |tx: &mut dyn Tx| queue::release(tx, &lease, now, false, now).map(drop);
            match self.shared.store.transact(Scope::Shared, unit).await {
                Err(SyncError::Store(error)) if error.is_transient() => {}
                Err(SyncError::LeaseLost(_)) => return measure::lease_lost(&held.request.target),
                Ok(()) | Err(_) => return,
            }
        }
    }

    async fn pause(&self) {
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            () = self.shared.stop.cancelled() => {}
        }
    }
}
