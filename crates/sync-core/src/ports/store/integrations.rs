use std::collections::BTreeSet;

use kombo_model::{Category, IntegrationId, Timestamp};

use crate::jobs::integration::IntegrationRecord;
use crate::ports::error::TxResult;

/// The registered integrations.
pub trait Integrations {
    /// Returns the integration, if it is registered.
    fn integration(&mut self, id: &IntegrationId) -> TxResult<Option<IntegrationRecord>>;

    /// Returns all registered integrations, in the order of ids.
    fn integrations(&mut self) -> TxResult<Vec<IntegrationRecord>>;

    /// Returns the categories of the registered integrations, as far as they are known.
    fn categories(&mut self) -> TxResult<BTreeSet<Category>>;

    /// Returns up to `limit` integrations that the schedule must check: their next check is not later than `now`, or is
    /// later than `latest` because a clock was ahead when it was stored.
    fn integrations_to_look_at(
        &mut self,
        now: Timestamp,
        latest: Timestamp,
        limit: usize,
    ) -> TxResult<Vec<IntegrationRecord>>;

    /// Sets when the schedule checks registered integrations next. Skips an integration that another transaction has
    /// locked: it keeps its time, or is checked immediately if that transaction changes it.
    fn put_next_looks(&mut self, looks: &[(IntegrationId, Timestamp)]) -> TxResult<()>;

    /// Makes the schedule check all integrations immediately.
    fn look_at_all_integrations(&mut self) -> TxResult<()>;

    /// Registers or replaces an integration. The schedule checks it immediately.
    fn put_integration(&mut self, integration: &IntegrationRecord) -> TxResult<()>;
}
