//! How far changes are delivered, and what is under way.

use std::fmt;

use kombo_model::{IntegrationId, Timestamp};
use serde::{Deserialize, Serialize};

use super::LOOK_AGAIN_AFTER;
use crate::horizon::{self, Horizon};
use crate::jobs::request::LeaseToken;

/// What a receiver knows a batch by. It stays the same however often the batch is tried.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(pub String);

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How far the changes of an integration are delivered. There is at most one for each integration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Whose changes.
    pub integration_id: IntegrationId,
    /// Entries of the change log up to here were delivered, or are in dead letters.
    pub delivered_seq: i64,
    /// When a batch last arrived.
    pub delivered_at: Option<Timestamp>,
    /// Nothing is to be tried before.
    pub not_before: Timestamp,
    /// What is being tried, be somebody at it or not.
    pub batch: Option<DeliveryBatch>,
    /// Who is at it.
    pub lease: Option<DeliveryLease>,
}

impl Delivery {
    /// A delivery that begins after this entry.
    pub fn new(integration_id: IntegrationId, delivered_seq: i64, not_before: Timestamp) -> Self {
        Self { integration_id, delivered_seq, delivered_at: None, not_before, batch: None, lease: None }
    }

    /// Whether it may be tried now.
    pub fn is_due(&self, horizon: &Horizon) -> bool {
        let has_failed = self.batch.as_ref().is_some_and(|batch| batch.attempts > 0);
        let latest = if has_failed { horizon.latest_wait() } else { latest_untried(horizon) };
        self.not_before <= horizon.now || self.not_before > latest
    }

    /// Whether somebody is at it.
    pub fn is_held(&self, horizon: &Horizon) -> bool {
        self.lease.as_ref().is_some_and(|lease| horizon.is_held(lease.expires_at))
    }
}

/// The latest start that is waited for where nothing has failed: what cannot be read is looked at again then.
pub fn latest_untried(horizon: &Horizon) -> Timestamp {
    horizon::latest(horizon.now, LOOK_AGAIN_AFTER)
}

/// Some entries of one integration that go together: once it is put together, it is the same at every try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryBatch {
    /// What the receiver knows it by.
    pub id: DeliveryId,
    /// Its first entry.
    pub first_seq: i64,
    /// Its last entry.
    pub last_seq: i64,
    /// How many entries it has.
    pub entries: i64,
    /// When it was first tried.
    pub first_tried_at: Timestamp,
    /// How often it failed.
    pub attempts: i32,
    /// Why it last failed, for people.
    pub error: Option<String>,
}

/// Who delivers for an integration, and until when nobody else may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryLease {
    /// Differs for every lease: whoever shows another one is refused.
    pub token: LeaseToken,
    /// The process, for people and for [`release_abandoned`](super::release_abandoned).
    pub owner: String,
    /// When another one may take over.
    pub expires_at: Timestamp,
}

/// A batch that was given up. Its body is kept beside it, so that the change log need not reach back to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Whose changes.
    pub integration_id: IntegrationId,
    /// What the receiver knows it by.
    pub id: DeliveryId,
    /// Its first entry.
    pub first_seq: i64,
    /// Its last entry.
    pub last_seq: i64,
    /// How many entries it has.
    pub entries: i64,
    /// When it was first tried.
    pub first_tried_at: Timestamp,
    /// When it was last tried.
    pub last_tried_at: Timestamp,
    /// How often it failed.
    pub attempts: i32,
    /// Why it last failed, for people.
    pub error: String,
    /// Whether a person asked that it be tried again.
    pub again: bool,
}

/// Entries of an integration that are not delivered yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog {
    /// Whose changes.
    pub integration_id: IntegrationId,
    /// How many.
    pub entries: u64,
    /// When the first of them was found.
    pub oldest_at: Timestamp,
}

/// What becomes of entries that are old and not delivered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undelivered {
    /// They stay.
    Keep,
    /// They go like others: nothing is being delivered.
    Remove,
}
