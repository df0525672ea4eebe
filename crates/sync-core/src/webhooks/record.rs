use kombo_model::{IntegrationId, Timestamp};
use serde::{Deserialize, Serialize};

/// A webhook as it was received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookRecord {
    /// Kombo's id of the event.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// Whose integration, where it names one.
    pub integration_id: Option<IntegrationId>,
    /// When it came.
    pub received_at: Timestamp,
    /// The models that it names.
    pub models: Vec<String>,
    /// What became of it, for people.
    pub result: String,
}
