use std::fmt;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::pull::run::RunId;

/// A record that could not be read or stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Whose record.
    pub integration_id: IntegrationId,
    /// Which list returned it.
    pub endpoint: Endpoint,
    /// Its id or, where it has none, a digest of its text.
    pub record_id: String,
    /// The record as it came.
    pub json: String,
    /// Where the fault is.
    pub path: String,
    /// What the fault is.
    pub reason: String,
    /// When the response was asked for.
    pub observed_at: Timestamp,
    /// The run that met it.
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
