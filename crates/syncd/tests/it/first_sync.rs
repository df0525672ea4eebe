//! The first `sync` stores all of Kombo's data, value by value.

use std::collections::BTreeSet;

use kombo_sandbox::{Endpoint, FIRST_INTEGRATION, GeneratorConfig, Model, Mutation, SandboxConfig};
use serde_json::{Value, json};
use sync_core::rows;

use crate::database::Backend;
use crate::mirror::{Skills, assert_faithful, expected, rows};
use crate::world::{LISTS, World};

on_both_databases!(
    every_value_of_three_integrations_arrives,
    skills_are_whole_where_their_endpoint_is_enabled,
    every_page_is_asked_for_once,
);

fn three_integrations() -> SandboxConfig {
    let generator = GeneratorConfig {
        users: 300,
        courses: 80,
        progressions: 600,
        null_rate: 0.2,
        deleted_rate: 0.05,
        shared_ids: 0.3,
        ..GeneratorConfig::default()
    };
    SandboxConfig { integrations: 3, generator, ..SandboxConfig::default() }
}

/// Values that a database may alter.
fn awkward_values() -> Vec<(Model, &'static str, Value)> {
    let document = json!({
        "/users/1": { "名前": "Zoë \u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}", "empty": {}, "list": [null, [], "", true] },
        "numbers": [0, -1, 9_007_199_254_740_993_i64, u64::MAX, 0.1, 1.5e300, -2.5],
        "text": "quote \" backslash \\ slash / tab \t newline \n",
    });
    vec![
        (Model::Users, "first_name", json!("Ѳеодоръ e\u{301} \u{202e}rtl\u{202c} '; DROP TABLE lms_users; --")),
        (Model::Users, "last_name", json!("")),
        (Model::Users, "work_email", json!("  spaces and\ttabs\r\n ")),
        (Model::Users, "status", json!("A_STATUS_OF_THE_FUTURE")),
        (Model::Users, "remote_created_at", json!("2024-02-29T23:59:59.999999Z")),
        (Model::Users, "changed_at", json!("2025-06-01T00:00:00.000999Z")),
        (Model::Users, "remote_data", document.clone()),
        (Model::Users, "custom_fields", document.clone()),
        (Model::Courses, "remote_created_at", json!("1969-12-31T23:59:59.999999Z")),
        (Model::Courses, "origin_id", json!("\u{1F3AF}")),
        (Model::CourseRevisions, "title", json!("日本語 العربية עברית ไทย")),
        (Model::CourseRevisions, "description", json!("x".repeat(100_000))),
        (Model::CourseRevisions, "remote_created_at", json!("0001-01-01T00:00:00.000001Z")),
        (Model::CourseRevisions, "integration_fields", json!([{ "id": "a", "key": "b", "value": document }])),
        (Model::CourseProviders, "name", Value::Null),
        (Model::Skills, "name", json!("ẞ ﬁ İ")),
        (Model::CourseProgressions, "status", Value::Null),
        (Model::CourseProgressions, "enrolled_at", json!("9999-12-31T23:59:59.999999Z")),
        (Model::CourseProgressions, "completed_at", json!("2024-12-31T23:59:59.000500Z")),
    ]
}

fn make_awkward(world: &World) {
    for integration in world.sandbox.integrations() {
        for (model, field, value) in awkward_values() {
            // A row without a tombstone, so that its fields are returned.
            let truth = world.sandbox.truth(&integration, model).unwrap();
            let row = truth.iter().find(|row| row.get("remote_deleted_at").is_none_or(Value::is_null)).unwrap();
            let id = row["id"].as_str().unwrap().parse().unwrap();
            world.sandbox.mutate(&integration, Mutation::silent(model, id, field, value)).unwrap();
        }
    }
}

fn assert_counts_match(world: &World, skills: Skills) {
    for integration in world.integrations() {
        for model in rows::Model::LMS {
            let (stored, expected) = (rows(world, &integration, model), expected(world, &integration, model, skills));
            assert_eq!(stored.len(), expected.len(), "{model}");
            assert!(stored.iter().all(|row| row.removed_at.is_none()), "{model}");
            assert!(!stored.is_empty(), "{model} is worth a look");
        }
    }
}

fn every_value_of_three_integrations_arrives(backend: Backend) {
    let world = World::new(backend, three_integrations());
    make_awkward(&world);
    let ids = |model| world.sandbox.ids(FIRST_INTEGRATION, model).unwrap().into_iter().collect::<BTreeSet<_>>();
    for model in [Model::Courses, Model::CourseRevisions, Model::CourseProgressions] {
        assert!(!ids(Model::Users).is_disjoint(&ids(model)), "users share ids with {model}");
    }
    let report = world.sync().json();
    assert_eq!(report["runs"].as_array().unwrap().len(), 9);
    assert!(report["runs"].as_array().unwrap().iter().all(|run| run["outcome"] == "completed"), "{report}");
    assert_faithful(&world, Skills::FromCourses);
    assert_counts_match(&world, Skills::FromCourses);
}

fn skills_are_whole_where_their_endpoint_is_enabled(backend: Backend) {
    let mut world = World::new(backend, three_integrations());
    world.set_toml("sync.endpoints", r#"["users", "courses", "course-progressions", "skills"]"#);
    make_awkward(&world);
    world.sync();
    assert_faithful(&world, Skills::FromTheirEndpoint);
    assert_counts_match(&world, Skills::FromTheirEndpoint);
}

fn every_page_is_asked_for_once(backend: Backend) {
    // The last page of users is full.
    let generator = GeneratorConfig { users: 500, courses: 251, progressions: 777, ..GeneratorConfig::default() };
    let world = World::new(backend, SandboxConfig { generator, ..SandboxConfig::default() });
    world.sync();
    for (endpoint, pages) in LISTS.into_iter().zip([2, 2, 4]) {
        let requests = world.requests(endpoint);
        assert_eq!(requests.len(), pages, "{endpoint}");
        assert_eq!(requests.iter().filter(|request| request.param("cursor").is_none()).count(), 1);
        for request in &requests {
            assert_eq!(request.status, Some(200));
            assert_eq!(request.param("page_size"), Some("250"));
            assert_eq!(request.param("include_deleted"), Some("true"));
            assert_eq!(request.param("updated_after"), None);
            assert_eq!(request.param("ids"), None);
        }
    }
    let others = [Endpoint::LmsSkills, Endpoint::Unknown].map(|endpoint| world.requests(endpoint).len());
    assert_eq!(others, [0, 0], "no other list is asked for");
    assert_faithful(&world, Skills::FromCourses);
}
