use std::time::Duration;

use kombo_model::Timestamp;
use sync_core::SyncError;
use sync_core::jobs::{HeldLease, Lease, LeaseToken, LeasedTx, QueuedRequest, RequestCause, Target};
use sync_core::ports::Tx;

/// Does `work` for a lease on `target` that begins and ends with it.
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
