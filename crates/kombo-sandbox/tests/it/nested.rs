//! `updated_after` under both readings.

use chrono::TimeDelta;
use kombo_sandbox::{
    Behaviour, ClockMode, FIRST_INTEGRATION, GeneratorConfig, Id, Model, Mutation, NestedReading, Sandbox,
    SandboxConfig, Stamp,
};

use crate::client::{all_ids, get, start};

const NOW: &str = "2025-07-01T00:00:00Z";

/// Starts a sandbox with a user, a provider, a skill, a course with a revision that teaches it, another course, and a
/// progression.
async fn world(nested: NestedReading) -> Sandbox {
    let clock = ClockMode::Manual { now: Stamp::parse_request("2025-06-01").unwrap() };
    let generator = GeneratorConfig { null_rate: 0.0, extra_rate: 0.0, ..GeneratorConfig::empty() };
    let behaviour = Behaviour { nested, ..Behaviour::default() };
    let sandbox = start(SandboxConfig { clock, generator, behaviour, ..SandboxConfig::default() }).await;
    for mutation in [
        Mutation::add(Model::Users, id("user"), 1),
        Mutation::add(Model::CourseProviders, id("provider"), 1),
        Mutation::add(Model::Courses, id("course"), 1),
        Mutation::update(Model::Courses, id("course"), "provider_id", "provider"),
        Mutation::add(Model::Courses, id("other"), 2),
        Mutation::update(Model::Courses, id("other"), "provider_id", serde_json::Value::Null),
        Mutation::revise(id("course"), id("revision"), 1),
        Mutation::add(Model::Skills, id("skill"), 1),
        Mutation::add(Model::Skills, id("spare"), 2),
        Mutation::AssignSkill { revision_id: id("revision"), skill_id: id("skill") },
        Mutation::enrol(id("user"), id("revision"), id("progress"), 1),
    ] {
        sandbox.mutate(FIRST_INTEGRATION, mutation).unwrap();
    }
    sandbox.clock().set(Stamp::parse_request(NOW).unwrap());
    sandbox
}

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

async fn returned(sandbox: &Sandbox) -> Vec<String> {
    let mut all = Vec::new();
    for endpoint in ["users", "courses", "course-progressions", "skills"] {
        all.extend(all_ids(sandbox, &format!("/lms/{endpoint}?updated_after=2025-06-30&include_deleted=true")).await);
    }
    all.sort();
    all
}

#[tokio::test]
async fn what_a_change_brings_back() {
    let update = |model, row, field| Mutation::update(model, id(row), field, "new");
    let (course, both) = (["course"].as_slice(), ["course", "progress"].as_slice());
    let table: Vec<(Mutation, &[&str], &[&str])> = vec![
        (update(Model::Users, "user", "first_name"), &["progress", "user"], &["user"]),
        (Mutation::delete(Model::Users, id("user")), &["progress", "user"], &["user"]),
        (update(Model::Courses, "course", "origin_id"), both, course),
        (update(Model::CourseRevisions, "revision", "title"), both, course),
        (Mutation::delete(Model::CourseRevisions, id("revision")), both, course),
        (Mutation::revise(id("course"), id("second"), 2), course, course),
        (Mutation::purge(Model::CourseRevisions, id("revision")), course, course),
        (
            Mutation::update(Model::CourseRevisions, id("revision"), "course_id", "other"),
            &["course", "other", "progress"],
            &["course", "other"],
        ),
        (update(Model::CourseProviders, "provider", "name"), course, &[]),
        (update(Model::Skills, "skill", "name"), &["course", "skill"], &["skill"]),
        (update(Model::Skills, "spare", "name"), &["spare"], &["spare"]),
        (Mutation::AssignSkill { revision_id: id("revision"), skill_id: id("spare") }, course, &[]),
        (Mutation::UnassignSkill { revision_id: id("revision"), skill_id: id("skill") }, course, &[]),
        (update(Model::CourseProgressions, "progress", "status"), &["progress"], &["progress"]),
        (Mutation::silent(Model::Users, id("user"), "first_name", "new"), &[], &[]),
        (Mutation::silent(Model::CourseRevisions, id("revision"), "title", "new"), &[], &[]),
    ];
    for (mutation, guide, reference) in table {
        for (reading, expected) in [(NestedReading::Guide, guide), (NestedReading::Reference, reference)] {
            let sandbox = world(reading).await;
            assert!(returned(&sandbox).await.is_empty());
            sandbox.mutate(FIRST_INTEGRATION, mutation.clone()).unwrap();
            assert_eq!(returned(&sandbox).await, expected, "{reading:?}: {mutation:?}");
        }
    }
}

#[tokio::test]
async fn changed_at_moves_for_own_changes_only() {
    let sandbox = world(NestedReading::Guide).await;
    let course = |answer: crate::client::Answer| answer.results().into_iter().find(|it| it["id"] == "course").unwrap();
    let before = course(get(&sandbox, "/lms/courses").await);
    sandbox.mutate(FIRST_INTEGRATION, Mutation::revise(id("course"), id("second"), 2)).unwrap();
    sandbox
        .mutate(FIRST_INTEGRATION, Mutation::update(Model::CourseRevisions, id("revision"), "title", "new"))
        .unwrap();
    let after = course(get(&sandbox, "/lms/courses").await);
    assert_eq!(before["changed_at"], after["changed_at"]);
    assert_eq!(after["revisions"].as_array().unwrap().len(), 2);
    assert_eq!(after["revisions"][0]["title"], "new");
    assert_eq!(after["revisions"][0]["changed_at"], "2025-07-01T00:00:00.000Z");
}

#[tokio::test]
async fn the_edge_is_excluded_or_included_to_the_microsecond() {
    let sandbox = world(NestedReading::Reference).await;
    let edge = Stamp::parse_request("2025-07-01T00:00:00.000001Z").unwrap();
    let set = serde_json::json!({ "changed_at": edge.to_string() }).as_object().unwrap().clone();
    sandbox.mutate(FIRST_INTEGRATION, Mutation::SilentUpdate { model: Model::Users, id: id("user"), set }).unwrap();
    for (inclusive, after, found) in [
        (false, "2025-07-01T00:00:00.000000Z", 1),
        (false, "2025-07-01T00:00:00.000001Z", 0),
        (true, "2025-07-01T00:00:00.000001Z", 1),
        (true, "2025-07-01T00:00:00.000002Z", 0),
    ] {
        sandbox.edit(|state| state.behaviour.inclusive = inclusive);
        let rows = get(&sandbox, &format!("/lms/users?updated_after={after}")).await.results();
        assert_eq!(rows.len(), found, "{inclusive} {after}");
    }
    let user = &get(&sandbox, "/lms/users").await.results()[0];
    assert_eq!(user["changed_at"], "2025-07-01T00:00:00.000001Z");
}

#[tokio::test]
async fn a_commit_lag_hides_a_change_behind_its_time() {
    let sandbox = world(NestedReading::Reference).await;
    sandbox.edit(|state| state.behaviour.commit_lag_ms = 60_000);
    let applied =
        sandbox.mutate(FIRST_INTEGRATION, Mutation::update(Model::Users, id("user"), "first_name", "Ada")).unwrap();
    assert_eq!(applied.visible_at, applied.at.plus(TimeDelta::seconds(60)));
    assert!(returned(&sandbox).await.is_empty());
    sandbox.advance(TimeDelta::seconds(60));
    assert_eq!(returned(&sandbox).await, ["user"]);
    assert_eq!(get(&sandbox, "/lms/users").await.results()[0]["changed_at"], "2025-07-01T00:00:00.000Z");
}

#[tokio::test]
async fn copies_are_partial_and_may_omit_keys() {
    let sandbox = world(NestedReading::Guide).await;
    let path = "/lms/course-progressions";
    let row = get(&sandbox, path).await.results().remove(0);
    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&row["user"]), ["first_name", "id", "last_name", "remote_id", "work_email"]);
    assert_eq!(keys(&row["course_revision"]), ["course", "id", "remote_id", "title"]);
    assert_eq!(keys(&row["course_revision"]["course"]), ["id", "remote_id"]);
    sandbox.edit(|state| state.behaviour.omit_nested = vec!["work_email".to_owned(), "title".to_owned()]);
    let row = get(&sandbox, path).await.results().remove(0);
    assert_eq!(keys(&row["user"]), ["first_name", "id", "last_name", "remote_id"]);
    assert_eq!(keys(&row["course_revision"]), ["course", "id", "remote_id"]);
    assert!(get(&sandbox, "/lms/users").await.results()[0].get("work_email").is_some(), "only copies omit");
    let detach = Mutation::update(Model::CourseRevisions, id("revision"), "course_id", serde_json::Value::Null);
    sandbox.mutate(FIRST_INTEGRATION, detach).unwrap();
    let row = get(&sandbox, path).await.results().remove(0);
    assert!(row["course_revision"]["course"].is_null());
}
