use kombo_model::{IntegrationId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// Whether an integration is being kept up to date.
    pub enum IntegrationStatus {
        /// It is.
        Active = "active",
        /// Kombo or the connected tool refuses it until its state changes.
        Paused = "paused",
        /// Kombo does not know it.
        NotFound = "not_found",
        /// It was deleted at Kombo.
        Deleted = "deleted",
        /// A person paused it: nothing is fetched by itself until a person resumes it.
        Held = "held",
    }
}

/// What is known of an integration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegrationRecord {
    /// Its id.
    pub id: IntegrationId,
    /// Kombo's name of the connected tool.
    pub tool: Option<String>,
    /// How it stands.
    pub status: IntegrationStatus,
    /// Since when it stands so.
    pub status_since: Timestamp,
    /// Why it stands so, for people.
    pub reason: Option<String>,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// Kombo's time of the latest change of state that was applied; an older one arrives late.
    #[serde(default)]
    pub state_updated_at: Option<Timestamp>,
}
