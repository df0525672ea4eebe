use kombo_model::{Endpoint, IntegrationId};

use crate::jobs::endpoint::EndpointState;
use crate::ports::error::TxResult;

/// The state of the endpoints.
pub trait Endpoints {
    /// Returns the state of an endpoint, if any is stored.
    fn endpoint(&mut self, integration: &IntegrationId, endpoint: Endpoint) -> TxResult<Option<EndpointState>>;

    /// Returns all states of endpoints, of one integration or of all, in the order of integrations and endpoints.
    fn endpoints(&mut self, integration: Option<&IntegrationId>) -> TxResult<Vec<EndpointState>>;

    /// Returns all states of the endpoints of these integrations.
    fn endpoints_of(&mut self, integrations: &[IntegrationId]) -> TxResult<Vec<EndpointState>>;

    /// Inserts or replaces the state of an endpoint.
    fn put_endpoint(&mut self, state: &EndpointState) -> TxResult<()>;
}
