//! The budget of requests to Kombo: learnt from its answers or configured, and spent on deltas first.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kombo_client::{Outcome, Pacer, ResponseEvent};
use sync_core::types::SyncKind;
use tokio::time::Instant;

tokio::task_local! {
    /// What the current task fetches: deltas may spend what full fetches must leave.
    pub(super) static FETCHING: SyncKind;
}

/// Of the budget that Kombo tells of, so much is left to deltas.
const RESERVE_FOR_DELTAS: u64 = 10;

/// Lets requests through no faster than the budget allows.
#[derive(Debug)]
pub(crate) struct Pace {
    configured: u32,
    budget: Mutex<Budget>,
}

#[derive(Debug, Default)]
struct Budget {
    /// When the next request may go, if the pace is known.
    next: Option<Instant>,
    /// Requests a minute, as Kombo tells.
    limit: Option<u64>,
    /// Nothing is left until then.
    exhausted_until: Option<Instant>,
    /// Little is left until then: for deltas.
    scarce_until: Option<Instant>,
}

impl Pace {
    /// `configured` requests a minute; zero to go by what Kombo tells.
    pub(super) fn new(configured: u32) -> Self {
        Self { configured, budget: Mutex::default() }
    }

    /// Takes note of what Kombo says of the budget.
    pub(super) fn learn(&self, event: &ResponseEvent) {
        let now = Instant::now();
        let told = &event.rate_limit;
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        budget.limit = told.limit.or(budget.limit);
        let reset = told.reset.or(event.retry_after).unwrap_or(Duration::from_secs(1));
        let refused = matches!(event.outcome, Outcome::Status(429));
        match told.remaining {
            _ if refused => budget.exhausted_until = Some(now + reset),
            Some(0) => budget.exhausted_until = Some(now + reset),
            Some(left) if left.saturating_mul(RESERVE_FOR_DELTAS) <= budget.limit.unwrap_or(0) => {
                budget.scarce_until = Some(now + reset);
            }
            Some(_) => {
                budget.exhausted_until = None;
                budget.scarce_until = None;
            }
            None => {}
        }
    }

    /// Takes the next place in the row, or says how long to wait before asking again.
    fn take(&self, kind: SyncKind, now: Instant) -> Result<(), Instant> {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        let scarce = budget.scarce_until.filter(|_| kind == SyncKind::Full);
        if let Some(until) = budget.exhausted_until.max(scarce).filter(|until| *until > now) {
            return Err(until);
        }
        if self.configured > 0 {
            let between = Duration::from_secs(60) / self.configured;
            if let Some(next) = budget.next.filter(|next| *next > now) {
                return Err(next);
            }
            budget.next = Some(now.max(budget.next.unwrap_or(now)) + between);
        }
        Ok(())
    }
}

impl Pacer for Pace {
    fn acquire(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let kind = FETCHING.try_with(|kind| *kind).unwrap_or(SyncKind::Delta);
            while let Err(until) = self.take(kind, Instant::now()) {
                tokio::time::sleep_until(until).await;
            }
        })
    }
}
