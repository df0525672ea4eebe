//! How many records a page may have: as many as are wanted, and fewer where they are too heavy.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kombo_model::{Endpoint, IntegrationId};

use crate::{Error, ErrorKind, PageSize, TransportFault};

/// What an error says of the weight of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    TooHeavy,
    TooSlow,
    PerhapsTooHeavy,
    Unknown,
}

pub(super) fn weight(error: &Error) -> Weight {
    match error {
        Error::BodyTooLarge { .. } => Weight::TooHeavy,
        Error::Transport { fault: TransportFault::Timeout, .. } => Weight::TooSlow,
        Error::Api { status: 413, .. } | Error::Foreign { status: 413, .. }
            if error.kind() == ErrorKind::InputInvalid =>
        {
            Weight::TooHeavy
        }
        Error::Transport { fault: TransportFault::Dropped | TransportFault::Incomplete, .. } => Weight::PerhapsTooHeavy,
        Error::Api { status: 500.., .. } | Error::Foreign { status: 500.., .. }
            if error.kind() == ErrorKind::Unavailable && error.retry_after().is_none() =>
        {
            Weight::PerhapsTooHeavy
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
    /// Pages of this size since it was set.
    succeeded: u32,
    /// After how many of them twice the size is tried: the more, the more often that was too heavy.
    patience: u32,
    is_larger: bool,
}

impl Sizes {
    const LEAST_PATIENCE: u32 = 8;
    const MOST_PATIENCE: u32 = 512;

    /// How many records this endpoint takes, if that is less than any page may have.
    pub(super) fn get(&self, integration: &IntegrationId, endpoint: Endpoint) -> Option<PageSize> {
        self.lock().get(&(integration.clone(), endpoint)).map(|reduced| reduced.size)
    }

    /// A page of this size was too heavy: what to try in its place; `None` if it had one record.
    pub(super) fn reduce(&self, integration: &IntegrationId, endpoint: Endpoint, size: PageSize) -> Option<PageSize> {
        let smaller = PageSize::new(size.get() / 2)?;
        let mut known = self.lock();
        let reduced = known.entry((integration.clone(), endpoint)).or_insert(Reduced {
            size,
            succeeded: 0,
            patience: Self::LEAST_PATIENCE,
            is_larger: false,
        });
        // Another listing may have found out already.
        if reduced.size > smaller {
            reduced.size = smaller;
            reduced.succeeded = 0;
            if std::mem::take(&mut reduced.is_larger) {
                reduced.patience = (reduced.patience * 2).min(Self::MOST_PATIENCE);
            }
        }
        Some(smaller)
    }

    /// A page of this size was good.
    pub(super) fn succeeded(&self, integration: &IntegrationId, endpoint: Endpoint, size: PageSize, wanted: PageSize) {
        let mut known = self.lock();
        let key = (integration.clone(), endpoint);
        let Some(reduced) = known.get_mut(&key).filter(|reduced| reduced.size == size) else { return };
        reduced.succeeded = reduced.succeeded.saturating_add(1);
        if reduced.succeeded < reduced.patience {
            return;
        }
        let twice = PageSize::new(size.get().saturating_mul(2)).unwrap_or(PageSize::MAX);
        reduced.is_larger |= size < wanted;
        reduced.size = twice.min(wanted).max(size);
        reduced.succeeded = 0;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(IntegrationId, Endpoint), Reduced>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
