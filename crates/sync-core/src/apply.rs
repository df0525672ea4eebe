//! Applies what pages say to the mirror: writes what differs, logs what changed.

use std::collections::BTreeSet;

use kombo_model::Timestamp;

use crate::assess::{Assessing, Assessment, Finding, assess_or_insert, assess_removal};
use crate::compare::{ChangedField, Reading, first_values};
use crate::mirror::{Batch, Model};
use crate::port::{Tx, TxResult};
use crate::types::{Change, Run, RunCounts};

/// What applying a batch needs to know besides the batch.
#[derive(Debug, Clone)]
pub struct Applying<'a> {
    /// The run that the batch belongs to.
    pub run: &'a Run,
    /// How to read its rows.
    pub reading: Reading,
    /// Models whose first complete load is not over, so that the log stays quiet: the table itself says it.
    pub quiet: BTreeSet<Model>,
    /// Whether the log gets old and new values.
    pub change_values: bool,
    /// When the batch is applied.
    pub now: Timestamp,
}

impl Applying<'_> {
    /// The model of which most likely none of the listed rows is stored: that of a first load which met nothing else so
    /// far. Such rows are not logged.
    fn likely_new(&self) -> Option<Model> {
        let model = Model::listed_by(self.run.target.endpoint);
        let RunCounts { updated, restored, unchanged, indirect, stale, .. } = self.run.counts;
        let met_others = updated + restored + unchanged + indirect + stale > 0;
        (self.run.first_load && self.quiet.contains(&model) && !met_others).then_some(model)
    }

    fn assessing(&self) -> Assessing<'_> {
        let target = &self.run.target;
        Assessing { integration: &target.integration_id, endpoint: target.endpoint, reading: self.reading }
    }
}

/// Applies `batch` within a unit of work that holds the integration's scope. Applying it again changes nothing.
pub fn apply(tx: &mut dyn Tx, batch: &Batch, applying: &Applying<'_>) -> TxResult<RunCounts> {
    apply_and_tell(tx, batch, applying).map(|applied| applied.counts)
}

/// What became of a batch.
pub(crate) struct Applied {
    pub(crate) counts: RunCounts,
    /// The ids of records that a later response kept out.
    pub(crate) stale: BTreeSet<String>,
    /// Whether the change log got an entry.
    pub(crate) logged: bool,
}

/// As [`apply`], and tells more.
pub(crate) fn apply_and_tell(tx: &mut dyn Tx, batch: &Batch, applying: &Applying<'_>) -> TxResult<Applied> {
    let mut assessment = assess_or_insert(tx, batch, applying.assessing(), applying.likely_new())?;
    let stale = std::mem::take(&mut assessment.stale);
    let counts = assessment.counts;
    Ok(Applied { counts, stale, logged: write(tx, assessment, applying)? })
}

/// Marks rows as removed which a full fetch did not show and a look-up by id did not find, with the members of their
/// lists.
pub fn sweep(tx: &mut dyn Tx, ids: &[String], looked_up_at: Timestamp, applying: &Applying<'_>) -> TxResult<RunCounts> {
    let assessment = assess_removal(tx, ids, looked_up_at, applying.assessing())?;
    let counts = assessment.counts;
    write(tx, assessment, applying).map(|_| counts)
}

/// Says whether the change log got an entry.
fn write(tx: &mut dyn Tx, assessment: Assessment<'_>, applying: &Applying<'_>) -> TxResult<bool> {
    let changes: Vec<Change> =
        assessment.findings.iter().filter_map(|finding| change(finding, &assessment, applying)).collect();
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

/// A finding's entry in the change log, if it gets one.
fn change(finding: &Finding, assessment: &Assessment<'_>, applying: &Applying<'_>) -> Option<Change> {
    let kind = finding.kind?;
    if applying.quiet.contains(&finding.model) {
        return None;
    }
    let fields = match assessment.row(finding) {
        Some(row) if finding.is_new => fields_json(&first_values(finding.model, row), applying.change_values),
        _ => fields_json(&finding.fields, applying.change_values),
    };
    Some(Change {
        seq: 0,
        integration_id: applying.run.target.integration_id.clone(),
        model: finding.model,
        record_id: finding.key.to_string(),
        kind,
        cause: finding.cause,
        fields,
        run_id: applying.run.id,
        at: applying.now,
    })
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
