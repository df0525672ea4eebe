//! The budget of requests to Kombo: learnt from its answers or configured, and spent on deltas first.
//!
//! A configured pace is a row of places in the database, so that all replicas together keep it. What Kombo tells of its
//! own limit needs no sharing: every answer tells what is left for all who use the key.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use kombo_client::{Outcome, Pacer, RateLimit, ResponseEvent};
use store_diesel::DieselStore;
use sync_core::pacing;
use sync_core::port::{Clock as _, Scope, Store as _};
use sync_core::types::SyncKind;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock::SystemClock;
use crate::output;

tokio::task_local! {
    /// What the current task fetches: deltas may spend what full fetches must leave.
    pub(crate) static FETCHING: SyncKind;
}

/// Full fetches leave this part of the limit to deltas: a fiftieth.
const RESERVED_PART: u64 = 50;
/// Whole seconds are told until the budget is renewed: it may be almost one more.
const RESET_SLACK: Duration = Duration::from_millis(250);
/// A request that is not answered by then was given up.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(120);
/// A look in between, should an answer never come.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// For how long places are taken at a time: fewer would cost a transaction for each, more would be lost in a pause.
const PLACES_FOR: Duration = Duration::from_millis(250);

/// Lets requests through no faster than the budget allows.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Requests a minute; zero to go by what Kombo tells.
    per_minute: u32,
    budget: Mutex<Budget>,
    /// Told when an answer came or a delta went.
    changed: Notify,
    deltas_waiting: AtomicUsize,
    places: tokio::sync::Mutex<VecDeque<Instant>>,
    store: OnceLock<Arc<DieselStore>>,
}

/// What is known of Kombo's own limit.
#[derive(Debug, Default)]
struct Budget {
    knowledge: Knowledge,
    /// Requests that were let through and not answered yet.
    in_flight: u64,
    /// When the last one was let through.
    asked_at: Option<Instant>,
}

#[derive(Debug, Default, Clone, Copy)]
enum Knowledge {
    /// Nothing: one request goes ahead to find out.
    #[default]
    None,
    /// Kombo tells of no limit.
    Unlimited,
    /// So many requests are left until then.
    Left { left: u64, limit: u64, renewed_at: Instant },
}

/// Why a request has to wait.
#[derive(Debug, PartialEq, Eq)]
enum Wait {
    /// For an answer that tells of the budget, or for deltas to go first.
    Turn,
    /// For the budget to be renewed.
    Until(Instant),
}

impl Budget {
    /// Takes note of an answer.
    fn learn(&mut self, told: &RateLimit, refused: bool, retry_after: Option<Duration>, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let renewed_at = now + told.reset.or(retry_after).unwrap_or(Duration::from_secs(1)) + RESET_SLACK;
        let limit = told.limit.unwrap_or(0);
        // With requests left it was another limit that was hit, such as that of one connected tool: no reason for the
        // others to wait.
        if refused && told.remaining.unwrap_or(0) == 0 {
            self.knowledge = Knowledge::Left { left: 0, limit, renewed_at };
        } else if let Some(left) = told.remaining {
            self.knowledge = Knowledge::Left { left, limit, renewed_at };
        } else if let Knowledge::None = self.knowledge {
            self.knowledge = Knowledge::Unlimited;
        }
    }

    /// An attempt that ended without an answer, or was given up.
    fn forget_one(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Lets a request through, or says what it has to wait for.
    fn take(&mut self, kind: SyncKind, now: Instant) -> Result<(), Wait> {
        if let Knowledge::Left { renewed_at, .. } = self.knowledge
            && renewed_at <= now
        {
            // Requests that were given up are never answered: they are forgotten with the old budget.
            *self = Self::default();
        }
        if let Knowledge::None = self.knowledge
            && self.asked_at.is_some_and(|asked| asked + GIVEN_UP_AFTER <= now)
        {
            *self = Self::default();
        }
        match self.knowledge {
            Knowledge::None if self.in_flight > 0 => return Err(Wait::Turn),
            Knowledge::None | Knowledge::Unlimited => {}
            Knowledge::Left { left, limit, renewed_at } => {
                // Answers tell what was left when they were given; what is under way may not be in it yet.
                let left = left.saturating_sub(self.in_flight);
                let reserved = match kind {
                    SyncKind::Delta => 0,
                    SyncKind::Full => limit / RESERVED_PART,
                };
                if left <= reserved {
                    return Err(if self.in_flight > 0 { Wait::Turn } else { Wait::Until(renewed_at) });
                }
            }
        }
        self.in_flight += 1;
        self.asked_at = Some(now);
        Ok(())
    }
}

impl Pace {
    /// `per_minute` requests a minute; zero to go by what Kombo tells.
    pub(crate) fn new(per_minute: u32) -> Self {
        Self {
            per_minute,
            budget: Mutex::default(),
            changed: Notify::new(),
            deltas_waiting: AtomicUsize::new(0),
            places: tokio::sync::Mutex::default(),
            store: OnceLock::new(),
        }
    }

    /// Keeps a configured pace together with every replica on this store.
    pub(crate) fn share(&self, store: &Arc<DieselStore>) {
        // Set once, at the end of the start.
        self.store.get_or_init(|| Arc::clone(store));
    }

    /// Takes note of what Kombo says of the budget.
    pub(crate) fn learn(&self, event: &ResponseEvent) {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        match event.outcome {
            Outcome::Status(status) => {
                budget.learn(&event.rate_limit, status == 429, event.retry_after, Instant::now());
            }
            Outcome::Fault(_) => budget.forget_one(),
        }
        drop(budget);
        self.changed.notify_waiters();
    }

    fn take(&self, kind: SyncKind) -> Result<(), Wait> {
        if kind == SyncKind::Full && self.deltas_waiting.load(Ordering::SeqCst) > 0 {
            return Err(Wait::Turn);
        }
        self.budget.lock().unwrap_or_else(PoisonError::into_inner).take(kind, Instant::now())
    }

    /// Waits for a place in the row that all replicas share.
    async fn place(&self) {
        if self.per_minute == 0 {
            return;
        }
        let mut places = self.places.lock().await;
        if places.is_empty() {
            *places = self.reserve().await;
        }
        let place = places.pop_front().unwrap_or_else(Instant::now);
        drop(places);
        tokio::time::sleep_until(place).await;
    }

    /// Takes some places.
    async fn reserve(&self) -> VecDeque<Instant> {
        let interval = Duration::from_secs(60) / self.per_minute.max(1);
        let count = u32::try_from(PLACES_FOR.as_millis() / interval.as_millis().max(1)).unwrap_or(1).max(1);
        let (now, here) = (SystemClock.now(), Instant::now());
        let reserved = match self.store.get() {
            Some(store) => store
                .transact(Scope::Shared, move |tx| pacing::reserve(tx, count, interval, now))
                .await
                .map_err(|error| {
                    tracing::warn!(error = output::chain(&error), "no place could be taken: pacing alone");
                }),
            None => Err(()),
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
                let wait = match self.take(kind) {
                    Ok(()) => break,
                    Err(Wait::Turn) => Instant::now() + LOOK_AGAIN,
                    Err(Wait::Until(renewed)) => renewed,
                };
                tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(wait) => {}
                }
            }
            let mut let_through = LetThrough(Some(self));
            self.place().await;
            let_through.0 = None;
            drop(waiting);
        })
    }

    fn given_up(&self) {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner).forget_one();
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

    fn told(limit: u64, remaining: u64, reset: u64) -> RateLimit {
        RateLimit { limit: Some(limit), remaining: Some(remaining), reset: Some(Duration::from_secs(reset)) }
    }

    #[test]
    fn one_request_finds_out_what_is_left() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        assert_eq!(budget.take(SyncKind::Full, now), Ok(()));
        assert_eq!(budget.take(SyncKind::Delta, now), Err(Wait::Turn));
        budget.learn(&told(300, 299, 60), false, None, now);
        assert_eq!(budget.take(SyncKind::Delta, now), Ok(()));
        assert_eq!(budget.take(SyncKind::Full, now), Ok(()));
    }

    #[test]
    fn no_more_is_sent_than_is_left_and_deltas_have_the_last_of_it() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        assert_eq!(budget.take(SyncKind::Full, now), Ok(()));
        budget.learn(&told(100, 4, 10), false, None, now);
        assert_eq!(budget.take(SyncKind::Full, now), Ok(()));
        assert_eq!(budget.take(SyncKind::Full, now), Ok(()));
        assert_eq!(budget.take(SyncKind::Full, now), Err(Wait::Turn), "the last fiftieth is for deltas");
        assert_eq!(budget.take(SyncKind::Delta, now), Ok(()));
        assert_eq!(budget.take(SyncKind::Delta, now), Ok(()));
        assert_eq!(budget.take(SyncKind::Delta, now), Err(Wait::Turn));
        for _ in 0..4 {
            budget.learn(&told(100, 0, 10), false, None, now);
        }
        let renewed = now + Duration::from_secs(10) + RESET_SLACK;
        assert_eq!(budget.take(SyncKind::Delta, now), Err(Wait::Until(renewed)));
        assert_eq!(budget.take(SyncKind::Delta, renewed), Ok(()), "one goes ahead");
        assert_eq!(budget.take(SyncKind::Delta, renewed), Err(Wait::Turn));
    }

    #[tokio::test]
    async fn one_that_is_given_up_keeps_nobody_waiting() {
        let pace = Pace::new(0);
        pace.acquire().await;
        assert_eq!(pace.take(SyncKind::Delta), Err(Wait::Turn), "the first one goes ahead");
        pace.given_up();
        assert_eq!(pace.take(SyncKind::Delta), Ok(()));
    }

    #[test]
    fn the_limit_of_one_tool_stops_nobody_else() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        assert_eq!(budget.take(SyncKind::Full, now), Ok(()));
        budget.learn(&told(300, 299, 60), true, Some(Duration::from_secs(1)), now);
        assert_eq!(budget.take(SyncKind::Full, now), Ok(()));
    }

    #[test]
    fn without_headers_there_is_no_limit_until_kombo_refuses() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        assert_eq!(budget.take(SyncKind::Full, now), Ok(()));
        let nothing = RateLimit::default();
        budget.learn(&nothing, false, None, now);
        for _ in 0..10 {
            assert_eq!(budget.take(SyncKind::Full, now), Ok(()));
        }
        for _ in 0..10 {
            budget.learn(&nothing, true, Some(Duration::from_secs(3)), now);
        }
        let renewed = now + Duration::from_secs(3) + RESET_SLACK;
        assert_eq!(budget.take(SyncKind::Delta, now), Err(Wait::Until(renewed)));
    }
}
