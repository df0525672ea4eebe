//! Deleted rows and their anonymisation.

use chrono::TimeDelta;
use kombo_sandbox::{
    ClockMode, FIRST_INTEGRATION, GeneratorConfig, Id, Model, Mutation, Sandbox, SandboxConfig, Stamp,
};
use serde_json::Value;

use crate::client::{get, start};

async fn one_deleted_user() -> (Sandbox, Id) {
    let clock = ClockMode::Manual { now: Stamp::parse_request("2025-07-01").unwrap() };
    let generator =
        GeneratorConfig { null_rate: 0.0, extra_rate: 1.0, deleted_rate: 0.0, ..GeneratorConfig::default() };
    let sandbox = start(SandboxConfig { clock, generator, ..SandboxConfig::default() }).await;
    let user = get(&sandbox, "/lms/users").await.ids()[0].parse().unwrap();
    sandbox.mutate(FIRST_INTEGRATION, Mutation::delete(Model::Users, user)).unwrap();
    (sandbox, user)
}

async fn shown(sandbox: &Sandbox, id: Id) -> Value {
    get(sandbox, &format!("/lms/users?ids={id}&include_deleted=true")).await.results().remove(0)
}

#[tokio::test]
async fn a_deleted_row_is_hidden_unless_asked_for() {
    let (sandbox, user) = one_deleted_user().await;
    assert!(get(&sandbox, &format!("/lms/users?ids={user}")).await.results().is_empty());
    assert!(get(&sandbox, "/lms/users?updated_after=2025-06-30").await.results().is_empty());
    let row = shown(&sandbox, user).await;
    assert_eq!(row["remote_deleted_at"], "2025-07-01T00:00:00.000Z");
    assert_eq!(row["changed_at"], "2025-07-01T00:00:00.000Z");
    assert!(row["first_name"].is_string());
    sandbox.mutate(FIRST_INTEGRATION, Mutation::restore(Model::Users, user)).unwrap();
    assert!(shown(&sandbox, user).await["remote_deleted_at"].is_null());
}

#[tokio::test]
async fn after_fourteen_days_its_fields_are_null_and_it_stays() {
    let (sandbox, user) = one_deleted_user().await;
    sandbox.advance(TimeDelta::days(14) - TimeDelta::milliseconds(1));
    assert!(shown(&sandbox, user).await["first_name"].is_string());
    sandbox.advance(TimeDelta::milliseconds(1));
    let row = shown(&sandbox, user).await;
    for field in
        ["first_name", "last_name", "work_email", "status", "remote_created_at", "remote_data", "custom_fields"]
    {
        assert!(row[field].is_null(), "{field}");
    }
    assert!(row["remote_id"].is_string());
    assert_eq!(row["integration_fields"], serde_json::json!([]));
    assert_eq!(row["changed_at"], "2025-07-01T00:00:00.000Z");
    let path = format!("/lms/course-progressions?user_ids={user}");
    let copies = get(&sandbox, &path).await.results();
    assert!(copies.iter().all(|it| it["user"]["first_name"].is_null() && it["status"].is_string()));
    sandbox.edit(|state| state.behaviour.anonymise_hard = true);
    assert!(shown(&sandbox, user).await["remote_id"].is_null());
}

#[tokio::test]
async fn anonymising_at_once_needs_no_waiting() {
    let (sandbox, user) = one_deleted_user().await;
    sandbox.mutate(FIRST_INTEGRATION, Mutation::Anonymise { model: Model::Users, id: user }).unwrap();
    assert!(shown(&sandbox, user).await["first_name"].is_null());
}

#[tokio::test]
async fn a_purged_row_is_gone_without_a_trace_and_may_come_back() {
    let (sandbox, user) = one_deleted_user().await;
    sandbox.mutate(FIRST_INTEGRATION, Mutation::purge(Model::Users, user)).unwrap();
    let path = format!("/lms/users?ids={user}&include_deleted=true");
    assert!(get(&sandbox, &path).await.results().is_empty());
    let progressions = get(&sandbox, &format!("/lms/course-progressions?include_deleted=true&user_ids={user}")).await;
    assert!(progressions.results().is_empty());
    let recreate = Mutation::Recreate { model: Model::Users, id: user, seed: 3, set: serde_json::Map::new() };
    sandbox.mutate(FIRST_INTEGRATION, recreate).unwrap();
    assert!(shown(&sandbox, user).await["remote_deleted_at"].is_null());
}

#[tokio::test]
async fn a_model_turned_off_has_only_deleted_rows() {
    let (sandbox, _) = one_deleted_user().await;
    assert_eq!(sandbox.delete_all(FIRST_INTEGRATION, Model::Users).unwrap(), 100);
    assert!(get(&sandbox, "/lms/users").await.results().is_empty());
    assert_eq!(get(&sandbox, "/lms/users?include_deleted=true").await.results().len(), 100);
}
