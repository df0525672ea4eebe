//! Decides which work a worker may begin, so that no kind of work and no integration takes all workers of a process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kombo_model::{Endpoint, IntegrationId};
use sync_core::jobs::{Eligible, Lease, SyncKind};

/// One of this many leases prefers a full fetch, so that endless deltas do not block full fetches permanently.
const FULL_FETCH_EVERY: usize = 4;

/// The current work of a process's workers.
#[derive(Debug)]
pub(crate) struct Admission {
    workers: usize,
    full_fetches: Slots,
    retries: Slots,
    leases: AtomicUsize,
    running: Mutex<BTreeMap<IntegrationId, Running>>,
    turn: tokio::sync::Mutex<()>,
}

/// The number of workers that work on an integration, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Running {
    deltas: usize,
    full_fetches: usize,
}

impl Running {
    fn of(&mut self, kind: SyncKind) -> &mut usize {
        match kind {
            SyncKind::Delta => &mut self.deltas,
            SyncKind::Full => &mut self.full_fetches,
        }
    }
}

impl Admission {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            workers,
            full_fetches: Slots::for_full_fetches(workers),
            retries: Slots::for_retries(workers),
            leases: AtomicUsize::new(0),
            running: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Waits until no other worker looks for a request.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        Turn { admission: self, _turn: self.turn.lock().await }
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<IntegrationId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the integrations that have their share: half of the workers, and half of those for full fetches.
    fn at_share(&self) -> BTreeSet<(SyncKind, IntegrationId)> {
        let (share, full_share) = (self.workers.div_ceil(2), self.full_fetches.usual_max.div_ceil(2));
        let mut at_share = BTreeSet::new();
        for (id, running) in &*self.running() {
            let is_at_share = running.deltas + running.full_fetches >= share;
            if is_at_share {
                at_share.insert((SyncKind::Delta, id.clone()));
            }
            if is_at_share || running.full_fetches >= full_share {
                at_share.insert((SyncKind::Full, id.clone()));
            }
        }
        at_share
    }
}

/// The right to query the queue, which one worker has at a time.
pub(crate) struct Turn<'a> {
    admission: &'a Admission,
    _turn: tokio::sync::MutexGuard<'a, ()>,
}

impl<'a> Turn<'a> {
    /// Returns the requests that the worker may lease, and the slots reserved for them.
    pub(crate) fn reserve(&self, endpoints: &BTreeSet<Endpoint>) -> (Eligible, Reserved<'a>) {
        let admission = self.admission;
        let reserved =
            Reserved { admission, full_fetch: admission.full_fetches.take(), retry: admission.retries.take() };
        let prefers_full = admission.leases.load(Ordering::SeqCst) % FULL_FETCH_EVERY == FULL_FETCH_EVERY - 1;
        let kinds = match (&reserved.full_fetch, prefers_full) {
            (None, _) => vec![SyncKind::Delta],
            (Some(_), false) => vec![SyncKind::Delta, SyncKind::Full],
            (Some(_), true) => vec![SyncKind::Full, SyncKind::Delta],
        };
        let (endpoints, retries) = (endpoints.clone(), reserved.retry.is_some());
        (Eligible { endpoints, kinds, retries, at_share: admission.at_share() }, reserved)
    }
}

/// Slots that are reserved while a worker queries the queue.
pub(crate) struct Reserved<'a> {
    admission: &'a Admission,
    full_fetch: Option<Slot<'a>>,
    retry: Option<Slot<'a>>,
}

impl<'a> Reserved<'a> {
    /// Keeps the slots that the lease needs and releases the others.
    pub(crate) fn take(self, lease: &Lease) -> Taken<'a> {
        let target = &lease.request.target;
        self.admission.leases.fetch_add(1, Ordering::SeqCst);
        *self.admission.running().entry(target.integration_id.clone()).or_default().of(target.kind) += 1;
        Taken {
            admission: self.admission,
            of: (target.kind, target.integration_id.clone()),
            _full_fetch: self.full_fetch.filter(|_| target.kind == SyncKind::Full),
            retry: self.retry.filter(|_| lease.request.attempts > 0),
        }
    }
}

/// The slots and the share that a lease takes. They are released when it is dropped.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    admission: &'a Admission,
    of: (SyncKind, IntegrationId),
    _full_fetch: Option<Slot<'a>>,
    retry: Option<Slot<'a>>,
}

impl Taken<'_> {
    /// Ends the work and notes whether the fetch succeeded.
    pub(crate) fn end(self, succeeded: bool) {
        if self.retry.is_some() {
            self.admission.retries.learn(succeeded);
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let (kind, id) = &self.of;
        let mut integrations = self.admission.running();
        if let Some(running) = integrations.get_mut(id) {
            *running.of(*kind) -= 1;
            if *running == Running::default() {
                integrations.remove(id);
            }
        }
    }
}

/// Limits the number of workers for one kind of work.
#[derive(Debug)]
struct Slots {
    taken: AtomicUsize,
    max: AtomicUsize,
    usual_max: usize,
    workers: usize,
}

impl Slots {
    /// Half of the workers, so that a delta never waits for a backfill to release a worker.
    fn for_full_fetches(workers: usize) -> Self {
        Self::new(workers.div_ceil(2), workers)
    }

    /// A quarter of the workers, so that integrations that fail or answer slowly do not block the healthy ones.
    fn for_retries(workers: usize) -> Self {
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

    /// Raises the limit by one after each success, since an outage may be over. Restores the usual limit after a
    /// failure.
    fn learn(&self, succeeded: bool) {
        let next = |max: usize| Some(if succeeded { (max + 1).min(self.workers) } else { self.usual_max });
        // The closure always returns a value, so the update cannot fail.
        let _: Result<usize, usize> = self.max.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
    }
}

/// A slot that is released when it is dropped.
#[derive(Debug)]
struct Slot<'a>(&'a AtomicUsize);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use kombo_model::Timestamp;
    use sync_core::jobs::{LeaseToken, QueuedRequest, RequestCause, Target};

    use super::*;

    fn lease(id: &str, kind: SyncKind) -> Lease {
        let now = Timestamp::MIN;
        let token = LeaseToken(String::new());
        let target = Target { integration_id: IntegrationId::from(id), endpoint: Endpoint::LmsUsers, kind };
        let request = QueuedRequest {
            target,
            cause: RequestCause::Poll,
            requested_at: now,
            not_before: now,
            generation: 1,
            attempts: 0,
            approved_removals: None,
            lease: None,
        };
        Lease { request, token }
    }

    #[tokio::test]
    async fn no_integration_and_no_kind_of_work_takes_all_workers() {
        let admission = Admission::new(8);
        let eligible = async || admission.turn().await.reserve(&Endpoint::ALL.into()).0;
        let take =
            async |id: &str, kind| admission.turn().await.reserve(&Endpoint::ALL.into()).1.take(&lease(id, kind));
        let at_share = |kind: SyncKind, id: &str| (kind, IntegrationId::from(id));
        assert!(eligible().await.at_share.is_empty());
        let first = take("a", SyncKind::Full).await;
        assert!(eligible().await.at_share.is_empty());
        let second = take("a", SyncKind::Full).await;
        assert_eq!(eligible().await.at_share, [at_share(SyncKind::Full, "a")].into(), "half of those for full fetches");
        let deltas = (take("a", SyncKind::Delta).await, take("a", SyncKind::Delta).await);
        let whole = [at_share(SyncKind::Delta, "a"), at_share(SyncKind::Full, "a")];
        assert_eq!(eligible().await.at_share, whole.into(), "half of all");
        let others = (take("b", SyncKind::Full).await, take("c", SyncKind::Full).await);
        assert_eq!(eligible().await.kinds, [SyncKind::Delta], "half of the workers run full fetches");
        drop((first, second, deltas, others));
        assert!(eligible().await.at_share.is_empty());
        assert!(admission.running().is_empty());
    }

    #[tokio::test]
    async fn deltas_that_never_end_do_not_keep_full_fetches_waiting() {
        let admission = Admission::new(1);
        let mut preferred = Vec::new();
        for _ in 0..8 {
            let (eligible, reserved) = admission.turn().await.reserve(&Endpoint::ALL.into());
            preferred.extend(eligible.kinds.first().copied());
            drop(reserved.take(&lease("a", SyncKind::Delta)));
        }
        let (delta, full) = (SyncKind::Delta, SyncKind::Full);
        assert_eq!(preferred, [delta, delta, delta, full, delta, delta, delta, full]);
    }

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
