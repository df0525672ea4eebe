use std::fmt;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::pull::run::RunId;

/// A record that could not be read, stored or looked up.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Id of the integration.
    pub integration_id: IntegrationId,
    /// The endpoint that returned the record.
    pub endpoint: Endpoint,
    /// Id of the record, or a digest of its text if it has none.
    pub record_id: String,
    /// The received text of the record; empty if it could not be looked up.
    pub json: String,
    /// Path of the fault.
    pub path: String,
    /// Description of the fault.
    pub reason: String,
    /// When the response was requested.
    pub observed_at: Timestamp,
    /// The run that found the fault.
    pub run_id: RunId,
}

impl fmt::Debug for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quarantined")
            .field("endpoint", &self.endpoint)
            .field("record_id", &self.record_id)
            .field("path", &self.path)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}
