use kombo_model::IntegrationId;

use crate::jobs::integration::IntegrationRecord;
use crate::ports::error::TxResult;

/// The registered integrations.
pub trait Integrations {
    /// The integration, if it is registered.
    fn integration(&mut self, id: &IntegrationId) -> TxResult<Option<IntegrationRecord>>;

    /// All registered integrations, in the order of ids.
    fn integrations(&mut self) -> TxResult<Vec<IntegrationRecord>>;

    /// Registers or replaces an integration.
    fn put_integration(&mut self, integration: &IntegrationRecord) -> TxResult<()>;
}
