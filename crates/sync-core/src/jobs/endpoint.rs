use kombo_model::{Endpoint, IntegrationId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// Whether an endpoint of an integration is being kept up to date.
    pub enum EndpointStatus {
        /// It is.
        Ok = "ok",
        /// The last attempt failed; it is tried again by itself.
        Retrying = "retrying",
        /// Kombo has no data yet.
        WaitingForSetup = "waiting_for_setup",
        /// Kombo does not offer the model for this integration.
        ModelUnavailable = "model_unavailable",
        /// A sweep would have removed too many records: a person must look.
        MassRemoval = "mass_removal",
        /// At least half of what Kombo shows cannot be read or stored.
        Unreadable = "unreadable",
        /// The last attempt failed in a way that trying again does not mend.
        Failed = "failed",
    }
}

/// What is known of an endpoint of an integration. Its watermark is never derived from record times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointState {
    /// Whose data.
    pub integration_id: IntegrationId,
    /// Which list.
    pub endpoint: Endpoint,
    /// What the next delta sends as `updated_after`. Only ever moves forward.
    pub watermark: Option<Timestamp>,
    /// When the first complete load ended.
    pub loaded_at: Option<Timestamp>,
    /// When the last delta ended.
    pub last_delta_at: Option<Timestamp>,
    /// When the last full fetch ended, sweep included.
    pub last_full_at: Option<Timestamp>,
    /// When the next full fetch is due.
    pub next_full_at: Option<Timestamp>,
    /// When a full fetch was last asked for because a delta may not show what changed.
    pub last_blind_full_at: Option<Timestamp>,
    /// How it stands.
    pub status: EndpointStatus,
    /// Since when it stands so.
    pub status_since: Option<Timestamp>,
    /// Why it stands so, for people.
    pub reason: Option<String>,
    /// How many records the sweep that stopped would have removed.
    pub pending_removals: Option<i64>,
}

impl EndpointState {
    /// The state of an endpoint that was never fetched.
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
