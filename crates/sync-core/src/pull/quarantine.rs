//! Retries records in quarantine: a newer version may be able to read them.

use std::collections::BTreeSet;

use kombo_model::catalogue::Record;
use kombo_model::{Endpoint, Fault, InPart, IntegrationId, Timestamp};

use crate::jobs::queue;
use crate::jobs::request::{SyncKind, Target};
use crate::ports::error::{StoreError, TxResult};
use crate::ports::store::{QuarantinePart, QuarantineRelease};
use crate::ports::store::{Scope, Store, Tx};
use crate::pull::quarantined::Quarantined;
use crate::pull::run::{Run, RunOutcome, RunPhase};
use crate::rows::Model;
use crate::rows::apply::{Applying, Unlisted, apply_without_lease};
use crate::rows::batch::{Batch, Incoming, Provenance};
use crate::rows::compare::Tombstones;
use crate::rows::compare::{Reading, latest_credible};
use crate::rows::counts::RunCounts;
use crate::rows::decompose::decompose;
use crate::rows::row::Value;

/// Settings of a retry.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Treatment of the values of deleted records.
    pub tombstones: Tombstones,
    /// Whether the change log contains old and new values.
    pub change_values: bool,
}

/// A record that was retried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retried {
    /// The record without its JSON: as it was in quarantine or, if it stays there, as it is now.
    pub record: Quarantined,
    /// The changes. `None` if the record stays in quarantine, even if a part of it was applied.
    pub applied: Option<RunCounts>,
}

impl Retried {
    fn new(record: Quarantined, applied: Option<RunCounts>) -> Self {
        Self { record: Quarantined { json: String::new(), ..record }, applied }
    }
}

/// Number of records in a transaction.
const PAGE: usize = 200;

/// Retries all records of an integration that are in quarantine.
///
/// A record counts as observed when it was fetched, so rows that were observed later stay. Records stay in quarantine
/// if they cannot be read, or the database rejects them. The readable parts of a record are applied.
pub async fn retry<S: Store>(
    store: &S,
    integration: &IntegrationId,
    policy: RetryPolicy,
    now: Timestamp,
) -> Result<Vec<Retried>, StoreError> {
    let mut retried = Vec::new();
    for endpoint in Endpoint::ALL {
        let mut from = Some(String::new());
        while let Some(first) = from {
            let (page, next) = retry_page(store, integration, endpoint, first, policy, now).await?;
            retried.extend(page);
            from = next;
        }
    }
    Ok(retried)
}

/// Retries a page of records. Returns the id at which the next page starts.
async fn retry_page<S: Store>(
    store: &S,
    integration: &IntegrationId,
    endpoint: Endpoint,
    from: String,
    policy: RetryPolicy,
    now: Timestamp,
) -> Result<(Vec<Retried>, Option<String>), StoreError> {
    let (id, first) = (integration.clone(), from.clone());
    let together = move |tx: &mut dyn Tx| {
        let mut records = tx.quarantined(QuarantinePart::From(&id, endpoint, &first), PAGE + 1)?;
        let next = records.split_off(records.len().min(PAGE)).pop().map(|record| record.record_id);
        let retried: TxResult<Vec<Retried>> =
            records.into_iter().map(|record| try_again(tx, record, policy, now)).collect();
        Ok::<_, StoreError>((retried?, next))
    };
    match store.transact(Scope::Integration(integration.clone()), together).await {
        Err(error) if error.may_lie_in_a_row() => one_by_one(store, integration, endpoint, from, policy, now).await,
        result => result,
    }
}

/// Retries each record of a page in its own transaction, so that a rejected record does not affect the others.
async fn one_by_one<S: Store>(
    store: &S,
    integration: &IntegrationId,
    endpoint: Endpoint,
    from: String,
    policy: RetryPolicy,
    now: Timestamp,
) -> Result<(Vec<Retried>, Option<String>), StoreError> {
    let id = integration.clone();
    let mut page = store.read(move |tx| tx.quarantined(QuarantinePart::From(&id, endpoint, &from), PAGE + 1)).await?;
    let next = page.split_off(page.len().min(PAGE)).pop().map(|record| record.record_id);
    let mut retried = Vec::new();
    for listed in page {
        let wanted = listed.clone();
        let alone = move |tx: &mut dyn Tx| {
            // The record may have been replaced or released since it was listed.
            let found = tx.quarantined(QuarantinePart::From(&wanted.integration_id, endpoint, &wanted.record_id), 1)?;
            if found.contains(&wanted) { try_again(tx, wanted, policy, now).map(Some) } else { Ok(None) }
        };
        match store.transact(Scope::Integration(integration.clone()), alone).await {
            Ok(record) => retried.extend(record),
            Err(error) if error.may_lie_in_a_row() => {
                let record = Quarantined { reason: error.to_string(), ..listed };
                let kept = record.clone();
                let keep = move |tx: &mut dyn Tx| tx.put_quarantined(&[kept]);
                store.transact(Scope::Integration(integration.clone()), keep).await?;
                retried.push(Retried::new(record, None));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((retried, next))
}

fn try_again(tx: &mut dyn Tx, mut record: Quarantined, policy: RetryPolicy, now: Timestamp) -> TxResult<Retried> {
    // The reason is not updated: a parser's message may quote the record, and not everybody may read that.
    let read = Record::read_in_part(record.endpoint, &record.json);
    let Ok(InPart { record: read, mut faults }) = read else { return Ok(Retried::new(record, None)) };
    let mut batch = Batch::default();
    match decompose(read, record.observed_at, &mut batch) {
        Ok(unstorable) => faults.extend(unstorable),
        Err(fault) => faults = vec![fault],
    }
    give_way(tx, &record.integration_id, &mut batch, now)?;
    let run = run_of(&record);
    let applying = Applying {
        run: &run,
        // Compared as in a delta, so a record older than the stored row is stale.
        reading: Reading {
            kind: SyncKind::Delta,
            tombstones: policy.tombstones,
            known_until: None,
            announced: false,
            now,
            settles: false,
            latest: latest_credible(now, None),
        },
        quiet: not_loaded(tx, &record.integration_id, record.endpoint)?,
        change_values: policy.change_values,
        unlisted: Unlisted::Guard { approved: 0 },
        now,
    };
    let applied = apply_without_lease(tx, &batch, &applying)?;
    if let Some(fault) = Fault::join(faults) {
        (record.path, record.reason) = (fault.path, fault.reason);
        tx.put_quarantined(std::slice::from_ref(&record))?;
        return Ok(Retried::new(record, None));
    }
    tx.clear_quarantined(
        &record.integration_id,
        record.endpoint,
        QuarantineRelease::Ids(std::slice::from_ref(&record.record_id)),
    )?;
    Ok(Retried::new(record, Some(applied)))
}

/// Keeps the values from later copies for rows that are known only from copies. Such rows have no `changed_at` to
/// compare.
fn give_way(tx: &mut dyn Tx, integration: &IntegrationId, batch: &mut Batch, now: Timestamp) -> TxResult<()> {
    for incoming in &mut batch.rows {
        let Incoming { model, row, provenance, observed_at } = incoming;
        if *provenance == Provenance::Copy {
            continue;
        }
        for stored in tx.rows(*model, integration, std::slice::from_ref(&row.key))? {
            if stored.row.changed_at().is_some() || stored.observed_at(now) <= *observed_at {
                continue;
            }
            for (said, held) in row.values_mut().iter_mut().zip(stored.row.values()) {
                if !held.is_null() {
                    *said = Value::Absent;
                }
            }
        }
    }
    Ok(())
}

/// Returns the models of an endpoint's category that no endpoint has completely loaded. Their changes are not logged.
fn not_loaded(tx: &mut dyn Tx, integration: &IntegrationId, endpoint: Endpoint) -> TxResult<BTreeSet<Model>> {
    let mut models = BTreeSet::new();
    for model in endpoint.category().models() {
        let mut shown_by = model.embedded_by().iter().copied().chain([model.owner()]);
        let mut is_loaded = |endpoint| queue::state(tx, integration, endpoint).map(|state| state.loaded_at.is_some());
        if !shown_by.try_fold(false, |loaded, endpoint| Ok::<_, StoreError>(loaded || is_loaded(endpoint)?))? {
            models.insert(model);
        }
    }
    Ok(models)
}

/// Returns a run with the data needed to apply the record.
fn run_of(record: &Quarantined) -> Run {
    let target =
        Target { integration_id: record.integration_id.clone(), endpoint: record.endpoint, kind: SyncKind::Delta };
    Run {
        id: record.run_id,
        target,
        outcome: RunOutcome::Running,
        started_at: record.observed_at,
        finished_at: None,
        updated_after: None,
        fetch_started_at: None,
        first_load: false,
        phase: RunPhase::Pages,
        page_cursor: None,
        batches: 0,
        counts: RunCounts::default(),
        error: None,
    }
}
