//! The pace of requests to Kombo: learnt from its answers or configured, and spent on deltas first.
//!
//! Both are kept in one row of the database ([`pacing`]), so that all replicas together keep them: of what Kombo says
//! is left, each takes a part at a time; when nothing is known, at the start and after each renewal, one request of one
//! replica goes ahead to find out.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use kombo_client::{Outcome, Pacer, RateLimit, ResponseEvent};
use kombo_model::{ErrorCode, Timestamp};
use store_diesel::DieselStore;
use sync_core::jobs::SyncKind;
use sync_core::ports::{Clock as _, Scope, Store as _, StoreError};
use sync_core::ratelimit::{self, Allotment, Budget, Told};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock::SystemClock;
use crate::output;
use waits::Waits;

mod waits;

tokio::task_local! {
    /// What the current task fetches: deltas may spend what full fetches must leave.
    pub(crate) static FETCHING: SyncKind;
}

/// Whole seconds are told until the budget is renewed: it may be almost one more.
const RESET_SLACK: Duration = Duration::from_millis(250);
/// Between two looks whether another replica has found out what is left.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// For how long places are taken at a time: fewer would cost a transaction for each, more would be lost in a pause.
const PLACES_FOR: Duration = Duration::from_millis(250);

/// Lets requests through no faster than the budget allows.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Requests a minute; zero to go by what Kombo tells.
    per_minute: AtomicU32,
    purse: Mutex<Purse>,
    /// Told when an answer came or a delta went.
    changed: Notify,
    deltas_waiting: AtomicUsize,
    /// Held while more is asked for, so that one asks for all.
    asking: tokio::sync::Mutex<()>,
    places: tokio::sync::Mutex<VecDeque<Instant>>,
    store: OnceLock<Arc<DieselStore>>,
    /// The database could not be asked the last time.
    alone: AtomicBool,
    waits: Waits,
}

/// What this process may spend of Kombo's own limit.
#[derive(Debug, Default)]
struct Purse {
    /// Kombo tells of no limit.
    unlimited: bool,
    /// Kombo has told of a limit.
    limited: bool,
    /// So many requests may be sent until then.
    allotted: Option<(u64, Timestamp)>,
    /// Requests that were let through and not answered yet.
    in_flight: u64,
    /// What Kombo said last, until it is passed on.
    told: Option<Told>,
    /// Others wait for the answer to a request of this process.
    probing: bool,
    /// What is known while there is no database to share it through.
    alone: Budget,
}

/// Why a request has to wait.
#[derive(Debug, PartialEq, Eq)]
enum Wait {
    /// For deltas to go first, or for an answer that tells what is left.
    Turn,
    /// For the budget to be renewed.
    Until(Timestamp),
}

impl Purse {
    /// Lets a request through if something is left.
    fn spend(&mut self, now: Timestamp) -> bool {
        let left = match &mut self.allotted {
            _ if self.unlimited => true,
            Some((left, until)) if *until > now && *left > 0 => {
                *left -= 1;
                true
            }
            Some(_) | None => false,
        };
        self.in_flight += u64::from(left);
        left
    }

    /// Takes what was allotted; lets the request through that finds out what is left.
    fn receive(&mut self, allotment: Allotment) -> Result<bool, Wait> {
        match allotment {
            Allotment::Requests(count, until) => self.allotted = Some((count, until)),
            Allotment::Probe => {
                self.in_flight += 1;
                self.probing = true;
                return Ok(true);
            }
            Allotment::Turn => return Err(Wait::Turn),
            Allotment::Wait(until) => return Err(Wait::Until(until)),
        }
        Ok(false)
    }

    /// Takes note of an answer. Whether others wait for it.
    fn learn(
        &mut self,
        status: u16,
        code: Option<&ErrorCode>,
        said: &RateLimit,
        retry_after: Option<Duration>,
        now: Timestamp,
    ) -> bool {
        self.in_flight = self.in_flight.saturating_sub(1);
        // Only the key's own limit concerns all requests. A connected tool has limits too, and so have gateways: they hold
        // up one integration, which waits by itself.
        let is_of_key = match said.remaining {
            Some(left) => left == 0,
            None => code == Some(&ErrorCode::PlatformRateLimitExceeded),
        };
        let refused = status == 429 && is_of_key;
        if let Some(left) = if refused { Some(0) } else { said.remaining } {
            let waiting = self.allotted.filter(|(_, until)| *until > now).map_or(0, |(left, _)| left);
            let renewal = said.reset.or(retry_after).unwrap_or(Duration::from_secs(1)) + RESET_SLACK;
            self.told = Some(Told::Left {
                limit: said.limit.unwrap_or(0),
                left,
                uncounted: self.in_flight + waiting,
                renewed_at: now.saturating_add(renewal),
            });
            (self.unlimited, self.limited) = (false, true);
            if left == 0 {
                // Whatever was allotted: others use the key too.
                self.allotted = None;
            }
        } else {
            // Something between Kombo and us may have answered: only an answer that is Kombo's tells of no limit.
            if (200..300).contains(&status) {
                self.unlimited = !self.limited;
            }
            if self.probing {
                self.told = Some(Told::Nothing);
            }
        }
        std::mem::take(&mut self.probing)
    }

    /// There was no answer. Whether others wait for it.
    fn miss(&mut self) -> bool {
        self.forget_one();
        if self.probing {
            self.told = Some(Told::Nothing);
        }
        std::mem::take(&mut self.probing)
    }

    /// An attempt was given up.
    fn forget_one(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }
}

impl Pace {
    /// `per_minute` requests a minute; zero to go by what Kombo tells.
    pub(crate) fn new(per_minute: u32) -> Self {
        Self {
            per_minute: AtomicU32::new(per_minute),
            purse: Mutex::default(),
            changed: Notify::new(),
            deltas_waiting: AtomicUsize::new(0),
            asking: tokio::sync::Mutex::default(),
            places: tokio::sync::Mutex::default(),
            store: OnceLock::new(),
            alone: AtomicBool::new(false),
            waits: Waits::default(),
        }
    }

    /// Keeps the pace together with every replica on this store.
    pub(crate) fn share(&self, store: &Arc<DieselStore>) {
        // Set once, at the end of the start.
        self.store.get_or_init(|| Arc::clone(store));
    }

    /// Changes the configured pace.
    pub(crate) fn set_per_minute(&self, per_minute: u32) {
        self.per_minute.store(per_minute, Ordering::SeqCst);
    }

    /// Takes note of what Kombo says of the budget.
    pub(crate) fn learn(self: &Arc<Self>, event: &ResponseEvent) {
        if let Some(wait) = event.pause.max(event.retry_after) {
            let now = SystemClock.now();
            self.waits.mention("waiting before the request to Kombo is sent again", now.saturating_add(wait), now);
        }
        let waited_for = match event.outcome {
            Outcome::Status(status) => {
                let (code, said) = (event.code.as_ref(), &event.rate_limit);
                self.purse().learn(status, code, said, event.retry_after, SystemClock.now())
            }
            Outcome::Fault(_) => self.purse().miss(),
        };
        if waited_for {
            let pace = Arc::clone(self);
            tokio::spawn(async move { pace.tell().await });
        } else {
            self.changed.notify_waiters();
        }
    }

    /// Leaves to others what this process will not send any more. Without, it would be theirs again with the renewal.
    pub(crate) async fn give_back(&self) {
        let allotted = self.purse().allotted.take();
        if let (Some((left, until)), Some(store)) = (allotted, self.store.get())
            && let Err(error) = store.transact(Scope::Shared, move |tx| ratelimit::give_back(tx, left, until)).await
        {
            tracing::debug!(error = output::chain(&error), "what is left could not be given back");
        }
    }

    fn purse(&self) -> MutexGuard<'_, Purse> {
        self.purse.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes on what Kombo said.
    async fn tell(&self) {
        let (told, now) = (self.purse().told.take(), SystemClock.now());
        if let Some(told) = told {
            let shared = if let Some(store) = self.store.get() {
                store.transact(Scope::Shared, move |tx| ratelimit::learn(tx, told, now)).await
            } else {
                self.purse().alone.learn(told, now);
                Ok(())
            };
            if let Err(error) = shared {
                tracing::debug!(error = output::chain(&error), "what is left could not be told to others");
            }
        }
        self.changed.notify_waiters();
    }

    /// Lets a request through, or says what it has to wait for.
    async fn take(&self, kind: SyncKind) -> Result<(), Wait> {
        loop {
            if kind == SyncKind::Full && self.deltas_waiting.load(Ordering::SeqCst) > 0 {
                return Err(Wait::Turn);
            }
            if self.purse().spend(SystemClock.now()) {
                return Ok(());
            }
            let asking = self.asking.lock().await;
            // Whoever asked before may have got enough for all.
            if self.purse().spend(SystemClock.now()) {
                return Ok(());
            }
            let allotment = self.allot(kind).await;
            let through = self.purse().receive(allotment)?;
            drop(asking);
            if through {
                return Ok(());
            }
        }
    }

    /// Asks for a part of what is left.
    async fn allot(&self, kind: SyncKind) -> Allotment {
        let (told, now) = (self.purse().told.take(), SystemClock.now());
        if let Some(store) = self.store.get() {
            let allotted = store.transact(Scope::Shared, move |tx| ratelimit::allot(tx, kind, told, now)).await;
            if let Some(allotment) = self.shared(allotted) {
                return allotment;
            }
        }
        let mut purse = self.purse();
        if let Some(told) = told {
            purse.alone.learn(told, now);
        }
        purse.alone.allot(kind, now)
    }

    /// What the database said, if it did. Says once that it cannot be asked, and once that it can again: it is asked
    /// several times a second.
    fn shared<T>(&self, said: Result<T, StoreError>) -> Option<T> {
        let was_alone = self.alone.swap(said.is_err(), Ordering::SeqCst);
        match &said {
            Ok(_) if was_alone => tracing::info!("the pace is kept together with other replicas again"),
            Err(error) if !was_alone => {
                tracing::warn!(error = output::chain(error), "the database does not tell the pace: kept alone");
            }
            Ok(_) | Err(_) => {}
        }
        said.ok()
    }

    /// Waits for a place in the row that all replicas share.
    async fn place(&self) {
        let per_minute = self.per_minute.load(Ordering::SeqCst);
        if per_minute == 0 {
            return;
        }
        let mut places = self.places.lock().await;
        if places.is_empty() {
            *places = self.reserve(per_minute).await;
        }
        let place = places.pop_front().unwrap_or_else(Instant::now);
        drop(places);
        let (now, wait) = (SystemClock.now(), place.saturating_duration_since(Instant::now()));
        self.waits.mention("kombo.max_requests_per_minute lets the next request wait", now.saturating_add(wait), now);
        tokio::time::sleep_until(place).await;
    }

    /// Takes some places.
    async fn reserve(&self, per_minute: u32) -> VecDeque<Instant> {
        let interval = Duration::from_secs(60) / per_minute.max(1);
        let count = u32::try_from(PLACES_FOR.as_millis() / interval.as_millis().max(1)).unwrap_or(1).max(1);
        let (now, here) = (SystemClock.now(), Instant::now());
        let reserved = match self.store.get() {
            Some(store) => {
                self.shared(store.transact(Scope::Shared, move |tx| ratelimit::reserve(tx, count, interval, now)).await)
            }
            None => None,
        };
        // Without the database the pace is kept alone: slower is safe, faster is not.
        let first = reserved.map_or(here + interval * count, |first| here + first.since(now));
        (0..count).map(|place| first + interval * place).collect()
    }
}

/// Counts a delta that waits, as long as it does.
struct Waiting<'a>(Option<&'a Pace>);

impl<'a> Waiting<'a> {
    fn new(pace: &'a Pace, kind: SyncKind) -> Self {
        let counted = (kind == SyncKind::Delta).then_some(pace);
        if let Some(pace) = counted {
            pace.deltas_waiting.fetch_add(1, Ordering::SeqCst);
        }
        Self(counted)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(pace) = self.0 {
            pace.deltas_waiting.fetch_sub(1, Ordering::SeqCst);
            pace.changed.notify_waiters();
        }
    }
}

impl Pacer for Pace {
    fn acquire(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let kind = FETCHING.try_with(|kind| *kind).unwrap_or(SyncKind::Delta);
            let waiting = Waiting::new(self, kind);
            loop {
                // Enabled before the look, so that nothing told in between is missed.
                let mut changed = std::pin::pin!(self.changed.notified());
                changed.as_mut().enable();
                let wait = match self.take(kind).await {
                    Ok(()) => break,
                    Err(Wait::Turn) => LOOK_AGAIN,
                    Err(Wait::Until(renewed_at)) => {
                        let now = SystemClock.now();
                        self.waits.mention(
                            "Kombo's rate limit is used up: requests wait for its renewal",
                            renewed_at,
                            now,
                        );
                        renewed_at.since(now)
                    }
                };
                tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep(wait) => {}
                }
            }
            let mut let_through = LetThrough(Some(self));
            self.place().await;
            let_through.0 = None;
            drop(waiting);
        })
    }

    fn given_up(&self) {
        self.purse().forget_one();
        self.changed.notify_waiters();
    }
}

/// A request that was let through and is not sent yet: given up if it never is.
struct LetThrough<'a>(Option<&'a Pace>);

impl Drop for LetThrough<'_> {
    fn drop(&mut self) {
        if let Some(pace) = self.0 {
            pace.given_up();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_767_225_600_000 + seconds * 1_000).unwrap_or(Timestamp::MAX)
    }

    fn said(limit: u64, remaining: u64, reset: u64) -> RateLimit {
        RateLimit { limit: Some(limit), remaining: Some(remaining), reset: Some(Duration::from_secs(reset)) }
    }

    #[test]
    fn what_is_allotted_is_spent_until_its_time() {
        let mut purse = Purse::default();
        assert!(!purse.spend(at(0)));
        assert_eq!(purse.receive(Allotment::Requests(2, at(60))), Ok(false));
        assert!(purse.spend(at(0)) && !purse.spend(at(60)) && purse.spend(at(1)) && !purse.spend(at(1)));
        assert_eq!(purse.in_flight, 2);
        assert_eq!(purse.receive(Allotment::Turn), Err(Wait::Turn));
        assert_eq!(purse.receive(Allotment::Wait(at(60))), Err(Wait::Until(at(60))));
    }

    #[test]
    fn an_answer_is_passed_on_with_what_it_does_not_count() {
        let mut purse = Purse::default();
        assert_eq!(purse.receive(Allotment::Probe), Ok(true));
        assert!(purse.learn(200, None, &said(300, 299, 60), None, at(0)), "others wait for it");
        let renewed_at = at(60).saturating_add(RESET_SLACK);
        assert_eq!(purse.told, Some(Told::Left { limit: 300, left: 299, uncounted: 0, renewed_at }));
        assert_eq!(purse.receive(Allotment::Requests(15, at(60))), Ok(false));
        assert!(purse.spend(at(0)) && purse.spend(at(0)));
        assert!(!purse.learn(200, None, &said(300, 298, 60), None, at(0)));
        assert_eq!(purse.told, Some(Told::Left { limit: 300, left: 298, uncounted: 14, renewed_at }));
    }

    #[test]
    fn a_probe_without_an_answer_leaves_its_place() {
        let mut purse = Purse::default();
        assert_eq!(purse.receive(Allotment::Probe), Ok(true));
        assert!(purse.miss());
        assert_eq!((purse.told, purse.in_flight), (Some(Told::Nothing), 0));
    }

    #[test]
    fn the_limit_of_one_tool_stops_nobody_else() {
        let mut purse = Purse::default();
        purse.receive(Allotment::Requests(15, at(60))).unwrap_or_default();
        purse.learn(
            429,
            Some(&ErrorCode::RemoteRateLimitExceeded),
            &said(300, 299, 60),
            Some(Duration::from_secs(1)),
            at(0),
        );
        assert!(purse.spend(at(0)));
        purse.learn(429, None, &said(300, 0, 60), None, at(0));
        assert!(!purse.spend(at(0)));
    }

    #[test]
    fn without_headers_there_is_no_limit_until_kombo_refuses() {
        let (mut purse, nothing) = (Purse::default(), RateLimit::default());
        purse.learn(502, None, &nothing, None, at(0));
        assert!(!purse.spend(at(0)), "that may have been said by something in between");
        purse.learn(200, None, &nothing, None, at(0));
        assert!(purse.spend(at(0)));
        let wait = Some(Duration::from_secs(3));
        for code in [None, Some(&ErrorCode::RemoteRateLimitExceeded)] {
            purse.learn(429, code, &nothing, wait, at(0));
            assert!(purse.spend(at(0)), "{code:?} says nothing of the key");
            purse.learn(200, None, &nothing, None, at(0));
        }
        purse.learn(429, Some(&ErrorCode::PlatformRateLimitExceeded), &nothing, wait, at(0));
        assert!(!purse.spend(at(0)));
        let renewed_at = at(3).saturating_add(RESET_SLACK);
        assert_eq!(purse.told, Some(Told::Left { limit: 0, left: 0, uncounted: 0, renewed_at }));
        purse.learn(200, None, &nothing, None, at(9));
        assert!(!purse.spend(at(9)), "there is one");
    }
}
