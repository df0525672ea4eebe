//! Tries records in quarantine again: a newer program may read what an older one could not.

use std::collections::BTreeSet;

use kombo_model::{IntegrationId, Timestamp};

use crate::apply::{Applying, Unlisted, apply};
use crate::compare::Reading;
use crate::mirror::{Batch, Incoming, Model, Standing, Value, decompose};
use crate::port::{Record, Scope, Store, StoreError, Tx, TxResult};
use crate::queue;
use crate::types::{Quarantined, Run, RunCounts, RunOutcome, RunPhase, SyncKind, Target, Tombstones};

/// How records are tried again.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// What becomes of the values of deleted records.
    pub tombstones: Tombstones,
    /// Whether the change log gets old and new values.
    pub change_values: bool,
}

/// A record that was tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retried {
    /// The record as it was in quarantine or, if it stays there, as it is there now.
    pub record: Quarantined,
    /// What it changed; nothing if it stays in quarantine.
    pub applied: Option<RunCounts>,
}

/// Tries every record of an integration that is in quarantine.
///
/// A record counts as observed when it was fetched: what was observed later stays. What a database refuses stays in
/// quarantine, and so does what cannot be read.
pub async fn retry<S: Store>(
    store: &S,
    integration: &IntegrationId,
    policy: RetryPolicy,
    now: Timestamp,
) -> Result<Vec<Retried>, StoreError> {
    let id = integration.clone();
    let together = move |tx: &mut dyn Tx| {
        let records = tx.quarantined(Some(&id))?;
        records.into_iter().map(|record| try_again(tx, record, policy, now)).collect()
    };
    match store.transact(Scope::Integration(integration.clone()), together).await {
        Err(error) if error.may_lie_in_a_row() => one_by_one(store, integration, policy, now).await,
        result => result,
    }
}

/// A unit for each record, so that one that the database refuses does not keep the others from passing.
async fn one_by_one<S: Store>(
    store: &S,
    integration: &IntegrationId,
    policy: RetryPolicy,
    now: Timestamp,
) -> Result<Vec<Retried>, StoreError> {
    let id = integration.clone();
    let mut retried = Vec::new();
    for listed in store.read(move |tx| tx.quarantined(Some(&id))).await? {
        let wanted = listed.clone();
        let alone = move |tx: &mut dyn Tx| {
            // It may have been replaced or taken out since it was listed.
            let is_there = tx.quarantined(Some(&wanted.integration_id))?.contains(&wanted);
            if is_there { try_again(tx, wanted, policy, now).map(Some) } else { Ok(None) }
        };
        match store.transact(Scope::Integration(integration.clone()), alone).await {
            Ok(record) => retried.extend(record),
            Err(error) if error.may_lie_in_a_row() => {
                let record = Quarantined { reason: error.to_string(), ..listed };
                let kept = record.clone();
                let keep = move |tx: &mut dyn Tx| tx.put_quarantined(&[kept]);
                store.transact(Scope::Integration(integration.clone()), keep).await?;
                retried.push(Retried { record, applied: None });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(retried)
}

fn try_again(tx: &mut dyn Tx, mut record: Quarantined, policy: RetryPolicy, now: Timestamp) -> TxResult<Retried> {
    // Its JSON may hold anything, so what a parser says of it is not for everybody to read: the old reason stays.
    let Ok(read) = Record::read(record.endpoint, &record.json) else { return Ok(Retried { record, applied: None }) };
    let mut batch = Batch::default();
    if let Err(fault) = decompose(read, record.observed_at, &mut batch) {
        (record.path, record.reason) = (fault.path, fault.reason);
        tx.put_quarantined(std::slice::from_ref(&record))?;
        return Ok(Retried { record, applied: None });
    }
    give_way(tx, &record.integration_id, &mut batch, now)?;
    let run = run_of(&record);
    let applying = Applying {
        run: &run,
        // As a delta: what is older than the stored row is stale.
        reading: Reading {
            kind: SyncKind::Delta,
            tombstones: policy.tombstones,
            known_until: None,
            announced: false,
            now,
        },
        quiet: not_loaded(tx, &record.integration_id)?,
        change_values: policy.change_values,
        unlisted: Unlisted::Guard { approved: 0 },
        now,
    };
    let applied = apply(tx, &batch, &applying)?;
    tx.clear_quarantined(&record.integration_id, record.endpoint, std::slice::from_ref(&record.record_id))?;
    Ok(Retried { record, applied: Some(applied) })
}

/// Lets rows that are known from later copies only keep what those said: such rows have no `changed_at` to compare.
fn give_way(tx: &mut dyn Tx, integration: &IntegrationId, batch: &mut Batch, now: Timestamp) -> TxResult<()> {
    for incoming in &mut batch.rows {
        let Incoming { model, row, standing, observed_at } = incoming;
        if *standing == Standing::Copy {
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

/// The models of which no endpoint has a complete load yet: their log stays quiet.
fn not_loaded(tx: &mut dyn Tx, integration: &IntegrationId) -> TxResult<BTreeSet<Model>> {
    let mut models = BTreeSet::new();
    for model in Model::ALL {
        let mut shown_by = model.embedded_by().iter().copied().chain([model.owner()]);
        let mut is_loaded = |endpoint| queue::state(tx, integration, endpoint).map(|state| state.loaded_at.is_some());
        if !shown_by.try_fold(false, |loaded, endpoint| Ok::<_, StoreError>(loaded || is_loaded(endpoint)?))? {
            models.insert(model);
        }
    }
    Ok(models)
}

/// The run that fetched the record, as far as applying it needs to know.
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
