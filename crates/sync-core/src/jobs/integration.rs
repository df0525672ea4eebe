use std::collections::BTreeSet;

use kombo_model::{Category, Endpoint, IntegrationId, Timestamp};
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
    /// Category of the tool, which decides on the endpoints. `None` until Kombo has named it: nothing is fetched before.
    #[serde(default)]
    pub category: Option<Category>,
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

impl IntegrationRecord {
    /// Returns those of `endpoints` that the integration has.
    pub fn endpoints<'a>(&self, endpoints: &'a BTreeSet<Endpoint>) -> impl Iterator<Item = Endpoint> + use<'a> {
        let category = self.category;
        endpoints.iter().copied().filter(move |endpoint| Some(endpoint.category()) == category)
    }

    /// Whether Kombo must be asked for the category.
    pub fn is_uncategorized(&self) -> bool {
        self.category.is_none() && !matches!(self.status, IntegrationStatus::Deleted | IntegrationStatus::Held)
    }
}
