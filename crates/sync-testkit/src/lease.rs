use std::time::Duration;

use kombo_model::{IntegrationId, Timestamp};
use sync_core::SyncError;
use sync_core::jobs::queue::{Claim, lease_target};
use sync_core::jobs::{HeldLease, Lease, LeaseToken, LeasedTx, QueuedRequest, RequestCause, Target};
use sync_core::ports::{Tx, TxResult};

/// Runs `work` under a lease on `target` that begins and ends with it.
pub fn with_lease<T>(
    tx: &mut dyn Tx,
    target: &Target,
    now: Timestamp,
    work: impl FnOnce(&mut LeasedTx<'_>) -> Result<T, SyncError>,
) -> Result<T, SyncError> {
    let token = LeaseToken("with_lease".to_owned());
    let request = QueuedRequest {
        target: target.clone(),
        cause: RequestCause::Command,
        requested_at: now,
        not_before: now,
        generation: 1,
        attempts: 0,
        approved_removals: None,
        lease: Some(HeldLease { token: token.clone(), owner: "a test".to_owned(), expires_at: now, generation: 1 }),
    };
    tx.put_request(&request)?;
    let lease = Lease { request, token };
    let value = work(&mut LeasedTx::assert_lease(tx, &lease, now, Duration::ZERO)?)?;
    tx.delete_request(target)?;
    Ok(value)
}

/// Leases the request of an integration that a worker would lease next, whether the integration is registered or not.
pub fn lease_next_of(
    tx: &mut dyn Tx,
    integration: &IntegrationId,
    claim: &Claim,
    now: Timestamp,
) -> TxResult<Option<Lease>> {
    let mut due = tx.requests_of(std::slice::from_ref(integration))?;
    due.retain(|request| claim.horizon(now).is_due(request.not_before));
    due.sort_by_key(|request| (request.target.kind, request.not_before));
    for request in due {
        if let Some(lease) = lease_target(tx, &request.target, claim, now)? {
            return Ok(Some(lease));
        }
    }
    Ok(None)
}
