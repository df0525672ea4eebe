//! Delays requests to stay within Kombo's own limit and a configured pace. Requests of deltas go first.
//!
//! The state of both is one row of the store ([`ratelimit`]), so that all processes together stay within them. Each
//! process takes a part of Kombo's limit at a time. When the remainder is unknown, at the start and after each renewal,
//! a single request of one process determines it.

mod local_budget;
mod long_waits;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use kombo_model::{ErrorCode, Timestamp};
use sync_core::jobs::SyncKind;
use sync_core::ports::{Clock, Scope, Store, StoreError};
use sync_core::ratelimit::{self, Allotment};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::observer::{Notice, RuntimeObserver, WaitReason};
use local_budget::{Allotted, LocalBudget, Wait};
use long_waits::LongWaits;

/// The time between two checks whether another process has determined the remainder.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Period for which slots are reserved at a time. A shorter one would need a transaction for each slot. With a longer
/// one, a pause would waste more slots.
const SLOTS_FOR: Duration = Duration::from_millis(250);

/// The content of an answer of Kombo about the rate limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Kombo's error code.
    pub code: Option<ErrorCode>,
    /// Number of requests that the key may send in a period.
    pub limit: Option<u64>,
    /// Number of remaining requests.
    pub remaining: Option<u64>,
    /// Time until the next period.
    pub reset: Option<Duration>,
    /// The requested wait.
    pub retry_after: Option<Duration>,
}

impl Answer {
    /// Whether the key's own limit is exceeded. Only that limit concerns all requests. The limits of connected tools
    /// and gateways delay a single integration.
    fn exceeds_limit_of_key(&self) -> bool {
        let is_of_key = match self.remaining {
            Some(left) => left == 0,
            None => self.code == Some(ErrorCode::PlatformRateLimitExceeded),
        };
        self.status == 429 && is_of_key
    }
}

/// Delays requests to stay within the rate limits.
#[derive(Debug)]
pub struct RateLimiter<S, C, O> {
    clock: C,
    observer: O,
    /// Requests a minute; zero to apply only Kombo's own limit.
    per_minute: AtomicU32,
    budget: Mutex<LocalBudget>,
    /// Notified when an answer arrived or a delta was let through.
    changed: Notify,
    deltas_waiting: AtomicUsize,
    /// Locked while a part of the budget is requested, so that one request serves all.
    asking: tokio::sync::Mutex<()>,
    slots: tokio::sync::Mutex<VecDeque<Instant>>,
    store: OnceLock<Arc<S>>,
    /// Whether the latest operation on the store failed.
    alone: AtomicBool,
    long_waits: LongWaits,
}

impl<S: Store, C: Clock, O: RuntimeObserver> RateLimiter<S, C, O> {
    /// Creates a limiter of `per_minute` requests a minute; with zero, only Kombo's own limit applies.
    pub fn new(per_minute: u32, clock: C, observer: O) -> Self {
        Self {
            clock,
            observer,
            per_minute: AtomicU32::new(per_minute),
            budget: Mutex::default(),
            changed: Notify::new(),
            deltas_waiting: AtomicUsize::new(0),
            asking: tokio::sync::Mutex::default(),
            slots: tokio::sync::Mutex::default(),
            store: OnceLock::new(),
            alone: AtomicBool::new(false),
            long_waits: LongWaits::default(),
        }
    }

    /// Shares the limit with all processes on this store. Only the first call has an effect.
    pub fn share(&self, store: &Arc<S>) {
        self.store.get_or_init(|| Arc::clone(store));
    }

    /// Changes the configured pace.
    pub fn set_per_minute(&self, per_minute: u32) {
        self.per_minute.store(per_minute, Ordering::SeqCst);
    }

    /// Applies the answer to a request that was let through; `None` if there was no answer. `pause` is the time until
    /// the request is sent again, if it is.
    pub fn learn(self: &Arc<Self>, answer: Option<&Answer>, pause: Option<Duration>) {
        let now = self.clock.now();
        if let Some(wait) = pause.max(answer.and_then(|answer| answer.retry_after)) {
            self.report_wait(WaitReason::Again, now.saturating_add(wait), now);
        }
        let awaited = match answer {
            Some(answer) => self.budget().learn(answer, now),
            None => self.budget().miss(),
        };
        if awaited {
            let limiter = Arc::clone(self);
            tokio::spawn(async move { limiter.pass_on().await });
        } else {
            self.changed.notify_waiters();
        }
    }

    /// Forgets a request that was let through: it is not sent, or its answer is not awaited.
    pub fn forget(&self) {
        self.budget().forget_one();
        self.changed.notify_waiters();
    }

    /// Waits until a request may be sent. Each request that was let through ends with [`RateLimiter::learn`] or
    /// [`RateLimiter::forget`]. Requests of deltas go first, and may use the part that full fetches must leave.
    pub async fn acquire(&self, priority: SyncKind) {
        let waiting = Waiting::new(self, priority);
        loop {
            // Enabled before the check, so that no notification in between is missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let wait = match self.take(priority).await {
                Ok(()) => break,
                Err(Wait::Turn) => LOOK_AGAIN,
                Err(Wait::Until(renewed_at)) => {
                    let now = self.clock.now();
                    self.report_wait(WaitReason::UsedUp, renewed_at, now);
                    renewed_at.since(now)
                }
            };
            tokio::select! {
                biased;
                () = changed => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        let mut let_through = LetThrough(Some(self));
        self.slot().await;
        let_through.0 = None;
        drop(waiting);
    }

    /// Returns the unused part of this process's budget. Otherwise, other processes would have to wait for the next
    /// renewal.
    pub async fn give_back(&self) {
        let allotted = self.budget().allotted.take();
        if let (Some(Allotted { count, until, .. }), Some(store)) = (allotted, self.store.get())
            && let Err(error) = store.transact(Scope::Shared, move |tx| ratelimit::give_back(tx, count, until)).await
        {
            self.observer.notice(Notice::LimitNotShared { error: &error });
        }
    }

    fn budget(&self) -> MutexGuard<'_, LocalBudget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report_wait(&self, reason: WaitReason, until: Timestamp, now: Timestamp) {
        if self.long_waits.is_new(until, now) {
            self.observer.notice(Notice::LongWait { reason, until, wait: until.since(now) });
        }
    }

    /// Stores the latest observation.
    async fn pass_on(&self) {
        let (observed, now) = (self.budget().observed.take(), self.clock.now());
        if let Some(observed) = observed {
            let shared = if let Some(store) = self.store.get() {
                store.transact(Scope::Shared, move |tx| ratelimit::learn(tx, observed, now)).await
            } else {
                self.budget().alone.learn(observed, now);
                Ok(())
            };
            if let Err(error) = shared {
                self.observer.notice(Notice::LimitNotShared { error: &error });
            }
        }
        self.changed.notify_waiters();
    }

    /// Lets a request through, or returns the reason to wait.
    async fn take(&self, priority: SyncKind) -> Result<(), Wait> {
        loop {
            if priority == SyncKind::Full && self.deltas_waiting.load(Ordering::SeqCst) > 0 {
                return Err(Wait::Turn);
            }
            if self.budget().spend(priority, self.clock.now()) {
                return Ok(());
            }
            let asking = self.asking.lock().await;
            // An earlier request may have taken enough for all.
            if self.budget().spend(priority, self.clock.now()) {
                return Ok(());
            }
            let allotment = self.allot(priority).await;
            let through = self.budget().receive(allotment)?;
            drop(asking);
            if through {
                return Ok(());
            }
        }
    }

    /// Requests a part of the budget.
    async fn allot(&self, priority: SyncKind) -> Allotment {
        let (observed, now) = (self.budget().observed.take(), self.clock.now());
        if let Some(store) = self.store.get() {
            let allotted = store.transact(Scope::Shared, move |tx| ratelimit::allot(tx, priority, observed, now)).await;
            if let Some(allotment) = self.shared(allotted) {
                return allotment;
            }
        }
        let mut budget = self.budget();
        if let Some(observed) = observed {
            budget.alone.learn(observed, now);
        }
        budget.alone.allot(priority, now)
    }

    /// Returns the store's result, if it did not fail. Reports once that the store fails, and once that it works again,
    /// because it is queried several times a second.
    fn shared<T>(&self, result: Result<T, StoreError>) -> Option<T> {
        let was_alone = self.alone.swap(result.is_err(), Ordering::SeqCst);
        match &result {
            Ok(_) if was_alone => self.observer.notice(Notice::LimitedTogether),
            Err(error) if !was_alone => self.observer.notice(Notice::LimitedAlone { error }),
            Ok(_) | Err(_) => {}
        }
        result.ok()
    }

    /// Waits for a slot of the configured pace, which all processes share.
    async fn slot(&self) {
        let per_minute = self.per_minute.load(Ordering::SeqCst);
        if per_minute == 0 {
            return;
        }
        let mut slots = self.slots.lock().await;
        if slots.is_empty() {
            *slots = self.reserve(per_minute).await;
        }
        let slot = slots.pop_front().unwrap_or_else(Instant::now);
        drop(slots);
        let (now, wait) = (self.clock.now(), slot.saturating_duration_since(Instant::now()));
        self.report_wait(WaitReason::Pace, now.saturating_add(wait), now);
        tokio::time::sleep_until(slot).await;
    }

    /// Reserves the next slots.
    async fn reserve(&self, per_minute: u32) -> VecDeque<Instant> {
        let interval = Duration::from_secs(60) / per_minute.max(1);
        let count = u32::try_from(SLOTS_FOR.as_millis() / interval.as_millis().max(1)).unwrap_or(1).max(1);
        let (now, here) = (self.clock.now(), Instant::now());
        let reserved = match self.store.get() {
            Some(store) => {
                self.shared(store.transact(Scope::Shared, move |tx| ratelimit::reserve(tx, count, interval, now)).await)
            }
            None => None,
        };
        // Without the store, this process keeps the pace alone. Too slow is safe, too fast is not.
        let first = reserved.map_or(here + interval * count, |first| here + first.since(now));
        (0..count).map(|slot| first + interval * slot).collect()
    }
}

/// Counts a delta while it waits.
struct Waiting<'a, S: Store, C: Clock, O: RuntimeObserver>(Option<&'a RateLimiter<S, C, O>>);

impl<'a, S: Store, C: Clock, O: RuntimeObserver> Waiting<'a, S, C, O> {
    fn new(limiter: &'a RateLimiter<S, C, O>, priority: SyncKind) -> Self {
        let counted = (priority == SyncKind::Delta).then_some(limiter);
        if let Some(limiter) = counted {
            limiter.deltas_waiting.fetch_add(1, Ordering::SeqCst);
        }
        Self(counted)
    }
}

impl<S: Store, C: Clock, O: RuntimeObserver> Drop for Waiting<'_, S, C, O> {
    fn drop(&mut self) {
        if let Some(limiter) = self.0 {
            limiter.deltas_waiting.fetch_sub(1, Ordering::SeqCst);
            limiter.changed.notify_waiters();
        }
    }
}

/// A request that was let through but is not sent yet. It is forgotten when dropped.
struct LetThrough<'a, S: Store, C: Clock, O: RuntimeObserver>(Option<&'a RateLimiter<S, C, O>>);

impl<S: Store, C: Clock, O: RuntimeObserver> Drop for LetThrough<'_, S, C, O> {
    fn drop(&mut self) {
        if let Some(limiter) = self.0 {
            limiter.forget();
        }
    }
}
