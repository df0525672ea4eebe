use kombo_model::{ActiveStatus, Course, CourseProgression, Fault, FreeJson, InPart, Maybe, ReadInPart, Skill, User};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{COURSE, PROGRESSION, SKILL, USER, tree, with};

fn whole<R: ReadInPart>(json: &str) -> R {
    let InPart { record, faults } = R::read_in_part(json).unwrap();
    assert_eq!(faults, []);
    record
}

/// Reading in part gives the same result as serde, if serde succeeds.
fn both_ways<R: ReadInPart + DeserializeOwned + PartialEq>(json: &str) {
    let read: Result<R, _> = serde_json::from_str(json);
    assert!(whole::<R>(json) == read.unwrap(), "{json}");
}

#[test]
fn what_can_be_read_at_once_is_read_the_same() {
    both_ways::<User>(USER);
    both_ways::<Course>(COURSE);
    both_ways::<CourseProgression>(PROGRESSION);
    both_ways::<Skill>(SKILL);
    both_ways::<User>(r#"{"id":"","user_id":"","status":"","new":{"a":[1,-2.5,null]}}"#);
    both_ways::<Course>(r#"{"id":"c","provider":null,"revisions":null}"#);
    both_ways::<Course>(r#"{"id":"c","revisions":[]}"#);
}

#[test]
fn numbers_and_booleans_are_kept_as_their_text() {
    let json = r#"{"id": 7, "remote_id": 123456789012345678901234567890, "first_name": true, "last_name": 1.50,
        "status": 3}"#;
    let user: User = whole(json);
    assert_eq!((user.id.as_str(), user.status), ("7", Some(ActiveStatus::Other("3".to_owned()))));
    let texts = [user.remote_id, user.first_name, user.last_name].map(Option::unwrap);
    assert_eq!(texts, ["123456789012345678901234567890", "true", "1.50"]);
    let json = r#"{"id": "p", "user_id": 5, "user": {"id": 5, "remote_id": 1e2}}"#;
    let progression: CourseProgression = whole(json);
    assert_eq!(progression.user_id, Some("5".into()));
    assert_eq!(progression.user.value().unwrap().remote_id, Maybe::Value("1e2".to_owned()));
}

#[test]
fn of_a_key_that_occurs_twice_the_last_value_counts() {
    let user: User = whole(r#"{"id":"a","first_name":["x"],"id":"b","first_name":"Ada"}"#);
    assert_eq!((user.id.as_str(), user.first_name.as_deref()), ("b", Some("Ada")));
}

#[test]
fn a_field_that_cannot_be_read_costs_itself_only() {
    let fields = ["remote_id", "first_name", "status", "remote_created_at", "changed_at", "remote_deleted_at"];
    for field in fields {
        for value in [json!({}), json!([])] {
            let InPart { record, faults } = User::read_in_part(&with(USER, "", field, value)).unwrap();
            assert_eq!((record.unread.as_slice(), faults[0].path.as_str()), ([field].as_slice(), field));
            assert!(record.custom_fields.is_some() && faults.len() == 1);
        }
    }
    let read = User::read_in_part(&with(USER, "", "integration_fields", json!("no list"))).unwrap();
    assert_eq!((read.faults.len(), read.record.integration_fields), (0, FreeJson::new(r#""no list""#.into()).ok()));
}

#[test]
fn a_nested_record_that_cannot_be_read_costs_itself_only() {
    let course =
        |pointer: &str, key: &str, value: Value| Course::read_in_part(&with(COURSE, pointer, key, value)).unwrap();
    let InPart { record, faults } = course("", "provider", json!({ "id": null, "name": "x" }));
    assert_eq!((record.provider, record.unread), (Maybe::Absent, vec!["provider"]));
    assert_eq!((faults[0].path.as_str(), faults[0].reason.as_str()), ("provider.id", "expected a text, found null"));

    // A member without an id makes the list incomplete.
    let InPart { record, faults } = course("/revisions/0", "id", json!({}));
    assert_eq!((record.unread, faults[0].path.as_str()), (vec!["revisions"], "revisions[0].id"));
    let members = record.revisions.value().unwrap().len();
    assert_eq!(members + 1, tree(COURSE)["revisions"].as_array().unwrap().len());

    // A member with an id is kept, with any other content.
    let InPart { record, faults } = course("/revisions/0", "changed_at", json!("yesterday"));
    assert_eq!((record.unread.len(), faults[0].path.as_str()), (0, "revisions[0].changed_at"));
    assert_eq!(record.revisions.value().unwrap()[0].unread, ["changed_at"]);

    let InPart { record, faults } = course("/revisions/0/skill_assignments/0", "skill", json!(true));
    let revision = &record.revisions.value().unwrap()[0];
    assert_eq!((revision.unread.as_slice(), record.unread.len()), (["skill_assignments"].as_slice(), 0));
    assert_eq!(revision.skill_assignments.value().unwrap().len(), 1);
    assert_eq!(faults[0].path, "revisions[0].skill_assignments[0].skill");

    for lists in [json!(7), json!({ "id": "r" }), json!("r")] {
        assert_eq!(course("", "revisions", lists).record.revisions, Maybe::Absent);
    }
}

#[test]
fn without_an_id_nothing_is_left() {
    for (json, path) in [
        ("{}", "id"),
        (r#"{"id":null}"#, "id"),
        (r#"{"id":true}"#, "id"),
        (r#"{"id":["a"]}"#, "id"),
        (r#"["a"]"#, "."),
        ("{", "."),
        ("", "."),
    ] {
        assert_eq!(User::read_in_part(json).unwrap_err().path, path, "{json}");
    }
}

#[test]
fn many_faults_take_little_room_and_no_time() {
    let revisions: Vec<Value> = (0..20_000).map(|number| json!({ "id": number.to_string(), "title": [] })).collect();
    let json = json!({ "id": "c", "revisions": revisions }).to_string();
    let InPart { record, faults } = Course::read_in_part(&json).unwrap();
    assert_eq!((record.revisions.value().unwrap().len(), faults.len()), (20_000, 20));
    let Fault { path, reason } = Fault::join(faults).unwrap();
    assert_eq!(path, "revisions[0].title");
    assert!(reason.starts_with("expected a text, found a list; also at revisions[1].title, ") && reason.len() < 1_000);
}

proptest! {
    /// With any value at any place, a record is read if it has an id, and all other fields stay unchanged.
    #[test]
    fn any_value_anywhere_costs_its_field_only(
        place in 0_usize..1_000,
        odd in prop::sample::select(vec!["7", "true", "[]", "{}", "\"x\"", "1e400", "\"\\ud83d\"", "[[{\"a\":0.1}]]"]),
    ) {
        let course = tree(COURSE);
        let keys: Vec<&String> = course.as_object().unwrap().keys().filter(|key| *key != "id").collect();
        let key = keys[place % keys.len()];
        let text = with(COURSE, "", key, json!("HERE")).replace("\"HERE\"", odd);
        let read = Course::read_in_part(&text).unwrap();
        let mut expected: Course = serde_json::from_str(COURSE).unwrap();
        let mut found = read.record;
        prop_assert!(read.faults.iter().all(|fault| fault.path.starts_with(key.as_str())));
        // Ignores the changed field itself.
        for course in [&mut expected, &mut found] {
            course.unread.clear();
            match key.as_str() {
                "remote_id" => course.remote_id = None,
                "provider_id" => course.provider_id = None,
                "origin_id" => course.origin_id = None,
                "remote_created_at" => course.remote_created_at = None,
                "remote_deleted_at" => course.remote_deleted_at = None,
                "changed_at" => course.changed_at = None,
                "remote_data" => course.remote_data = None,
                "custom_fields" => course.custom_fields = None,
                "integration_fields" => course.integration_fields = None,
                "provider" => course.provider = Maybe::Absent,
                "revisions" => course.revisions = Maybe::Absent,
                other => { course.extra.remove(other); }
            }
        }
        prop_assert!(found == expected);
    }

    #[test]
    fn no_text_makes_it_panic(json in "[{}\\[\\]\":,\\\\ud83ide0-9.truefalsnul\\x00 ]{0,60}") {
        User::read_in_part(&json).ok();
        Course::read_in_part(&json).ok();
    }
}
