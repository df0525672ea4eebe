use kombo_model::{Category, IntegrationId, Timestamp};

use crate::jobs::integration::{IntegrationRecord, IntegrationStatus};
use crate::outbox;
use crate::ports::error::TxResult;
use crate::ports::store::Tx;

/// A new state of an integration.
pub(super) struct ReportedStatus<'a> {
    pub(super) id: &'a IntegrationId,
    pub(super) tool: &'a str,
    /// Category of the tool, if given.
    pub(super) category: Option<Category>,
    pub(super) status: IntegrationStatus,
    pub(super) reason: Option<String>,
    /// Kombo's time of the change, if given.
    pub(super) updated_at: Option<Timestamp>,
}

/// Stores the status of an integration as Kombo reported it. It does not end a pause by a person.
pub(super) fn put_reported(
    tx: &mut dyn Tx,
    known: Option<&IntegrationRecord>,
    reported: ReportedStatus<'_>,
    now: Timestamp,
) -> TxResult<()> {
    let held = known.filter(|known| known.status == IntegrationStatus::Held);
    let (status, reason) = match held {
        Some(known) => (known.status, known.reason.clone()),
        None => (reported.status, reported.reason),
    };
    put_status(tx, known, ReportedStatus { status, reason, ..reported }, now)
}

/// Returns Kombo's time of the latest applied change of state. A time in the future counts as now, so that it does not
/// make all later changes look old.
pub(super) fn state_updated_at(known: &IntegrationRecord, now: Timestamp) -> Option<Timestamp> {
    known.state_updated_at.map(|time| time.min(now))
}

/// Registers an integration that is not registered yet.
pub(crate) fn register(
    tx: &mut dyn Tx,
    id: &IntegrationId,
    category: Option<Category>,
    now: Timestamp,
) -> TxResult<()> {
    let status = IntegrationStatus::Active;
    put_status(tx, None, ReportedStatus { id, tool: "", category, status, reason: None, updated_at: None }, now)
}

/// Registers an integration, or updates its status.
pub fn set_status(
    tx: &mut dyn Tx,
    id: &IntegrationId,
    tool: &str,
    status: IntegrationStatus,
    reason: Option<String>,
    now: Timestamp,
) -> TxResult<()> {
    let known = tx.integration(id)?;
    put_status(tx, known.as_ref(), ReportedStatus { id, tool, category: None, status, reason, updated_at: None }, now)
}

/// Updates the status of an integration. `known` is its stored state.
pub(super) fn put_status(
    tx: &mut dyn Tx,
    known: Option<&IntegrationRecord>,
    ReportedStatus { id, tool, category, status, reason, updated_at }: ReportedStatus<'_>,
    now: Timestamp,
) -> TxResult<()> {
    let updated_at = updated_at.map(|time| time.min(now));
    let tool = Some(tool.to_owned()).filter(|tool| !tool.is_empty());
    let record = match known {
        Some(known) => IntegrationRecord {
            id: id.clone(),
            tool: tool.or_else(|| known.tool.clone()),
            // Kombo does not change the category of an integration.
            category: known.category.or(category),
            status,
            status_since: if known.status == status { known.status_since } else { now },
            reason,
            registered_at: known.registered_at,
            state_updated_at: updated_at.max(state_updated_at(known, now)),
        },
        None => IntegrationRecord {
            id: id.clone(),
            tool,
            category,
            status,
            status_since: now,
            reason,
            registered_at: now,
            state_updated_at: updated_at,
        },
    };
    if known == Some(&record) {
        return Ok(());
    }
    tx.put_integration(&record)?;
    if known.is_none() { outbox::register(tx, record.id, now) } else { Ok(()) }
}
