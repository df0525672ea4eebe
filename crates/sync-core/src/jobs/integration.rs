use kombo_model::{IntegrationId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// The status of an integration.
    pub enum IntegrationStatus {
        /// The integration is kept up to date.
        Active = "active",
        /// Kombo or the connected tool rejects requests until the integration's state changes.
        Paused = "paused",
        /// Kombo does not have the integration.
        NotFound = "not_found",
        /// The integration was deleted at Kombo.
        Deleted = "deleted",
        /// A person paused the integration. Nothing is fetched automatically until a person resumes it.
        Held = "held",
    }
}

/// A registered integration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegrationRecord {
    /// Id of the integration.
    pub id: IntegrationId,
    /// Kombo's name of the connected tool.
    pub tool: Option<String>,
    /// Status of the integration.
    pub status: IntegrationStatus,
    /// When the integration took this status.
    pub status_since: Timestamp,
    /// Reason for the status, for people.
    pub reason: Option<String>,
    /// When the integration was registered.
    pub registered_at: Timestamp,
    /// Kombo's time of the latest applied change of state. Older changes that arrive later are ignored.
    #[serde(default)]
    pub state_updated_at: Option<Timestamp>,
}
