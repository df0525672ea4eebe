//! The state of deliveries.

use std::fmt;

use kombo_model::{IntegrationId, Timestamp};
use serde::{Deserialize, Serialize};

use super::LOOK_AGAIN_AFTER;
use crate::horizon::{self, Horizon};
use crate::jobs::request::LeaseToken;

/// Id of a batch for the receiver. It is the same at every try.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(pub String);

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The delivery of an integration's changes. Each integration has at most one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Id of the integration.
    pub integration_id: IntegrationId,
    /// Entries up to this `seq` were delivered, or are in dead letters.
    pub delivered_seq: i64,
    /// When a batch was last delivered.
    pub delivered_at: Option<Timestamp>,
    /// Earliest time of the next try.
    pub not_before: Timestamp,
    /// The current batch, even if no process is sending it.
    pub batch: Option<DeliveryBatch>,
    /// Lease of the process that delivers.
    pub lease: Option<DeliveryLease>,
}

impl Delivery {
    /// Creates a delivery that begins after the entry `delivered_seq`.
    pub fn new(integration_id: IntegrationId, delivered_seq: i64, not_before: Timestamp) -> Self {
        Self { integration_id, delivered_seq, delivered_at: None, not_before, batch: None, lease: None }
    }

    /// Whether the delivery may be tried now.
    pub fn is_due(&self, horizon: &Horizon) -> bool {
        let has_failed = self.batch.as_ref().is_some_and(|batch| batch.attempts > 0);
        let latest = if has_failed { horizon.latest_wait() } else { latest_untried(horizon) };
        self.not_before <= horizon.now || self.not_before > latest
    }

    /// Whether a process has a valid lease.
    pub fn is_held(&self, horizon: &Horizon) -> bool {
        self.lease.as_ref().is_some_and(|lease| horizon.is_held(lease.expires_at))
    }
}

/// Returns the latest `not_before` that counts if no try has failed. Entries that cannot be read wait that long.
pub fn latest_untried(horizon: &Horizon) -> Timestamp {
    horizon::latest(horizon.now, LOOK_AGAIN_AFTER)
}

/// Consecutive entries of one integration. Once created, a batch is the same at every try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryBatch {
    /// Id of the batch for the receiver.
    pub id: DeliveryId,
    /// `seq` of the first entry.
    pub first_seq: i64,
    /// `seq` of the last entry.
    pub last_seq: i64,
    /// Number of entries.
    pub entries: i64,
    /// When the batch was first tried.
    pub first_tried_at: Timestamp,
    /// Number of failed attempts.
    pub attempts: i32,
    /// The reason of the batch's last failure, for people.
    pub error: Option<String>,
}

/// The exclusive right of a process to deliver for an integration, for a limited time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryLease {
    /// Unique token. An outcome with another token is rejected.
    pub token: LeaseToken,
    /// The process, for people and for [`release_abandoned`](super::release_abandoned).
    pub owner: String,
    /// When another process may take over.
    pub expires_at: Timestamp,
}

/// A batch that was given up. Its body is stored separately, so it remains available when the change log no longer
/// contains the entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Id of the integration.
    pub integration_id: IntegrationId,
    /// Id of the batch for the receiver.
    pub id: DeliveryId,
    /// `seq` of the first entry.
    pub first_seq: i64,
    /// `seq` of the last entry.
    pub last_seq: i64,
    /// Number of entries.
    pub entries: i64,
    /// When the batch was first tried.
    pub first_tried_at: Timestamp,
    /// When the batch was last tried.
    pub last_tried_at: Timestamp,
    /// Number of failed attempts.
    pub attempts: i32,
    /// The reason of the batch's last failure, for people.
    pub error: String,
    /// Whether a person requested another try.
    pub again: bool,
}

/// The undelivered entries of an integration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog {
    /// Id of the integration.
    pub integration_id: IntegrationId,
    /// Number of entries.
    pub entries: u64,
    /// When the change in the oldest entry was found.
    pub oldest_at: Timestamp,
}

/// Treatment of old entries that are not delivered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undelivered {
    /// Keep them.
    Keep,
    /// Delete them like others, because nothing is delivered.
    Remove,
}
