use kombo_model::{Fault, FreeJson, Timestamp};

use crate::jobs::endpoint::EndpointStatus;
use crate::jobs::request::SyncKind;
use crate::ports::error::{StoreError, TxResult};
use crate::ports::source::{Record, Rejected, SourceError};
use crate::ports::store::QuarantinePart;
use crate::ports::store::Tx;
use crate::pull::quarantined::Quarantined;
use crate::pull::run::Run;
use crate::rows::batch::Incoming;
use crate::rows::counts::RunCounts;
use crate::rows::decompose::{MAX_DOCUMENT_DEPTH, MAX_ID_BYTES, MAX_OPAQUE_DEPTH};
use crate::rows::json::{bounded_name, is_deeper};
use crate::rows::model::Model;

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
            || aside >= LEAST && aside >= tx.live_rows(Model::listed_by(endpoint), integration)?);
    Ok(is_much.then(|| {
        format!("{aside} records cannot be read or stored and are in quarantine: `syncd quarantine list` names them")
    }))
}

/// Whether a record might be unstorable, so that its text must be kept until that is known.
pub(super) fn suspicious(record: &Record) -> bool {
    let deep = |opaque: &Option<FreeJson>, documents: [&Option<FreeJson>; 2]| {
        let is_deep = |json: &Option<FreeJson>, limit| json.as_ref().is_some_and(|it| is_deeper(it.as_str(), limit));
        is_deep(opaque, MAX_OPAQUE_DEPTH) || documents.into_iter().any(|json| is_deep(json, MAX_DOCUMENT_DEPTH))
    };
    let is_deep = match record {
        Record::User(it) => deep(&it.remote_data, [&it.custom_fields, &it.integration_fields]),
        Record::Skill(it) => deep(&it.remote_data, [&it.custom_fields, &it.integration_fields]),
        Record::CourseProgression(it) => deep(&it.remote_data, [&None, &None]),
        Record::Course(course) => {
            let mut revisions = course.revisions.value().into_iter().flatten();
            deep(&course.remote_data, [&course.custom_fields, &course.integration_fields])
                || revisions.any(|it| deep(&it.remote_data, [&it.custom_fields, &it.integration_fields]))
        }
    };
    is_deep || is_no_key(record.id()) || nests_without_key(record)
}

/// Whether an id cannot be a key.
fn is_no_key(id: &str) -> bool {
    id.is_empty() || id.len() > MAX_ID_BYTES
}

/// Whether the id of a nested or referenced record cannot be a key.
fn nests_without_key(record: &Record) -> bool {
    match record {
        Record::User(_) | Record::Skill(_) => false,
        Record::CourseProgression(progression) => {
            let revision = progression.course_revision.value();
            let course = revision.and_then(|revision| revision.course.value());
            progression.user_id.as_ref().is_some_and(|id| is_no_key(id.as_str()))
                || progression.course_revision_id.as_ref().is_some_and(|id| is_no_key(id.as_str()))
                || progression.user.value().is_some_and(|user| is_no_key(user.id.as_str()))
                || revision.is_some_and(|revision| is_no_key(revision.id.as_str()))
                || course.is_some_and(|course| is_no_key(course.id.as_str()))
        }
        Record::Course(course) => {
            let mut revisions = course.revisions.value().into_iter().flatten();
            course.provider_id.as_ref().is_some_and(|id| is_no_key(id.as_str()))
                || course.provider.value().is_some_and(|provider| is_no_key(provider.id.as_str()))
                || revisions.any(|revision| {
                    let mut assignments = revision.skill_assignments.value().into_iter().flatten();
                    is_no_key(revision.id.as_str()) || assignments.any(|it| is_no_key(it.skill.id.as_str()))
                })
        }
    }
}

/// Returns a record as JSON.
pub(super) fn record_json(record: &Record) -> String {
    let json = match record {
        Record::User(user) => serde_json::to_string(user),
        Record::Course(course) => serde_json::to_string(course),
        Record::CourseProgression(progression) => serde_json::to_string(progression),
        Record::Skill(skill) => serde_json::to_string(skill),
    };
    json.unwrap_or_default()
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
