//! Chooses page sizes: the requested size, or less if pages are too heavy.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kombo_model::{Endpoint, IntegrationId};

use crate::{Error, ErrorKind, PageSize, TransportFault};

/// Whether an error shows that a page is too heavy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// The page is too heavy.
    TooHeavy,
    /// The page may be too heavy, or Kombo may be down. A page of one record shows which.
    Suspected,
    /// The error says nothing about it.
    Unknown,
}

pub(super) fn weight(error: &Error) -> Weight {
    match error {
        // With fewer records that are not JSON, more of them can be read.
        Error::BodyTooLarge { .. } | Error::NotJson { in_records: true, .. } => Weight::TooHeavy,
        Error::Api { status: 413, .. } | Error::Foreign { status: 413, .. }
            if error.kind() == ErrorKind::InputInvalid =>
        {
            Weight::TooHeavy
        }
        Error::Transport {
            fault: TransportFault::Timeout | TransportFault::Dropped | TransportFault::Incomplete,
            ..
        } => Weight::Suspected,
        Error::Api { .. } | Error::Foreign { .. } if error.kind() == ErrorKind::Unavailable => Weight::Suspected,
        Error::Api { .. }
        | Error::Foreign { .. }
        | Error::Redirect { .. }
        | Error::Transport { .. }
        | Error::Decode { .. }
        | Error::NotJson { .. }
        | Error::TooManyRecords { .. }
        | Error::RepeatedCursor { .. }
        | Error::InvalidRequest { .. } => Weight::Unknown,
    }
}

/// The endpoints that allow less than the requested page size, and the size they allow. Shared by all listings of a
/// client.
#[derive(Debug, Default)]
pub(crate) struct Sizes(Mutex<HashMap<(IntegrationId, Endpoint), Reduced>>);

#[derive(Debug)]
struct Reduced {
    size: PageSize,
    /// The largest size that succeeded since no smaller one was too heavy.
    good: Option<PageSize>,
    /// Number of pages that succeeded since the size was set.
    succeeded: u32,
    /// Up to this size, each page may be larger than the one before.
    fast_until: PageSize,
    /// Above it, the number of pages before twice the size is tried. Grows each time that turns out too heavy.
    patience: u32,
    suspicion: Suspicion,
}

/// Progress in finding out whether a page was too heavy or Kombo was briefly down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suspicion {
    /// No open question.
    None,
    /// Pages of this size failed, and a page of one record is being tried.
    Of(PageSize),
    /// A page of one record succeeded, and the size is tried once more. If it succeeds too, the weight was not the
    /// cause.
    Checked,
}

impl Reduced {
    const LEAST_PATIENCE: u32 = 8;
    const MOST_PATIENCE: u32 = 512;

    fn new(size: PageSize) -> Self {
        let (fast_until, patience) = (size, Self::LEAST_PATIENCE);
        Self { size, good: None, succeeded: 0, fast_until, patience, suspicion: Suspicion::None }
    }

    fn reduce(&mut self, to: PageSize, weight: Weight) {
        let half = PageSize::new(self.size.get() / 2).unwrap_or(PageSize::MIN);
        if self.suspicion == Suspicion::Checked {
            // The weight is the cause: try more than one record, and grow quickly.
            let good = self.good;
            *self = Self { good, fast_until: half, ..Self::new(self.size) };
            self.size = larger(to, FAST).min(half);
            return;
        }
        let is_good = self.good == Some(to);
        if is_good {
            self.patience = (self.patience * 2).min(Self::MOST_PATIENCE);
        }
        *self = Self {
            size: to,
            good: self.good.filter(|_| is_good),
            succeeded: 0,
            fast_until: if is_good { to } else { half },
            patience: self.patience,
            suspicion: if weight == Weight::Suspected && !is_good { Suspicion::Of(self.size) } else { Suspicion::None },
        };
    }

    /// Records that a page succeeded. Returns false if pages need not be smaller any more.
    fn succeeded(&mut self, wanted: PageSize) -> bool {
        match self.suspicion {
            Suspicion::None => {}
            Suspicion::Of(size) => {
                self.good = Some(self.size);
                (self.size, self.suspicion) = (size, Suspicion::Checked);
                return true;
            }
            Suspicion::Checked => return false,
        }
        self.good = Some(self.size);
        self.succeeded = self.succeeded.saturating_add(1);
        let is_fast = self.size < self.fast_until;
        if !is_fast && self.succeeded < self.patience {
            return true;
        }
        let (factor, most) = if is_fast { (FAST, self.fast_until.min(wanted)) } else { (2, wanted) };
        self.size = larger(self.size, factor).min(most).max(self.size);
        self.succeeded = 0;
        true
    }
}

/// Growth factor of the page size during quick growth.
const FAST: u16 = 4;

fn larger(size: PageSize, factor: u16) -> PageSize {
    PageSize::new(size.get().saturating_mul(factor)).unwrap_or(PageSize::MAX)
}

impl Sizes {
    /// Returns the page size that this endpoint allows, if it is reduced.
    pub(super) fn get(&self, integration: &IntegrationId, endpoint: Endpoint) -> Option<PageSize> {
        self.lock().get(&(integration.clone(), endpoint)).map(|reduced| reduced.size)
    }

    /// Whether a smaller page succeeded, but none of this size.
    pub(super) fn is_trial(&self, integration: &IntegrationId, endpoint: Endpoint, size: PageSize) -> bool {
        let known = self.lock();
        known.get(&(integration.clone(), endpoint)).and_then(|known| known.good).is_some_and(|good| good < size)
    }

    /// Records that a page of this size was too heavy. Returns the size to try next, or `None` if the page had one
    /// record. The next size is the one that succeeded before; otherwise half of this size, or one record if the weight
    /// is only suspected. If one record fails too, the weight was not the cause.
    pub(super) fn reduce(
        &self,
        integration: &IntegrationId,
        endpoint: Endpoint,
        size: PageSize,
        weight: Weight,
    ) -> Option<PageSize> {
        let half = PageSize::new(size.get() / 2)?;
        let mut known = self.lock();
        let reduced = known.entry((integration.clone(), endpoint)).or_insert(Reduced::new(size));
        // Otherwise another listing has already reduced it.
        if reduced.size >= size {
            reduced.size = size;
            let good = reduced.good.filter(|good| *good < size);
            reduced.reduce(good.unwrap_or(if weight == Weight::Suspected { PageSize::MIN } else { half }), weight);
        }
        Some(reduced.size)
    }

    /// Records that a page of this size succeeded.
    pub(super) fn succeeded(&self, integration: &IntegrationId, endpoint: Endpoint, size: PageSize, wanted: PageSize) {
        let mut known = self.lock();
        let key = (integration.clone(), endpoint);
        let reduced = known.get_mut(&key).filter(|reduced| reduced.size == size);
        if reduced.is_some_and(|reduced| !reduced.succeeded(wanted)) {
            known.remove(&key);
        }
    }

    /// Drops the reduction, because the weight was not the cause.
    pub(super) fn forget(&self, integration: &IntegrationId, endpoint: Endpoint) {
        self.lock().remove(&(integration.clone(), endpoint));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(IntegrationId, Endpoint), Reduced>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
