use std::fmt;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// Whether a fetch asks for what changed or for everything.
    pub enum SyncKind {
        /// What changed since the watermark.
        Delta = "delta",
        /// Everything.
        Full = "full",
    }

    /// What asked for a fetch.
    pub enum RequestCause {
        /// A person, on the command line or the status page.
        Command = "command",
        /// A webhook.
        Webhook = "webhook",
        /// The endpoint has no complete load yet.
        Load = "load",
        /// A full fetch was due.
        Schedule = "schedule",
        /// Polling.
        Poll = "poll",
        /// Webhooks may have been missed.
        CatchUp = "catch_up",
    }
}

/// What is fetched: one endpoint of one integration, in one way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// Whose data.
    pub integration_id: IntegrationId,
    /// Which list.
    pub endpoint: Endpoint,
    /// All of it or what changed.
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
    /// What to fetch.
    pub target: Target,
    /// What asked for it.
    pub cause: RequestCause,
    /// When it was first asked for.
    pub requested_at: Timestamp,
    /// Not to be worked on before.
    pub not_before: Timestamp,
    /// One more than the requests that arrived since its fetch last began at the first page. Their changes may lie on pages
    /// that the fetch has already passed.
    pub generation: i64,
    /// How often in a row it failed.
    pub attempts: i32,
    /// How many removals a person approved.
    pub approved_removals: Option<i64>,
    /// Who works on it.
    pub lease: Option<HeldLease>,
}

/// Who works on a request, and until when nobody else may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLease {
    /// Differs for every lease: a write with another token is refused.
    pub token: LeaseToken,
    /// The worker, for people.
    pub owner: String,
    /// When another worker may take over.
    pub expires_at: Timestamp,
    /// The request's generation when its fetch began, be that before this lease.
    pub generation: i64,
}

/// What tells one lease from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseToken(pub String);

/// A request that this worker may work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The request as it was when leased.
    pub request: QueuedRequest,
    /// What every write shows.
    pub token: LeaseToken,
}
