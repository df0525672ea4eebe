use kombo_model::{IntegrationId, Timestamp};

use super::Delivery;
use crate::ports::error::TxResult;
use crate::ports::lock::LockMode;
use crate::ports::store::Tx;

/// Queues dead letters again, of one integration or of all, and returns their number. Batches that wait after a failure
/// are tried immediately as well, because the receiver may have been repaired.
///
/// A dead letter is sent before entries that were not tried yet, but arrives after newer ones.
pub fn retry(tx: &mut dyn Tx, integration: Option<&IntegrationId>, now: Timestamp) -> TxResult<u64> {
    let mut marked = 0;
    for letter in tx.dead_letters(integration)?.iter().filter(|letter| !letter.again) {
        marked += u64::from(tx.mark_dead_letter(&letter.integration_id, &letter.id)?);
    }
    let waiting = tx.deliveries()?;
    let wanted = waiting.iter().filter(|delivery| integration.is_none_or(|id| delivery.integration_id == *id));
    // A batch without entries stands for one that cannot be read. A person may have deleted that entry.
    let is_void = |delivery: &Delivery| delivery.batch.as_ref().is_some_and(|batch| batch.entries == 0);
    for delivery in wanted.filter(|delivery| delivery.not_before > now || is_void(delivery)) {
        // Another process works on a locked delivery.
        if let Some(mut delivery) = tx.delivery(&delivery.integration_id, LockMode::Skip)?.locked()
            && delivery.lease.as_ref().is_none_or(|lease| lease.expires_at <= now)
        {
            delivery.not_before = delivery.not_before.min(now);
            if is_void(&delivery) {
                delivery.batch = None;
            }
            tx.put_delivery(&delivery)?;
        }
    }
    Ok(marked)
}

/// Deletes dead letters, of one integration or of all, and returns their number.
pub fn drop_letters(tx: &mut dyn Tx, integration: Option<&IntegrationId>) -> TxResult<u64> {
    let mut dropped = 0;
    for letter in tx.dead_letters(integration)? {
        dropped += u64::from(tx.delete_dead_letter(&letter.integration_id, &letter.id)?);
        // A dead letter that was queued again is not tried any more.
        if let Some(mut delivery) = tx.delivery(&letter.integration_id, LockMode::Skip)?.locked()
            && delivery.lease.is_none()
            && delivery.batch.as_ref().is_some_and(|batch| batch.id == letter.id)
        {
            delivery.batch = None;
            tx.put_delivery(&delivery)?;
        }
    }
    Ok(dropped)
}
