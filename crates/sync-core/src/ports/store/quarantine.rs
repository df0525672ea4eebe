use kombo_model::{Endpoint, IntegrationId};

use crate::ports::error::TxResult;
use crate::pull::quarantined::Quarantined;
use crate::pull::run::RunId;

/// A part of the quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuarantinePart<'a> {
    /// The whole quarantine.
    All,
    /// The records of an integration.
    Integration(&'a IntegrationId),
    /// The records of an endpoint.
    Endpoint(&'a IntegrationId, Endpoint),
    /// The records of an endpoint with an id of at least this one.
    From(&'a IntegrationId, Endpoint, &'a str),
}

/// The records of an endpoint to release from quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuarantineRelease<'a> {
    /// The records with these ids.
    Ids(&'a [String]),
    /// The records that runs other than this one put there.
    OfOtherRuns(RunId),
}

/// The records that could not be read or stored.
pub trait Quarantine {
    /// Puts records into quarantine. Replaces those with the same integration, endpoint and id.
    fn put_quarantined(&mut self, records: &[Quarantined]) -> TxResult<()>;

    /// Releases records of an endpoint from quarantine and returns their number.
    fn clear_quarantined(
        &mut self,
        integration: &IntegrationId,
        endpoint: Endpoint,
        which: QuarantineRelease<'_>,
    ) -> TxResult<u64>;

    /// Returns the first `limit` records of a part of the quarantine, in the order of integrations, endpoints and ids.
    fn quarantined(&mut self, part: QuarantinePart<'_>, limit: usize) -> TxResult<Vec<Quarantined>>;

    /// Returns the number of records in a part of the quarantine.
    fn quarantine_size(&mut self, part: QuarantinePart<'_>) -> TxResult<u64>;
}
