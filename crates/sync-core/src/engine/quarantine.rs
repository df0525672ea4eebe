use kombo_model::Timestamp;

use crate::mirror::{Incoming, MAX_DOCUMENT_DEPTH, Unstorable};
use crate::port::{Record, Rejected};
use crate::schedule::spread;
use crate::types::{Quarantined, Run};

/// A record that could not be read.
pub(super) fn unreadable(run: &Run, rejected: Rejected, observed_at: Timestamp) -> Quarantined {
    let record_id = rejected.id.unwrap_or_else(|| format!("#{:016x}", spread(&rejected.json, "")));
    Quarantined {
        integration_id: run.target.integration_id.clone(),
        endpoint: run.target.endpoint,
        record_id: crate::mirror::clean_text(record_id),
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

/// Whether a record might turn out to be unstorable, so that its text should be kept until that is known.
pub(super) fn suspicious(record: &Record) -> bool {
    let documents = match record {
        Record::User(user) => [&user.remote_data, &user.custom_fields, &user.integration_fields],
        Record::Skill(skill) => [&skill.remote_data, &skill.custom_fields, &skill.integration_fields],
        Record::CourseProgression(progression) => [&progression.remote_data, &None, &None],
        Record::Course(_) => return true,
    };
    let long = documents.into_iter().flatten().any(|json| json.as_str().len() > 2 * MAX_DOCUMENT_DEPTH);
    long || record.id().is_empty()
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

/// A row as JSON, for a person to look at.
pub(super) fn row_json(row: &Incoming) -> String {
    let columns = row.model.columns().iter().zip(row.row.values());
    let object: serde_json::Map<_, _> =
        columns.map(|(column, value)| (column.name.to_owned(), value.to_json())).collect();
    serde_json::Value::Object(object).to_string()
}
