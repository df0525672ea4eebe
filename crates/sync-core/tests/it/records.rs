//! How a returned record becomes rows.

use std::fmt::Write;

use kombo_model::{Endpoint, Timestamp};
use sync_core::mirror::{Batch, MAX_DOCUMENT_DEPTH, Value, decompose};
use sync_core::port::Record;

fn batch(endpoint: Endpoint, json: &str) -> Batch {
    let mut batch = Batch::default();
    decompose(Record::read(endpoint, json).unwrap(), Timestamp::MIN, &mut batch).unwrap();
    batch
}

/// A batch as people read it: what is said, with nulls, without what is absent.
fn text(batch: &Batch) -> String {
    let mut text = String::new();
    for incoming in &batch.rows {
        write!(text, "{} {} {:?}:", incoming.model, incoming.row.key, incoming.standing).unwrap();
        for (value, column) in incoming.row.values().iter().zip(incoming.model.columns()) {
            match value {
                Value::Absent => {}
                said => write!(text, " {}={}", column.name, said.to_json()).unwrap(),
            }
        }
        text.push('\n');
    }
    for members in &batch.members {
        let keys: Vec<String> = members.keys.iter().map(ToString::to_string).collect();
        writeln!(text, "{} of {}: [{}]", members.model, members.parent, keys.join(" ")).unwrap();
    }
    text
}

#[test]
fn a_course_shows_five_models() {
    let json = r#"{
        "id": "c", "remote_id": "rc", "provider_id": "p", "origin_id": null, "remote_created_at": null,
        "remote_deleted_at": null, "changed_at": "2026-01-01T00:00:00.000Z", "remote_data": {"/x": {"a": 1}},
        "custom_fields": {}, "integration_fields": [], "new_key": 1,
        "provider": {"id": "p", "remote_id": "rp", "name": "Acme"},
        "revisions": [
            {"id": "r1", "remote_id": "rr", "course_id": "c", "title": "One", "status": "RETIRED",
             "changed_at": "2026-01-02T00:00:00.000Z",
             "skill_assignments": [{"skill": {"id": "s", "name": "Welding"}}, {"skill": {"id": "t", "remote_id": null}}]},
            {"id": "r2", "remote_id": "rr2", "course_id": null, "title": null, "skill_assignments": []}
        ]
    }"#;
    insta::assert_snapshot!(text(&batch(Endpoint::Courses, json)));
}

#[test]
fn a_progression_shows_partial_copies() {
    let json = r#"{
        "id": "g", "remote_id": "rg", "user_id": "u", "course_revision_id": "r", "status": "COMPLETED",
        "enrolled_at": null, "completed_at": "2026-01-02T00:00:00.000Z", "changed_at": "2026-01-01T00:00:00.000Z",
        "remote_deleted_at": null, "remote_data": null,
        "user": {"id": "u", "remote_id": "ru", "first_name": "Ada", "last_name": null},
        "course_revision": {"id": "r", "remote_id": "rr", "title": "One", "course": {"id": "c", "remote_id": "rc"}}
    }"#;
    insta::assert_snapshot!(text(&batch(Endpoint::CourseProgressions, json)));
    let bare = r#"{"id": "g", "course_revision": {"id": "r", "course": null}, "user": null}"#;
    insta::assert_snapshot!(text(&batch(Endpoint::CourseProgressions, bare)), @r"
    lms_course_progressions g Listed: remote_id=null user_id=null course_revision_id=null status=null enrolled_at=null completed_at=null remote_data=null changed_at=null remote_deleted_at=null
    lms_course_revisions r Copy: course_id=null
    ");
}

#[test]
fn users_and_skills_show_themselves() {
    let user = r#"{"id": "u", "remote_id": "ru", "first_name": "A\u0000da", "status": "ACTIVE",
        "remote_data": {"a": "\u0000"}, "integration_fields": [{"id": "f", "value": [1, {"x": null}]}]}"#;
    insta::assert_snapshot!(text(&batch(Endpoint::Users, user)));
    let skill = r#"{"id": "s", "name": "Welding", "changed_at": "2026-01-01T00:00:00.123456Z"}"#;
    insta::assert_snapshot!(text(&batch(Endpoint::Skills, skill)));
}

#[test]
fn a_record_that_cannot_be_stored_adds_nothing() {
    let deep = format!("{}{}", "[".repeat(MAX_DOCUMENT_DEPTH + 1), "]".repeat(MAX_DOCUMENT_DEPTH + 1));
    for (endpoint, json, path) in [
        (Endpoint::Users, r#"{"id": ""}"#.to_owned(), "id"),
        (Endpoint::Users, format!(r#"{{"id": "u", "custom_fields": {deep}}}"#), "custom_fields"),
        (Endpoint::Courses, r#"{"id": "c", "revisions": [{"id": ""}]}"#.to_owned(), "id"),
        (Endpoint::CourseProgressions, r#"{"id": "g", "user": {"id": ""}}"#.to_owned(), "id"),
    ] {
        let mut batch = Batch::default();
        let fault = decompose(Record::read(endpoint, &json).unwrap(), Timestamp::MIN, &mut batch).unwrap_err();
        assert_eq!(fault.path, path);
        assert!(batch.rows.is_empty() && batch.members.is_empty());
    }
}
