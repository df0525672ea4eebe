use kombo_model::{IntegrationId, Timestamp};
use serde::{Deserialize, Serialize};

/// A webhook as it was received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookRecord {
    /// Kombo's id of the event.
    pub id: String,
    /// Type of the event.
    pub kind: String,
    /// Id of the integration, if the webhook names one.
    pub integration_id: Option<IntegrationId>,
    /// When the webhook was received.
    pub received_at: Timestamp,
    /// Models that the webhook names.
    pub models: Vec<String>,
    /// Result, for people.
    pub result: String,
}
