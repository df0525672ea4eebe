use std::collections::BTreeMap;

use kombo_model::{IntegrationId, Timestamp};

use super::{Backlog, DeadLetter, Delivery};
use crate::ports::error::TxResult;
use crate::ports::store::Tx;
use crate::words::words;

words! {
    /// The state of the delivery of an integration's changes.
    pub enum DeliveryState {
        /// All entries were delivered or given up.
        Delivered = "delivered",
        /// Entries wait to be sent.
        Due = "due",
        /// A batch is being sent.
        Sending = "sending",
        /// The last try failed, or the next entry cannot be read, and the next try is scheduled.
        Retrying = "retrying",
    }
}

/// The status of the delivery of an integration's changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryStatus {
    /// The delivery.
    pub delivery: Delivery,
    /// The undelivered entries, if any.
    pub backlog: Option<Backlog>,
    /// The batches that were given up.
    pub dead_letters: Vec<DeadLetter>,
}

impl DeliveryStatus {
    /// Returns the number of undelivered entries, without dead letters.
    pub fn behind(&self) -> u64 {
        self.backlog.as_ref().map_or(0, |backlog| backlog.entries)
    }

    /// Returns the state of the delivery.
    pub fn state(&self, now: Timestamp) -> DeliveryState {
        let waits = self.backlog.is_some() || self.dead_letters.iter().any(|letter| letter.again);
        if self.delivery.lease.as_ref().is_some_and(|lease| lease.expires_at > now) {
            DeliveryState::Sending
        } else if !waits {
            DeliveryState::Delivered
        } else if self.delivery.batch.as_ref().is_some_and(|batch| batch.attempts > 0) {
            DeliveryState::Retrying
        } else {
            DeliveryState::Due
        }
    }
}

/// Returns the status of all deliveries, in the order of integrations.
pub fn delivery_statuses(tx: &mut dyn Tx) -> TxResult<Vec<DeliveryStatus>> {
    let mut backlogs: BTreeMap<IntegrationId, Backlog> =
        tx.undelivered()?.into_iter().map(|backlog| (backlog.integration_id.clone(), backlog)).collect();
    let mut letters: BTreeMap<IntegrationId, Vec<DeadLetter>> = BTreeMap::new();
    for letter in tx.dead_letters(None)? {
        letters.entry(letter.integration_id.clone()).or_default().push(letter);
    }
    let delivery_statuses = tx.deliveries()?.into_iter().map(|delivery| DeliveryStatus {
        backlog: backlogs.remove(&delivery.integration_id),
        dead_letters: letters.remove(&delivery.integration_id).unwrap_or_default(),
        delivery,
    });
    Ok(delivery_statuses.collect())
}
