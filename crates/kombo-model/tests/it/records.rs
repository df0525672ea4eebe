use kombo_model::{
    ActiveStatus, Course, CourseProgression, IntegrationField, IntegrationFieldKind, Maybe, ProgressionStatus, Skill,
    User,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{COURSE, PROGRESSION, SKILL, USER, round_trip, tree, with};

#[test]
fn a_user() {
    let user: User = round_trip(USER);
    assert_eq!(user.id.as_str(), "26vafvWSRmbhNcxJYqjCzuJg");
    assert_eq!(user.work_email.as_deref(), Some("sarah.johnson@example.com"));
    assert_eq!(user.status, Some(ActiveStatus::Active));
    assert_eq!(user.changed_at.unwrap().to_string(), "2022-08-07T14:01:29.196Z");
    assert!(user.extra.is_empty());

    let fields: Vec<IntegrationField> = user.integration_fields.unwrap().read().unwrap();
    assert_eq!(fields[0].kind, Some(IntegrationFieldKind::Custom));
    assert_eq!(fields[0].value.as_ref().unwrap().as_str(), r#"[41.50, { "unit": "EU" }]"#);
}

#[test]
fn a_course_with_all_that_is_nested() {
    let course: Course = round_trip(COURSE);
    let provider = course.provider.value().unwrap();
    assert_eq!(Some(&provider.id), course.provider_id.as_ref());
    let revision = &course.revisions.value().unwrap()[0];
    assert_eq!(revision.course_id.as_ref(), Some(&course.id));
    let skills = revision.skill_assignments.value().unwrap();
    assert_eq!(skills[0].skill.name, Maybe::Value("LMS Integration".to_owned()));
    assert_eq!(skills[1].skill.name, Maybe::Null);
}

#[test]
fn a_progression_with_its_copies() {
    let progression: CourseProgression = round_trip(PROGRESSION);
    assert_eq!(progression.status, Some(ProgressionStatus::Completed));
    assert_eq!(Some(&progression.user.value().unwrap().id), progression.user_id.as_ref());
    let revision = progression.course_revision.value().unwrap();
    assert_eq!(Some(&revision.id), progression.course_revision_id.as_ref());
    assert_eq!(revision.course.value().unwrap().remote_id, Maybe::Value("32".to_owned()));
}

#[test]
fn a_skill() {
    let skill: Skill = round_trip(SKILL);
    assert_eq!(skill.name.as_deref(), Some("LMS Integration"));
}

/// Reads a record with only an `id` and nulls, like those that Kombo anonymised.
fn anonymised<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(json: &str) -> T {
    let mut tree = tree(json);
    for (key, value) in tree.as_object_mut().unwrap() {
        if key != "id" {
            *value = Value::Null;
        }
    }
    round_trip(&tree.to_string())
}

#[test]
fn an_anonymised_record_can_be_read() {
    assert_eq!(anonymised::<User>(USER).remote_id, None);
    assert_eq!(anonymised::<Course>(COURSE).revisions, Maybe::Null);
    assert_eq!(anonymised::<CourseProgression>(PROGRESSION).user, Maybe::Null);
    assert_eq!(anonymised::<Skill>(SKILL).changed_at, None);
}

#[test]
fn a_record_needs_its_id_only() {
    assert_eq!(serde_json::from_str::<Course>(r#"{"id":"a"}"#).unwrap().revisions, Maybe::Absent);
    serde_json::from_str::<User>(r#"{"id":"a"}"#).unwrap();
    serde_json::from_str::<CourseProgression>(r#"{"id":"a"}"#).unwrap();
    serde_json::from_str::<Skill>(r#"{"id":"a"}"#).unwrap();
    for json in ["{}", r#"{"id":null}"#, r#"{"id":5}"#, "[]", "null"] {
        serde_json::from_str::<User>(json).unwrap_err();
        serde_json::from_str::<Course>(json).unwrap_err();
        serde_json::from_str::<CourseProgression>(json).unwrap_err();
        serde_json::from_str::<Skill>(json).unwrap_err();
    }
}

#[test]
fn unknown_values_of_enums_survive() {
    let user: User = round_trip(&with(USER, "", "status", json!("ON_LEAVE")));
    assert_eq!(user.status, Some(ActiveStatus::Other("ON_LEAVE".to_owned())));
    let progression: CourseProgression = round_trip(&with(PROGRESSION, "", "status", json!("")));
    assert_eq!(progression.status.unwrap().as_str(), "");
    round_trip::<Course>(&with(COURSE, "/revisions/0", "status", json!("completed")));
}

#[test]
fn unknown_keys_survive_at_every_depth() {
    let added = || json!({"a": [1, -2.5, "x", null, true, 18_446_744_073_709_551_615_u64]});
    for pointer in
        ["", "/provider", "/revisions/0", "/revisions/0/skill_assignments/0", "/revisions/0/skill_assignments/0/skill"]
    {
        round_trip::<Course>(&with(COURSE, pointer, "added_later", added()));
    }
    for pointer in ["", "/user", "/course_revision", "/course_revision/course"] {
        round_trip::<CourseProgression>(&with(PROGRESSION, pointer, "added_later", added()));
    }
    assert_eq!(round_trip::<User>(&with(USER, "", "added_later", added())).extra["added_later"], added());
    round_trip::<Skill>(&with(SKILL, "", "added_later", Value::Null));
}

#[test]
fn texts_of_any_script_survive() {
    for name in ["", " ", "Zoë", "😀", "\u{0}", "\u{202e}", "'; DROP TABLE lms_users; --", "a\nb\t\"\\"] {
        let user: User = round_trip(&with(USER, "", "first_name", json!(name)));
        assert_eq!(user.first_name.as_deref(), Some(name));
    }
}
