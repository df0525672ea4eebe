use kombo_model::{Endpoint, IntegrationId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// The status of an endpoint of an integration.
    pub enum EndpointStatus {
        /// The endpoint is kept up to date.
        Ok = "ok",
        /// The last attempt failed, and the next one is scheduled.
        Retrying = "retrying",
        /// Kombo has no data yet.
        WaitingForSetup = "waiting_for_setup",
        /// Kombo does not offer the model for this integration.
        ModelUnavailable = "model_unavailable",
        /// A sweep would have removed too many records. A person must check.
        MassRemoval = "mass_removal",
        /// At least half of what Kombo shows cannot be read or stored.
        Unreadable = "unreadable",
        /// The last attempt failed, and retrying alone does not help.
        Failed = "failed",
    }
}

/// The state of an endpoint of an integration. The watermark is never derived from record times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointState {
    /// Id of the integration.
    pub integration_id: IntegrationId,
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The `updated_after` of the next delta. It only moves forward.
    pub watermark: Option<Timestamp>,
    /// When the first load ended.
    pub loaded_at: Option<Timestamp>,
    /// When the last delta ended.
    pub last_delta_at: Option<Timestamp>,
    /// When the last full fetch ended, sweep included.
    pub last_full_at: Option<Timestamp>,
    /// When the next full fetch is due.
    pub next_full_at: Option<Timestamp>,
    /// When a full fetch was last requested because a delta may not show the changes.
    pub last_blind_full_at: Option<Timestamp>,
    /// Status of the endpoint.
    pub status: EndpointStatus,
    /// When the endpoint took this status.
    pub status_since: Option<Timestamp>,
    /// Reason for the status, for people.
    pub reason: Option<String>,
    /// Number of records that the stopped sweep would have removed.
    pub pending_removals: Option<i64>,
}

impl EndpointState {
    /// Returns the state of an endpoint that was never fetched.
    pub fn new(integration_id: IntegrationId, endpoint: Endpoint) -> Self {
        Self {
            integration_id,
            endpoint,
            watermark: None,
            loaded_at: None,
            last_delta_at: None,
            last_full_at: None,
            next_full_at: None,
            last_blind_full_at: None,
            status: EndpointStatus::Ok,
            status_since: None,
            reason: None,
            pending_removals: None,
        }
    }
}
