//! Tracks the integrations that may have missed webhooks.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use sync_core::jobs::dispatch;
use sync_core::ports::{Tx, TxResult};

/// Integrations with a signed webhook that was not stored.
#[derive(Debug, Default)]
pub(crate) struct Missed(Mutex<BTreeSet<IntegrationId>>);

impl Missed {
    /// Notes that a webhook of an integration was not stored.
    pub(crate) fn note(&self, integration: IntegrationId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(integration);
    }

    /// Returns the integrations noted since the last call, or all integrations.
    pub(crate) fn take(&self, all: bool) -> Behind {
        let noted = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if all { Behind::All } else { Behind::Some(noted) }
    }
}

/// Integrations that may be behind.
#[derive(Debug)]
pub(crate) enum Behind {
    All,
    Some(BTreeSet<IntegrationId>),
}

impl Behind {
    /// Requests deltas of these integrations.
    pub(crate) fn catch_up(&self, tx: &mut dyn Tx, endpoints: &BTreeSet<Endpoint>, now: Timestamp) -> TxResult<usize> {
        match self {
            Self::All => dispatch::catch_up(tx, endpoints, None, now),
            Self::Some(integrations) if integrations.is_empty() => Ok(0),
            Self::Some(integrations) => dispatch::catch_up(tx, endpoints, Some(integrations), now),
        }
    }
}
