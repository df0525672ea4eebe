//! Filter of `syncd status`.

use std::collections::BTreeSet;

use kombo_model::IntegrationId;
use sync_core::jobs::{EndpointState, EndpointStatus, IntegrationRecord, IntegrationStatus};

use super::Known;
use crate::cli::StatusArgs;
use crate::config::ConfigError;
use crate::store::unknown_integration;

/// Whether an integration works, or is not fetched on purpose.
pub(super) fn integration_is_well(integration: &IntegrationRecord) -> bool {
    match integration.status {
        IntegrationStatus::Active | IntegrationStatus::Deleted | IntegrationStatus::Held => true,
        IntegrationStatus::Paused | IntegrationStatus::NotFound => false,
    }
}

fn endpoint_is_well(integration: &IntegrationRecord, state: &EndpointState) -> bool {
    state.status == EndpointStatus::Ok
        || matches!(integration.status, IntegrationStatus::Deleted | IntegrationStatus::Held)
}

impl Known {
    /// Whether all integrations, endpoints and deliveries shown are in order.
    pub(super) fn is_well(&self, now: kombo_model::Timestamp) -> bool {
        let delivered = self.deliveries.as_deref().is_none_or(|delivery_statuses| {
            let report = super::delivery_report(delivery_statuses, now);
            report.retrying == 0 && report.dead_letters == 0
        });
        delivered && self.integrations.iter().all(|integration| self.all_is_well(integration))
    }

    fn all_is_well(&self, integration: &IntegrationRecord) -> bool {
        integration_is_well(integration)
            && self.endpoints_of(&integration.id).iter().all(|state| endpoint_is_well(integration, state))
    }

    /// Returns the endpoints of an integration. They are sorted by integration: a search through all of them for each
    /// would take seconds with thousands of integrations.
    pub(super) fn endpoints_of(&self, id: &IntegrationId) -> &[EndpointState] {
        let from = self.endpoints.partition_point(|state| state.integration_id < *id);
        let rest = self.endpoints.get(from..).unwrap_or_default();
        rest.get(..rest.partition_point(|state| state.integration_id == *id)).unwrap_or_default()
    }

    /// Keeps what the arguments select, with problems first.
    pub(super) fn narrowed(mut self, args: &StatusArgs) -> Result<Self, ConfigError> {
        if let Some(unknown) =
            args.integrations.iter().find(|id| self.integrations.iter().all(|known| known.id != **id))
        {
            return Err(unknown_integration(unknown));
        }
        self.endpoints.sort_by(|one, other| one.integration_id.cmp(&other.integration_id));
        let mut integrations = std::mem::take(&mut self.integrations);
        integrations.sort_by_key(|integration| self.all_is_well(integration));
        let asked_for = |id: &IntegrationId| args.integrations.is_empty() || args.integrations.contains(id);
        let fits = |state: &str, is_well: bool| {
            (args.states.is_empty() || args.states.iter().any(|asked| asked == state)) && !(args.failed && is_well)
        };
        let mut endpoints = Vec::new();
        integrations.retain(|integration| {
            if !asked_for(&integration.id) {
                return false;
            }
            let whole = fits(integration.status.as_str(), integration_is_well(integration));
            let own = self.endpoints_of(&integration.id).iter();
            let shown =
                own.filter(|state| whole || fits(state.status.as_str(), endpoint_is_well(integration, state))).cloned();
            let before = endpoints.len();
            endpoints.extend(shown);
            whole || endpoints.len() > before
        });
        let shown: BTreeSet<IntegrationId> = integrations.iter().map(|known| known.id.clone()).collect();
        // Bookkeeping of unknown integrations is shown only without filters.
        let all = args.integrations.is_empty() && args.states.is_empty() && !args.failed;
        let keeps = |id: &IntegrationId| all || shown.contains(id);
        self.requests.retain(|request| keeps(&request.target.integration_id));
        self.runs.retain(|run| keeps(&run.target.integration_id));
        self.quarantined.retain(|record| keeps(&record.integration_id));
        endpoints.sort_by(|one, other| one.integration_id.cmp(&other.integration_id));
        (self.integrations, self.endpoints) = (integrations, endpoints);
        Ok(self)
    }
}
