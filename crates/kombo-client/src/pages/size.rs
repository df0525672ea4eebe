//! How many records a page may have: as many as are wanted, and fewer where they are too heavy.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kombo_model::{Endpoint, IntegrationId};

use crate::{Error, ErrorKind, PageSize, TransportFault};

/// What an error says of the weight of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// The page is too heavy.
    TooHeavy,
    /// The page may be too heavy, or Kombo may be down. A page of one record tells which.
    Suspected,
    /// Nothing.
    Unknown,
}

pub(super) fn weight(error: &Error) -> Weight {
    match error {
        // Of a page with fewer records that are no JSON, more can be read.
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
        Error::Api { .. } | Error::Foreign { .. }
            if error.kind() == ErrorKind::Unavailable && error.retry_after().is_none() =>
        {
            Weight::Suspected
        }
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

/// The endpoints that take less than what is wanted, and what they take. The listings of a client share it.
#[derive(Debug, Default)]
pub(crate) struct Sizes(Mutex<HashMap<(IntegrationId, Endpoint), Reduced>>);

#[derive(Debug)]
struct Reduced {
    size: PageSize,
    /// The largest size at which a page was good since none smaller was too heavy.
    good: Option<PageSize>,
    /// Pages of this size since it was set.
    succeeded: u32,
    /// Up to this size, each page may be larger than the one before.
    fast_until: PageSize,
    /// Above, after how many pages twice the size is tried: the more, the more often that was too heavy.
    patience: u32,
}

impl Reduced {
    const LEAST_PATIENCE: u32 = 8;
    const MOST_PATIENCE: u32 = 512;

    fn new(size: PageSize) -> Self {
        Self { size, good: None, succeeded: 0, fast_until: size, patience: Self::LEAST_PATIENCE }
    }

    fn reduce(&mut self, to: PageSize) {
        let half = PageSize::new(self.size.get() / 2).unwrap_or(PageSize::MIN);
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
        };
    }

    fn succeeded(&mut self, wanted: PageSize) {
        self.good = Some(self.size);
        self.succeeded = self.succeeded.saturating_add(1);
        let is_fast = self.size < self.fast_until;
        if !is_fast && self.succeeded < self.patience {
            return;
        }
        let (factor, most) = if is_fast { (4, self.fast_until.min(wanted)) } else { (2, wanted) };
        let larger = PageSize::new(self.size.get().saturating_mul(factor)).unwrap_or(PageSize::MAX);
        self.size = larger.min(most).max(self.size);
        self.succeeded = 0;
    }
}

impl Sizes {
    /// How many records this endpoint takes, if that is less than any page may have.
    pub(super) fn get(&self, integration: &IntegrationId, endpoint: Endpoint) -> Option<PageSize> {
        self.lock().get(&(integration.clone(), endpoint)).map(|reduced| reduced.size)
    }

    /// Whether a smaller page was good, and none of this size.
    pub(super) fn is_trial(&self, integration: &IntegrationId, endpoint: Endpoint, size: PageSize) -> bool {
        let known = self.lock();
        known.get(&(integration.clone(), endpoint)).and_then(|known| known.good).is_some_and(|good| good < size)
    }

    /// A page of this size was too heavy: what to try in its place; `None` if it had one record. That is what was good
    /// before, or half of it, or one record if it is only suspected: if that is not good either, it was not the weight.
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
        // Otherwise another listing has found out already.
        if reduced.size >= size {
            reduced.size = size;
            let good = reduced.good.filter(|good| *good < size);
            reduced.reduce(good.unwrap_or(if weight == Weight::Suspected { PageSize::MIN } else { half }));
        }
        Some(reduced.size)
    }

    /// A page of this size was good.
    pub(super) fn succeeded(&self, integration: &IntegrationId, endpoint: Endpoint, size: PageSize, wanted: PageSize) {
        let mut known = self.lock();
        if let Some(reduced) = known.get_mut(&(integration.clone(), endpoint)).filter(|reduced| reduced.size == size) {
            reduced.succeeded(wanted);
        }
    }

    /// It was not the weight.
    pub(super) fn forget(&self, integration: &IntegrationId, endpoint: Endpoint) {
        self.lock().remove(&(integration.clone(), endpoint));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(IntegrationId, Endpoint), Reduced>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
