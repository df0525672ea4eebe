//! Applies pages to the mirror: writes rows that differ and logs changes.

use std::collections::{BTreeMap, BTreeSet};

use kombo_model::Timestamp;

use crate::changes::Change;
use crate::jobs::lease::LeasedTx;
use crate::jobs::request::SyncKind;
use crate::ports::error::{Invariant, TxResult};
use crate::ports::store::Tx;
use crate::pull::run::Run;
use crate::rows::Model;
use crate::rows::assess::{
    Assessing, Assessment, Finding, Lists, assess, assess_or_insert, assess_removal, assess_removal_of,
};
use crate::rows::batch::Batch;
use crate::rows::compare::{ChangedField, Reading, first_values};
use crate::rows::counts::RunCounts;
use crate::rows::removals;
use crate::rows::row::Key;
use crate::rows::unlisted::Found;

/// The context in which a batch is applied.
#[derive(Debug, Clone)]
pub struct Applying<'a> {
    /// The run that the batch belongs to.
    pub run: &'a Run,
    /// The context in which rows are compared.
    pub reading: Reading,
    /// Models with an unfinished first load. Their changes are not logged, because the table itself shows them.
    pub quiet: BTreeSet<Model>,
    /// Whether the log contains old and new values.
    pub change_values: bool,
    /// Treatment of rows that the list of their record no longer shows.
    pub unlisted: Unlisted,
    /// When the batch is applied.
    pub now: Timestamp,
}

/// Treatment of rows that the list of their record no longer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlisted {
    /// Remove them.
    Remove,
    /// Keep them. A full fetch removes them at its end, when their number is known.
    Leave,
    /// Remove them, unless the removals of the run so far are suspiciously many and exceed the approved number. Then
    /// keep them and count them as withheld.
    Guard {
        /// Number of removals that a person approved.
        approved: u64,
    },
}

impl Applying<'_> {
    /// Returns the listed model if its rows are probably all new: in a first load that has found no stored row so far.
    /// Such rows are not logged.
    fn likely_new(&self) -> Option<Model> {
        let model = self.run.target.endpoint.lists();
        let RunCounts { updated, restored, unchanged, indirect, stale, .. } = self.run.counts;
        let met_others = updated + restored + unchanged + indirect + stale > 0;
        (self.run.first_load && self.quiet.contains(&model) && !met_others).then_some(model)
    }

    pub(crate) fn assessing(&self, lists: Lists) -> Assessing<'_> {
        let target = &self.run.target;
        let notes = (target.kind == SyncKind::Full).then_some(self.run.id);
        Assessing {
            integration: &target.integration_id,
            endpoint: target.endpoint,
            reading: self.reading,
            lists,
            notes,
        }
    }

    /// Whether rows that lists no longer show must be kept.
    fn withholds(&self, tx: &mut dyn Tx, unlisted: &BTreeMap<Model, u64>) -> TxResult<bool> {
        let Unlisted::Guard { approved } = self.unlisted else { return Ok(false) };
        let RunCounts { unlisted: before, withheld, .. } = self.run.counts;
        let (mut count, mut live) = (before, before);
        for number in unlisted.values() {
            count += number;
        }
        if count == 0 || count <= approved {
            return Ok(false);
        }
        if withheld > 0 {
            return Ok(true);
        }
        for (model, number) in unlisted {
            let of_model = tx.live_rows(*model, &self.run.target.integration_id)?;
            if removals::are_many(*number, of_model) {
                return Ok(true);
            }
            live += of_model;
        }
        Ok(removals::are_many(count, live))
    }
}

/// Applies `batch` in a transaction with the integration's scope. Applying it again changes nothing.
pub fn apply(tx: &mut LeasedTx<'_>, batch: &Batch, applying: &Applying<'_>) -> TxResult<RunCounts> {
    apply_and_tell(tx, batch, applying).map(|applied| applied.counts)
}

/// Applies records from the quarantine, which no current run fetches.
pub(crate) fn apply_without_lease(tx: &mut dyn Tx, batch: &Batch, applying: &Applying<'_>) -> TxResult<RunCounts> {
    apply_batch(tx, batch, applying).map(|applied| applied.counts)
}

/// The result of applying a batch.
pub(crate) struct Applied {
    pub(crate) counts: RunCounts,
    /// Ids of the records that are older than the stored ones.
    pub(crate) stale: BTreeSet<String>,
    /// Keys of the revisions that are older than the stored ones.
    pub(crate) outdated: BTreeMap<Model, BTreeSet<Key>>,
    /// Whether entries were added to the change log.
    pub(crate) logged: bool,
}

/// Applies `batch` like [`apply`], with a more detailed result.
pub(crate) fn apply_and_tell(tx: &mut LeasedTx<'_>, batch: &Batch, applying: &Applying<'_>) -> TxResult<Applied> {
    apply_batch(&mut **tx, batch, applying)
}

fn apply_batch(tx: &mut dyn Tx, batch: &Batch, applying: &Applying<'_>) -> TxResult<Applied> {
    let lists = if applying.unlisted == Unlisted::Leave { Lists::Leave } else { Lists::Remove };
    let mut assessment = assess_or_insert(tx, batch, applying.assessing(lists), applying.likely_new())?;
    let unlisted = std::mem::take(&mut assessment.unlisted);
    let count: u64 = unlisted.values().sum();
    if applying.withholds(tx, &unlisted)? {
        assessment = assess(tx, batch, applying.assessing(Lists::Leave))?;
        assessment.counts.withheld = count;
    } else {
        assessment.counts.unlisted = count;
    }
    let (stale, outdated) = (std::mem::take(&mut assessment.stale), std::mem::take(&mut assessment.outdated));
    let counts = assessment.counts;
    Ok(Applied { counts, stale, outdated, logged: write(tx, assessment, applying)? })
}

/// Marks rows as removed, with the members of their lists. A full fetch did not show the rows, and a look-up by id did
/// not find them.
pub(crate) fn sweep(
    tx: &mut LeasedTx<'_>,
    ids: &[String],
    looked_up_at: Timestamp,
    applying: &Applying<'_>,
) -> TxResult<RunCounts> {
    let assessment = assess_removal(&mut **tx, ids, looked_up_at, applying.assessing(Lists::Remove))?;
    let counts = assessment.counts;
    write(&mut **tx, assessment, applying).map(|_| counts)
}

/// Marks rows of any model as removed, with the members of their lists. A full fetch that began at `began_at` did not
/// show the rows.
pub(crate) fn remove_unlisted(
    tx: &mut LeasedTx<'_>,
    found: &Found,
    began_at: Timestamp,
    applying: &Applying<'_>,
) -> TxResult<RunCounts> {
    let mut counts = RunCounts::default();
    for (cause, keys) in &found.keys {
        let assessing = applying.assessing(Lists::Remove);
        let assessment = assess_removal_of(&mut **tx, found.model, keys, began_at, *cause, assessing)?;
        counts.add(&assessment.counts);
        write(&mut **tx, assessment, applying)?;
    }
    Ok(counts)
}

/// Writes and logs the findings. Returns whether the change log got an entry.
fn write(tx: &mut dyn Tx, assessment: Assessment<'_>, applying: &Applying<'_>) -> TxResult<bool> {
    let changes = assessment.findings.iter().filter_map(|finding| change(finding, &assessment, applying).transpose());
    let changes: Vec<Change> = changes.collect::<Result<_, Invariant>>()?;
    let integration = &applying.run.target.integration_id;
    for (model, table) in assessment.into_tables() {
        let new = table.new_rows();
        if !new.is_empty() {
            tx.insert_rows(model, integration, &new)?;
        }
        let replacing = table.into_replacing();
        if !replacing.is_empty() {
            tx.put_rows(model, integration, &replacing)?;
        }
    }
    if !changes.is_empty() {
        tx.append_changes(&changes)?;
    }
    Ok(!changes.is_empty())
}

/// Returns the change log entry of a finding, if it has one.
fn change(
    finding: &Finding,
    assessment: &Assessment<'_>,
    applying: &Applying<'_>,
) -> Result<Option<Change>, Invariant> {
    let Some(kind) = finding.kind.filter(|_| !applying.quiet.contains(&finding.model)) else { return Ok(None) };
    let row = assessment.row(finding).ok_or(Invariant::EntryWithoutRow(finding.model))?;
    let fields = if finding.is_new {
        fields_json(&first_values(finding.model, row), applying.change_values)
    } else {
        fields_json(&finding.fields, applying.change_values)
    };
    Ok(Some(Change {
        seq: 0,
        integration_id: applying.run.target.integration_id.clone(),
        model: finding.model,
        record_id: finding.key.to_string(),
        kind,
        cause: finding.cause,
        fields,
        run_id: applying.run.id,
        at: applying.now,
    }))
}

fn fields_json(fields: &[ChangedField], values: bool) -> serde_json::Value {
    if values {
        let entry = |field: &ChangedField| {
            let value = serde_json::json!({ "old": field.old.to_json(), "new": field.new.to_json() });
            (field.name.to_owned(), value)
        };
        serde_json::Value::Object(fields.iter().map(entry).collect())
    } else {
        fields.iter().map(|field| serde_json::Value::String(field.name.to_owned())).collect()
    }
}
