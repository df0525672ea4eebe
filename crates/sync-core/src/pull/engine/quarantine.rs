use kombo_model::catalogue::{Content, Field, Node, Record, Shape, SlotTo};
use kombo_model::{Fault, Timestamp};

use crate::jobs::endpoint::EndpointStatus;
use crate::jobs::request::SyncKind;
use crate::ports::error::{StoreError, TxResult};
use crate::ports::source::{Rejected, SourceError};
use crate::ports::store::QuarantinePart;
use crate::ports::store::Tx;
use crate::pull::quarantined::Quarantined;
use crate::pull::run::Run;
use crate::rows::ColumnKind;
use crate::rows::batch::Incoming;
use crate::rows::counts::RunCounts;
use crate::rows::decompose::{MAX_DOCUMENT_DEPTH, MAX_ID_BYTES, MAX_OPAQUE_DEPTH};
use crate::rows::json::{bounded_name, is_deeper};

/// Returns the quarantine entry of a record that could not be read, at least in part.
pub(super) fn unreadable(run: &Run, rejected: Rejected, observed_at: Timestamp) -> Quarantined {
    Quarantined {
        integration_id: run.target.integration_id.clone(),
        endpoint: run.target.endpoint,
        record_id: rejected.name(),
        json: rejected.json,
        path: crate::rows::json::clean_text(rejected.path),
        reason: crate::rows::json::clean_text(rejected.reason),
        observed_at,
        run_id: run.id,
    }
}

/// Returns the quarantine entry of a record that no database can store, at least in part.
pub(super) fn unstorable(run: &Run, id: &str, json: String, fault: Fault, observed_at: Timestamp) -> Quarantined {
    let rejected =
        Rejected { id: Some(id.to_owned()).filter(|id| !id.is_empty()), json, path: fault.path, reason: fault.reason };
    unreadable(run, rejected, observed_at)
}

/// Returns the quarantine entry of an id on which the look-up fails. It has no text, so a retry cannot store anything.
pub(super) fn undecided(run: &Run, id: &str, error: &SourceError, observed_at: Timestamp) -> Quarantined {
    let reason = format!(
        "no page showed the record, and the look-up of its id fails while others succeed, so its row stays as it is until \
         a full fetch can look it up: {error}"
    );
    let (id, path) = (Some(id.to_owned()), "id".to_owned());
    unreadable(run, Rejected { id, json: String::new(), path, reason }, observed_at)
}

/// Returns the reason to report an endpoint as unreadable after a complete run: at least ten records, and half of those
/// that Kombo shows, are in quarantine. A delta with few records does not end this state.
pub(super) fn too_much(tx: &mut dyn Tx, run: &Run, status: EndpointStatus) -> TxResult<Option<String>> {
    const LEAST: u64 = 10;
    let (integration, endpoint) = (&run.target.integration_id, run.target.endpoint);
    let aside = tx.quarantine_size(QuarantinePart::Endpoint(integration, endpoint))?;
    let RunCounts { records, quarantined, .. } = run.counts;
    let of_run = records >= LEAST && quarantined.min(aside).saturating_mul(2) >= records;
    let goes_on = status == EndpointStatus::Unreadable && run.target.kind == SyncKind::Delta;
    let is_much = aside > 0
        && (of_run
            || goes_on
            // The records of small deltas add up.
            || aside >= LEAST && aside >= tx.live_rows(endpoint.lists(), integration)?);
    Ok(is_much.then(|| {
        format!("{aside} records cannot be read or stored and are in quarantine: `syncd quarantine list` names them")
    }))
}

/// Whether a record might be unstorable, so that its text must be kept until that is known.
pub(super) fn suspicious(record: &Record) -> bool {
    is_suspicious(&record.node, &record.endpoint.info().shape)
}

fn is_suspicious(node: &Node, shape: &Shape) -> bool {
    let is_no_key = |id: &str| id.is_empty() || id.len() > MAX_ID_BYTES;
    if !shape.id.is_empty() && is_no_key(&node.id) {
        return true;
    }
    let mut values = shape.slots.iter().filter_map(|slot| match slot.to {
        SlotTo::Value { place, kind } => Some((kind, node.values.get(place)?)),
        SlotTo::Id | SlotTo::Nested(_) => None,
    });
    let is_odd = values.any(|(kind, value)| match (kind, value) {
        (ColumnKind::Id, Field::Text(id)) => is_no_key(id),
        (ColumnKind::Document, Field::Json(json)) => is_deeper(json.as_str(), MAX_DOCUMENT_DEPTH),
        (ColumnKind::Opaque, Field::Json(json)) => is_deeper(json.as_str(), MAX_OPAQUE_DEPTH),
        _ => false,
    });
    is_odd
        || node.nested.iter().zip(shape.nested).any(|(content, nested)| match content {
            Content::Nodes { nodes, .. } => nodes.iter().any(|node| is_suspicious(node, &nested.shape)),
            Content::Absent | Content::Null => false,
        })
}

/// Returns the quarantine entry of a row that the database rejects.
pub(super) fn refused(run: &Run, row: &Incoming, error: &StoreError, observed_at: Timestamp) -> Quarantined {
    Quarantined {
        integration_id: run.target.integration_id.clone(),
        endpoint: run.target.endpoint,
        record_id: bounded_name(row.row.key.to_string()),
        json: row_json(row),
        path: row.model.to_string(),
        reason: error.to_string(),
        observed_at,
        run_id: run.id,
    }
}

/// Returns a row as JSON, for people.
fn row_json(row: &Incoming) -> String {
    let columns = row.model.columns().iter().zip(row.row.values());
    let object: serde_json::Map<_, _> =
        columns.map(|(column, value)| (column.name.to_owned(), value.to_json())).collect();
    serde_json::Value::Object(object).to_string()
}
