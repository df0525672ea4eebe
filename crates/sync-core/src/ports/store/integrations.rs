use kombo_model::{IntegrationId, Timestamp};

use crate::jobs::integration::IntegrationRecord;
use crate::ports::error::TxResult;

/// The registered integrations.
pub trait Integrations {
    /// The integration, if it is registered.
    fn integration(&mut self, id: &IntegrationId) -> TxResult<Option<IntegrationRecord>>;

    /// All registered integrations, in the order of ids.
    fn integrations(&mut self) -> TxResult<Vec<IntegrationRecord>>;

    /// Up to `limit` integrations whose next look by the schedule is not later than `now`, or later than `latest`: a clock that
    /// was ahead stored it.
    fn integrations_to_look_at(
        &mut self,
        now: Timestamp,
        latest: Timestamp,
        limit: usize,
    ) -> TxResult<Vec<IntegrationRecord>>;

    /// Sets when the schedule looks at registered integrations next. One that another transaction has locked is left out: the
    /// schedule looks at it by the time that was set before, or at once if that transaction changes it.
    fn put_next_looks(&mut self, looks: &[(IntegrationId, Timestamp)]) -> TxResult<()>;

    /// Makes the schedule look at all integrations now.
    fn look_at_all_integrations(&mut self) -> TxResult<()>;

    /// Registers or replaces an integration. The schedule looks at it now.
    fn put_integration(&mut self, integration: &IntegrationRecord) -> TxResult<()>;
}
