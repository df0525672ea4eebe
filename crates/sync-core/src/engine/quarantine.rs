use kombo_model::{FreeJson, Timestamp};

use crate::mirror::{Incoming, MAX_DOCUMENT_DEPTH, MAX_OPAQUE_DEPTH, Model, Unstorable, is_deeper};
use crate::port::{Record, Rejected, StoreError, Tx, TxResult};
use crate::types::{EndpointStatus, Quarantined, Run, RunCounts, SyncKind};

/// A record that could not be read.
pub(super) fn unreadable(run: &Run, rejected: Rejected, observed_at: Timestamp) -> Quarantined {
    Quarantined {
        integration_id: run.target.integration_id.clone(),
        endpoint: run.target.endpoint,
        record_id: rejected.name(),
        json: rejected.json,
        path: crate::mirror::clean_text(rejected.path),
        reason: crate::mirror::clean_text(rejected.reason),
        observed_at,
        run_id: run.id,
    }
}

/// A record that no database can hold.
pub(super) fn unstorable(run: &Run, id: &str, json: String, fault: Unstorable, observed_at: Timestamp) -> Quarantined {
    let rejected =
        Rejected { id: Some(id.to_owned()).filter(|id| !id.is_empty()), json, path: fault.path, reason: fault.reason };
    unreadable(run, rejected, observed_at)
}

/// Why an endpoint is not well although its run did all it was for: at least half of what Kombo shows is in quarantine, of
/// ten records or more. A delta that returns few records does not end this state.
pub(super) fn too_much(tx: &mut dyn Tx, run: &Run, status: EndpointStatus) -> TxResult<Option<String>> {
    const LEAST: u64 = 10;
    let (integration, endpoint) = (&run.target.integration_id, run.target.endpoint);
    let aside = tx.quarantine_size(integration, endpoint)?;
    let RunCounts { records, quarantined, .. } = run.counts;
    let of_run = records >= LEAST && quarantined.min(aside).saturating_mul(2) >= records;
    let goes_on = status == EndpointStatus::Unreadable && run.target.kind == SyncKind::Delta;
    let is_much = aside > 0
        && (of_run
            || goes_on
            // Small deltas add up.
            || aside >= LEAST && aside >= tx.live_rows(Model::listed_by(endpoint), integration)?);
    Ok(is_much.then(|| {
        format!("{aside} records cannot be read or stored and are in quarantine: `syncd quarantine list` names them")
    }))
}

/// Whether a record might turn out to be unstorable, so that its text should be kept until that is known.
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
    is_deep || record.id().is_empty() || nests_without_id(record)
}

/// Whether a record that is nested in this one has no id.
fn nests_without_id(record: &Record) -> bool {
    match record {
        Record::User(_) | Record::Skill(_) => false,
        Record::CourseProgression(progression) => {
            let revision = progression.course_revision.value();
            let course = revision.and_then(|revision| revision.course.value());
            progression.user.value().is_some_and(|user| user.id.as_str().is_empty())
                || revision.is_some_and(|revision| revision.id.as_str().is_empty())
                || course.is_some_and(|course| course.id.as_str().is_empty())
        }
        Record::Course(course) => {
            let mut revisions = course.revisions.value().into_iter().flatten();
            course.provider.value().is_some_and(|provider| provider.id.as_str().is_empty())
                || revisions.any(|revision| {
                    let mut assignments = revision.skill_assignments.value().into_iter().flatten();
                    revision.id.as_str().is_empty() || assignments.any(|it| it.skill.id.as_str().is_empty())
                })
        }
    }
}

/// A record as JSON again.
pub(super) fn record_json(record: &Record) -> String {
    let json = match record {
        Record::User(user) => serde_json::to_string(user),
        Record::Course(course) => serde_json::to_string(course),
        Record::CourseProgression(progression) => serde_json::to_string(progression),
        Record::Skill(skill) => serde_json::to_string(skill),
    };
    json.unwrap_or_default()
}

/// A row that the database does not take.
pub(super) fn refused(run: &Run, row: &Incoming, error: &StoreError, observed_at: Timestamp) -> Quarantined {
    Quarantined {
        integration_id: run.target.integration_id.clone(),
        endpoint: run.target.endpoint,
        record_id: row.row.key.to_string(),
        json: row_json(row),
        path: row.model.to_string(),
        reason: error.to_string(),
        observed_at,
        run_id: run.id,
    }
}

/// A row as JSON, for a person to look at.
fn row_json(row: &Incoming) -> String {
    let columns = row.model.columns().iter().zip(row.row.values());
    let object: serde_json::Map<_, _> =
        columns.map(|(column, value)| (column.name.to_owned(), value.to_json())).collect();
    serde_json::Value::Object(object).to_string()
}
