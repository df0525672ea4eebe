use std::fmt;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// The kind of a fetch.
    pub enum SyncKind {
        /// The changes since the watermark.
        Delta = "delta",
        /// All records.
        Full = "full",
    }

    /// The cause of a request.
    pub enum RequestCause {
        /// A person, on the command line or the status page.
        Command = "command",
        /// A webhook.
        Webhook = "webhook",
        /// The endpoint has no complete load yet.
        Load = "load",
        /// A full fetch is due.
        Schedule = "schedule",
        /// A poll is due.
        Poll = "poll",
        /// Webhooks may have been missed.
        CatchUp = "catch_up",
    }
}

/// The target of a fetch: an endpoint of an integration, and the kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// Id of the integration.
    pub integration_id: IntegrationId,
    /// The endpoint to list.
    pub endpoint: Endpoint,
    /// Kind of the fetch.
    pub kind: SyncKind,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of {}", self.kind, self.endpoint, self.integration_id)
    }
}

/// A requested fetch. There is at most one for each target: requesting it again raises `generation`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedRequest {
    /// Target of the fetch.
    pub target: Target,
    /// Cause of the first request.
    pub cause: RequestCause,
    /// When the fetch was first requested.
    pub requested_at: Timestamp,
    /// Earliest start of the fetch.
    pub not_before: Timestamp,
    /// One more than the number of requests that arrived since the fetch last began at its first page. Their changes
    /// may be on pages that the fetch has already passed.
    pub generation: i64,
    /// Number of consecutive failures.
    pub attempts: i32,
    /// Number of removals that a person approved.
    pub approved_removals: Option<i64>,
    /// The current lease.
    pub lease: Option<HeldLease>,
}

/// The exclusive right of a worker to a request, for a limited time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLease {
    /// Unique token. A write with another token is rejected.
    pub token: LeaseToken,
    /// The worker, for people.
    pub owner: String,
    /// When another worker may take over.
    pub expires_at: Timestamp,
    /// The request's generation when its fetch began, possibly under an earlier lease.
    pub generation: i64,
}

/// The token that identifies a lease.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseToken(pub String);

/// A request that this worker has leased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The request when it was leased.
    pub request: QueuedRequest,
    /// The token that every write checks.
    pub token: LeaseToken,
}
