use std::collections::BTreeSet;
use std::sync::Arc;

use kombo_model::{Category, Endpoint, IntegrationId, Timestamp};
use sync_core::jobs::{EndpointState, IntegrationRecord};
use sync_core::ports::{Endpoints, Integrations, TxResult};

use super::MemoryTx;

impl Integrations for MemoryTx<'_> {
    fn integration(&mut self, id: &IntegrationId) -> TxResult<Option<IntegrationRecord>> {
        self.reading()?;
        Ok(self.state.integrations.get(id).cloned())
    }

    fn integrations(&mut self) -> TxResult<Vec<IntegrationRecord>> {
        self.reading()?;
        Ok(self.state.integrations.values().cloned().collect())
    }

    fn categories(&mut self) -> TxResult<BTreeSet<Category>> {
        self.reading()?;
        Ok(self.state.integrations.values().filter_map(|known| known.category).collect())
    }

    fn put_integration(&mut self, integration: &IntegrationRecord) -> TxResult<()> {
        self.writing()?;
        Arc::make_mut(&mut self.state.integrations).insert(integration.id.clone(), integration.clone());
        Arc::make_mut(&mut self.state.next_looks).remove(&integration.id);
        Ok(())
    }

    fn integrations_to_look_at(
        &mut self,
        now: Timestamp,
        latest: Timestamp,
        limit: usize,
    ) -> TxResult<Vec<IntegrationRecord>> {
        self.reading()?;
        let looks = &self.state.next_looks;
        let is_due = |id: &IntegrationId| looks.get(id).is_none_or(|look| *look <= now || *look > latest);
        Ok(self.state.integrations.values().filter(|known| is_due(&known.id)).take(limit).cloned().collect())
    }

    fn put_next_looks(&mut self, looks: &[(IntegrationId, Timestamp)]) -> TxResult<()> {
        self.writing()?;
        Arc::make_mut(&mut self.state.next_looks).extend(looks.iter().cloned());
        Ok(())
    }

    fn look_at_all_integrations(&mut self) -> TxResult<()> {
        self.writing()?;
        self.state.next_looks = Arc::default();
        Ok(())
    }
}

impl Endpoints for MemoryTx<'_> {
    fn endpoint(&mut self, integration: &IntegrationId, endpoint: Endpoint) -> TxResult<Option<EndpointState>> {
        self.reading()?;
        Ok(self.state.endpoints.get(&(integration.clone(), endpoint)).cloned())
    }

    fn endpoints(&mut self, integration: Option<&IntegrationId>) -> TxResult<Vec<EndpointState>> {
        self.reading()?;
        let of = self.state.endpoints.values().filter(|state| integration.is_none_or(|id| state.integration_id == *id));
        Ok(of.cloned().collect())
    }

    fn endpoints_of(&mut self, integrations: &[IntegrationId]) -> TxResult<Vec<EndpointState>> {
        self.reading()?;
        let endpoints = &self.state.endpoints;
        let keys = integrations.iter().flat_map(|id| Endpoint::ALL.map(|endpoint| (id.clone(), endpoint)));
        Ok(keys.filter_map(|key| endpoints.get(&key).cloned()).collect())
    }

    fn put_endpoint(&mut self, state: &EndpointState) -> TxResult<()> {
        self.writing()?;
        Arc::make_mut(&mut self.state.endpoints).insert((state.integration_id.clone(), state.endpoint), state.clone());
        Ok(())
    }
}
