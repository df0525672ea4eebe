//! `Debug` output appears in logs and panics, so it must not contain personal data.

use std::fmt::Debug;

use kombo_model::{
    Course, CourseProgression, FreeJson, Integration, IntegrationId, ObjectEnvelope, Skill, User, Webhook,
};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::{COURSE, INTEGRATION, PROGRESSION, SKILL, USER, WEBHOOKS, with};

#[track_caller]
fn shown<T: DeserializeOwned + Debug>(json: &str) -> String {
    let value: T = serde_json::from_str(json).unwrap();
    let text = format!("{value:?}{value:#?}");
    for private in ["Sarah", "Johnson", "@", "Acme", "Building", "shoe"] {
        assert!(!text.contains(private), "{private}: {text}");
    }
    text
}

#[test]
fn records_show_ids_and_times_only() {
    let extra = || json!({"nickname": "Sarah"});
    let user = shown::<User>(&with(USER, "", "added_later", extra()));
    assert!(user.contains("26vafvWSRmbhNcxJYqjCzuJg") && user.contains("2022-08-07T14:01:29.196Z"));
    shown::<Course>(COURSE);
    shown::<Course>(&with(COURSE, "/revisions/0/skill_assignments/0", "added_later", extra()));
    let progression = shown::<CourseProgression>(&with(PROGRESSION, "/user", "added_later", extra()));
    assert!(progression.contains("COMPLETED"));
    shown::<Skill>(SKILL);
}

#[test]
fn copies_show_their_ids_only() {
    let progression: CourseProgression = serde_json::from_str(PROGRESSION).unwrap();
    let text = format!("{:?} {:?}", progression.user, progression.course_revision);
    assert!(!text.contains("Sarah") && !text.contains("Building"), "{text}");
    assert!(text.contains("7xPdr68N8kG9EzLwjsN9xyz"));
}

#[test]
fn integrations_and_webhooks_show_no_customer() {
    shown::<ObjectEnvelope<Integration>>(&with(INTEGRATION, "/data", "added_later", json!("Acme")));
    shown::<Vec<Webhook>>(WEBHOOKS);
    shown::<Vec<Webhook>>(&with(WEBHOOKS, "/2/data", "owner", json!("sarah@example.com")));
}

#[test]
fn free_json_shows_its_size_only() {
    let json = FreeJson::new(r#"{"name":"Sarah"}"#.to_owned()).unwrap();
    assert_eq!(format!("{json:?}"), "FreeJson(16 bytes)");
}

#[test]
fn ids_show_as_they_are() {
    assert_eq!(format!("{:?}", IntegrationId::from("sandbox:7C9M")), r#""sandbox:7C9M""#);
}
