use kombo_model::{Endpoint, IntegrationId};
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

    fn put_integration(&mut self, integration: &IntegrationRecord) -> TxResult<()> {
        self.writing()?;
        self.state.integrations.insert(integration.id.clone(), integration.clone());
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

    fn put_endpoint(&mut self, state: &EndpointState) -> TxResult<()> {
        self.writing()?;
        self.state.endpoints.insert((state.integration_id.clone(), state.endpoint), state.clone());
        Ok(())
    }
}
