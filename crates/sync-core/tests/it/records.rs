//! Tests of converting records into rows.

use std::fmt::Write;

use kombo_model::{Endpoint, Timestamp};
use sync_core::ports::Record;
use sync_core::rows::{Batch, MAX_DOCUMENT_DEPTH, MAX_ID_BYTES, Value, decompose};

fn batch(endpoint: Endpoint, json: &str) -> Batch {
    let mut batch = Batch::default();
    decompose(Record::read(endpoint, json).unwrap(), Timestamp::MIN, &mut batch).unwrap();
    batch
}

/// Renders a batch as text, with nulls but without absent values.
fn text(batch: &Batch) -> String {
    let mut text = String::new();
    for incoming in &batch.rows {
        write!(text, "{} {} {:?}:", incoming.model, incoming.row.key, incoming.provenance).unwrap();
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
    insta::assert_snapshot!(text(&batch(Endpoint::LmsCourses, json)));
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
    insta::assert_snapshot!(text(&batch(Endpoint::LmsCourseProgressions, json)));
    let bare = r#"{"id": "g", "course_revision": {"id": "r", "course": null}, "user": null}"#;
    insta::assert_snapshot!(text(&batch(Endpoint::LmsCourseProgressions, bare)), @r"
    lms_course_progressions g Listed: remote_id=null user_id=null course_revision_id=null status=null enrolled_at=null completed_at=null remote_data=null changed_at=null remote_deleted_at=null
    lms_course_revisions r Copy: course_id=null
    ");
}

#[test]
fn users_and_skills_show_themselves() {
    let user = r#"{"id": "u", "remote_id": "ru", "first_name": "A\u0000da", "status": "ACTIVE",
        "remote_data": {"a": "\u0000"}, "integration_fields": [{"id": "f", "value": [1, {"x": null}]}]}"#;
    insta::assert_snapshot!(text(&batch(Endpoint::LmsUsers, user)));
    let skill = r#"{"id": "s", "name": "Welding", "changed_at": "2026-01-01T00:00:00.123456Z"}"#;
    insta::assert_snapshot!(text(&batch(Endpoint::LmsSkills, skill)));
}

#[test]
fn a_record_without_an_id_adds_nothing() {
    let mut batch = Batch::default();
    let record = Record::read(Endpoint::LmsUsers, r#"{"id": "", "first_name": "Ada"}"#).unwrap();
    assert_eq!(decompose(record, Timestamp::MIN, &mut batch).unwrap_err().path, "id");
    assert!(batch.rows.is_empty() && batch.members.is_empty());
}

/// Returns the rows of a record that can be read only in part, with the paths of the faults.
fn in_part(endpoint: Endpoint, json: &str) -> (String, Vec<String>) {
    let mut batch = Batch::default();
    let read = Record::read_in_part(endpoint, json).unwrap();
    let mut faults = read.faults;
    faults.extend(decompose(read.record, Timestamp::MIN, &mut batch).unwrap());
    (text(&batch), faults.into_iter().map(|fault| fault.path).collect())
}

#[test]
fn a_part_that_cannot_be_read_or_stored_costs_itself_only() {
    let deep = format!("{}{}", "[".repeat(MAX_DOCUMENT_DEPTH + 1), "]".repeat(MAX_DOCUMENT_DEPTH + 1));
    let user =
        format!(r#"{{"id": 7, "remote_id": 7, "first_name": [], "last_name": "A \ud83d", "custom_fields": {deep}}}"#);
    let (rows, faults) = in_part(Endpoint::LmsUsers, &user);
    assert_eq!(faults, ["first_name", "custom_fields"]);
    assert!(rows.contains(r#"lms_users 7 Listed: remote_id="7" last_name="A "#), "{rows}");
    assert!(!rows.contains("first_name") && !rows.contains("custom_fields"), "nothing is said of them: {rows}");

    let course = format!(
        r#"{{"id": "c", "provider": {{"id": ""}}, "revisions": [
            {{"id": "r", "title": {{}}, "custom_fields": {deep},
              "skill_assignments": [{{"skill": {{"id": ""}}}}, {{"skill": 7}}, {{"skill": {{"id": "s"}}}}]}},
            {{"id": null}}]}}"#
    );
    let (rows, faults) = in_part(Endpoint::LmsCourses, &course);
    let expected = [
        "revisions[0].title",
        "revisions[0].skill_assignments[1].skill",
        "revisions[1].id",
        "id",
        "lms_course_revisions r.custom_fields",
        "id",
    ];
    assert_eq!(faults, expected);
    let named: Vec<&str> = rows.lines().map(|line| line.split_once(':').map_or(line, |(name, _)| name)).collect();
    // No list is complete, so none is used for removals.
    let shown = [
        "lms_courses c Listed",
        "lms_course_revisions r Owned",
        "lms_skills s Copy",
        "lms_join_revisions_skills r/s Owned",
    ];
    assert_eq!(named, shown);

    let progression = r#"{"id": "g", "user": {"id": ""}, "course_revision": {"id": "r", "course": {"id": ""}}}"#;
    let (rows, faults) = in_part(Endpoint::LmsCourseProgressions, progression);
    assert_eq!(faults, ["id", "id"]);
    assert!(rows.contains("lms_course_revisions r Copy:\n") && rows.lines().count() == 2, "{rows}");

    let long = "x".repeat(MAX_ID_BYTES + 1);
    let progression = format!(r#"{{"id": "g", "remote_id": "rg", "user_id": "{long}", "user": {{"id": "{long}"}}}}"#);
    let (rows, faults) = in_part(Endpoint::LmsCourseProgressions, &progression);
    assert_eq!(faults, ["user_id", "id"]);
    assert!(rows.contains(r#"remote_id="rg""#) && !rows.contains("user_id"), "{rows}");
}

#[test]
fn numbers_reach_the_row_to_the_last_digit() {
    let user = r#"{"id":"u","remote_data":[123456789012345678901,1e400000],"custom_fields":{"n":0.12345678901234567890,
        "m":1e400,"big":1e400000}}"#;
    let batch = batch(Endpoint::LmsUsers, user);
    let get = |name| batch.rows[0].row.get(sync_core::rows::Model::LmsUsers, name).and_then(Value::text).unwrap();
    assert_eq!(get("remote_data"), "[123456789012345678901,1e400000]");
    assert!(get("custom_fields").contains("0.12345678901234567890") && get("custom_fields").contains(r#""m":1e400,"#));
    assert!(get("custom_fields").contains(r#""big":"1e400000""#), "no database has such numbers");
}
