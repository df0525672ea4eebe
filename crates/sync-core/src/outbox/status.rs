use std::collections::BTreeMap;

use kombo_model::{IntegrationId, Timestamp};

use super::{Backlog, DeadLetter, Delivery};
use crate::ports::error::TxResult;
use crate::ports::store::Tx;
use crate::words::words;

words! {
    /// How the delivery of an integration's changes stands.
    pub enum DeliveryState {
        /// Everything arrived, or was given up.
        Delivered = "delivered",
        /// Something waits to be sent.
        Due = "due",
        /// Something is under way.
        Sending = "sending",
        /// The last try failed; it is tried again by itself.
        Retrying = "retrying",
    }
}

/// Where the delivery of an integration's changes stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryStatus {
    /// How far it is.
    pub delivery: Delivery,
    /// What is not delivered yet, if anything.
    pub backlog: Option<Backlog>,
    /// What was given up.
    pub dead_letters: Vec<DeadLetter>,
}

impl DeliveryStatus {
    /// How many entries are not delivered yet, dead letters aside.
    pub fn behind(&self) -> u64 {
        self.backlog.as_ref().map_or(0, |backlog| backlog.entries)
    }

    /// The same in a word.
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

/// Where every delivery stands, in the order of integrations.
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
