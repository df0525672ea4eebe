use kombo_model::{Endpoint, IntegrationId};

use crate::jobs::endpoint::EndpointState;
use crate::ports::error::TxResult;

/// What is known of endpoints.
pub trait Endpoints {
    /// What is known of an endpoint, if anything is.
    fn endpoint(&mut self, integration: &IntegrationId, endpoint: Endpoint) -> TxResult<Option<EndpointState>>;

    /// All that is known of endpoints, of one integration or of all, in the order of integrations and endpoints.
    fn endpoints(&mut self, integration: Option<&IntegrationId>) -> TxResult<Vec<EndpointState>>;

    /// All that is known of the endpoints of these integrations.
    fn endpoints_of(&mut self, integrations: &[IntegrationId]) -> TxResult<Vec<EndpointState>>;

    /// Writes what is known of an endpoint.
    fn put_endpoint(&mut self, state: &EndpointState) -> TxResult<()>;
}
