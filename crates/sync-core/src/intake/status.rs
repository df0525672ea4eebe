use kombo_model::{IntegrationId, Timestamp};

use crate::port::{Tx, TxResult};
use crate::types::{IntegrationRecord, IntegrationStatus};

/// Notes how an integration stands by Kombo's word, which does not end a pause by a person.
pub(super) fn hear(
    tx: &mut dyn Tx,
    known: Option<&IntegrationRecord>,
    id: &IntegrationId,
    tool: &str,
    status: IntegrationStatus,
    reason: Option<String>,
    now: Timestamp,
) -> TxResult<()> {
    let held = known.filter(|known| known.status == IntegrationStatus::Held);
    let (status, reason) = held.map_or((status, reason), |known| (known.status, known.reason.clone()));
    put_status(tx, known, id, tool, status, reason, now)
}

/// Registers an integration, or notes how it stands.
pub fn set_status(
    tx: &mut dyn Tx,
    id: &IntegrationId,
    tool: &str,
    status: IntegrationStatus,
    reason: Option<String>,
    now: Timestamp,
) -> TxResult<()> {
    let known = tx.integration(id)?;
    put_status(tx, known.as_ref(), id, tool, status, reason, now)
}

/// The same, where it is known how the integration stands.
pub(super) fn put_status(
    tx: &mut dyn Tx,
    known: Option<&IntegrationRecord>,
    id: &IntegrationId,
    tool: &str,
    status: IntegrationStatus,
    reason: Option<String>,
    now: Timestamp,
) -> TxResult<()> {
    let tool = Some(tool.to_owned()).filter(|tool| !tool.is_empty());
    let record = match known {
        Some(known) => IntegrationRecord {
            id: id.clone(),
            tool: tool.or_else(|| known.tool.clone()),
            status,
            status_since: if known.status == status { known.status_since } else { now },
            reason,
            registered_at: known.registered_at,
        },
        None => IntegrationRecord { id: id.clone(), tool, status, status_since: now, reason, registered_at: now },
    };
    if known == Some(&record) { Ok(()) } else { tx.put_integration(&record) }
}
