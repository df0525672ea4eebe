use kombo_model::{Endpoint, IntegrationId};

use crate::ports::error::TxResult;
use crate::pull::quarantined::Quarantined;
use crate::pull::run::RunId;

/// A part of the quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuarantinePart<'a> {
    /// All of it.
    All,
    /// The records of an integration.
    Integration(&'a IntegrationId),
    /// The records of an endpoint.
    Endpoint(&'a IntegrationId, Endpoint),
    /// The records of an endpoint with this id or a later one.
    From(&'a IntegrationId, Endpoint, &'a str),
}

/// Which records of an endpoint leave the quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuarantineRelease<'a> {
    /// Those with these ids.
    Ids(&'a [String]),
    /// Those that another run than this one put there.
    OfOtherRuns(RunId),
}

/// The records that could not be read or stored.
pub trait Quarantine {
    /// Puts records in quarantine; one with the same integration, endpoint and id is replaced.
    fn put_quarantined(&mut self, records: &[Quarantined]) -> TxResult<()>;

    /// Takes records of an endpoint out of quarantine, and says how many were there.
    fn clear_quarantined(
        &mut self,
        integration: &IntegrationId,
        endpoint: Endpoint,
        which: QuarantineRelease<'_>,
    ) -> TxResult<u64>;

    /// The first `limit` records of a part of the quarantine, in the order of integrations, endpoints and ids.
    fn quarantined(&mut self, part: QuarantinePart<'_>, limit: usize) -> TxResult<Vec<Quarantined>>;

    /// How many records a part of the quarantine has.
    fn quarantine_size(&mut self, part: QuarantinePart<'_>) -> TxResult<u64>;
}
