//! Records that cannot be read or stored: they are quarantined, shown and retried, and never affect others.

use kombo_sandbox::{Endpoint, Fault, FaultKind, GeneratorConfig, Mutation, Sandbox, SandboxConfig};
use serde_json::{Value, json};
use sync_core::jobs::EndpointStatus;
use sync_core::rows::{Model, StoredRow};

use crate::database::Backend;
use crate::mirror::{Skills, assert_faithful, rows};
use crate::world::World;

on_both_databases!(
    a_malformed_record_is_quarantined_until_a_good_one_comes,
    odd_records_stop_no_batch,
    what_no_database_can_hold_is_quarantined_alone,
    what_can_be_read_now_leaves_quarantine,
    a_retry_never_overwrites_what_is_newer,
    an_endpoint_that_cannot_be_read_is_not_well,
);

const USERS: usize = 40;

fn world(backend: Backend) -> World {
    let generator = GeneratorConfig { users: USERS, courses: 8, progressions: 30, ..GeneratorConfig::default() };
    World::new(backend, SandboxConfig { generator, ..SandboxConfig::default() })
}

fn spoil(sandbox: &Sandbox, index: usize, field: &str, value: Value) {
    let fault = FaultKind::MalformedRecord { index, field: field.to_owned(), value };
    sandbox.inject(Fault::once(fault).at(Endpoint::LmsUsers));
}

fn users(world: &World) -> Vec<StoredRow> {
    rows(world, &world.integrations()[0], Model::LmsUsers)
}

fn run_of_users(report: &Value) -> Value {
    report["runs"].as_array().unwrap().iter().find(|run| run["endpoint"] == "lms/users").unwrap().clone()
}

fn quarantine(world: &World) -> Vec<Value> {
    let listed = world.syncd(&["quarantine", "list", "--json"]).expect_code(0).json();
    let shown = world.syncd(&["status", "--json"]).expect_code(0).json();
    let (listed, shown) = (listed["quarantine"].as_array().unwrap(), shown["quarantine"].as_array().unwrap());
    assert_eq!(listed.len(), shown.len(), "status shows it too");
    listed.clone()
}

fn a_malformed_record_is_quarantined_until_a_good_one_comes(backend: Backend) {
    let world = world(backend);
    spoil(&world.sandbox, 3, "first_name", json!(["no", "text"]));
    let run = run_of_users(&world.sync().json());
    assert_eq!((&run["outcome"], &run["quarantined"]), (&json!("completed_with_quarantine"), &json!(1)));
    assert!(run["watermark"].is_string(), "the watermark moved");
    let listed = quarantine(&world);
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["endpoint"], &listed[0]["path"]), (&json!("lms/users"), &json!("first_name")));
    let id = listed[0]["record_id"].as_str().unwrap().to_owned();
    let text = world.syncd(&["quarantine", "list"]).expect_code(0).stdout;
    assert!(text.contains(&id) && text.contains("first_name"), "{text}");

    // Its content is unchanged, so it stays.
    let retried = world.syncd(&["quarantine", "retry", "--json"]).expect_code(1).json();
    assert_eq!(retried["retried"][0]["outcome"], "kept");
    assert_eq!(retried["retried"][0]["reason"], listed[0]["reason"]);
    assert_eq!(quarantine(&world), listed);

    // It counts as shown: neither a full fetch nor verify treats it as gone.
    spoil(&world.sandbox, 3, "first_name", json!(["no", "text"]));
    let run = run_of_users(&world.syncd(&["sync", "--full", "--json"]).expect_code(0).json());
    assert_eq!((&run["deleted"], &run["quarantined"]), (&json!(0), &json!(1)));
    spoil(&world.sandbox, 3, "first_name", json!(["no", "text"]));
    let verified = world.syncd(&["verify", "--json", "--endpoint", "users"]).expect_code(3).json();
    let differences = verified["differences"].as_array().unwrap();
    assert_eq!((differences.len(), &verified["compared"]), (1, &json!(USERS - 1)));
    assert_eq!((&differences[0]["record_id"], &differences[0]["what"]), (&json!(id), &json!("unreadable")));

    let integration = &world.sandbox.integrations()[0];
    let rename = Mutation::update(kombo_sandbox::Model::Users, id.parse().unwrap(), "first_name", "Good");
    world.sandbox.mutate(integration, rename).unwrap();
    let run = run_of_users(&world.sync().json());
    assert_eq!(run["outcome"], "completed");
    assert_eq!(quarantine(&world), [json!(null); 0]);
    assert_faithful(&world, Skills::FromCourses);
}

/// Deep enough to overflow the stack of naive code.
fn deep(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

fn odd_records_stop_no_batch(backend: Backend) {
    let world = world(backend);
    world.sync();
    let oddities: [(&str, Value, u64); 9] = [
        ("first_name", json!("a\u{0}b"), 0),
        ("id", json!("an\u{0}id"), 0),
        ("remote_data", json!({ "text": "a\u{0}b\u{ffff}" }), 0),
        ("remote_data", json!({ "text": "x".repeat(1 << 20) }), 0),
        ("custom_fields", json!({ "text": "x".repeat(1 << 20), "number": 1e300 }), 0),
        ("remote_data", deep(100), 0),
        ("custom_fields", deep(127), 1),
        ("id", json!(null), 1),
        ("id", json!(""), 1),
    ];
    for (field, value, quarantined) in oddities {
        let shown: String = value.to_string().chars().take(40).collect();
        spoil(&world.sandbox, 5, field, value);
        let report = world.syncd(&["sync", "--full", "--endpoint", "users", "--json"]).expect_code(0).json();
        let run = run_of_users(&report);
        let outcome = if quarantined == 0 { "completed" } else { "completed_with_quarantine" };
        assert_eq!((&run["outcome"], &run["quarantined"]), (&json!(outcome), &json!(quarantined)), "{field} {shown}");
        // If the id differs, the original record is looked up and found.
        assert!(run["records"].as_u64() >= u64::try_from(USERS).ok(), "{field} {shown}");
    }
    world.sandbox.inject(Fault::once(FaultKind::DuplicateRecord).at(Endpoint::LmsUsers));
    let report = world.syncd(&["sync", "--full", "--endpoint", "users", "--json"]).expect_code(0).json();
    let run = run_of_users(&report);
    assert_eq!((&run["outcome"], &run["records"]), (&json!("completed"), &json!(USERS + 1)));
    assert_eq!(quarantine(&world), [json!(null); 0], "a full fetch shows all that there is");
    assert_faithful(&world, Skills::FromCourses);
}

fn what_no_database_can_hold_is_quarantined_alone(backend: Backend) {
    let world = world(backend);
    world.sync();
    let user = |id: &str, name: &str, value: &str| {
        format!(r#"{{"id":"{id}","remote_id":"r","{name}":{value},"changed_at":"2026-01-01T00:00:00.000Z"}}"#)
    };
    let abyss = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let shaft = format!("{}{}", "[".repeat(900), "]".repeat(900));
    let records = [
        user("plain", "first_name", "\"Ada\""),
        user("abyss", "remote_data", &abyss),
        user("abyss-too", "custom_fields", &abyss),
        user("shaft", "remote_data", &shaft),
        user("huge-number", "custom_fields", r#"{"n":1e400000}"#),
        user("surrogate", "custom_fields", r#"{"n":"\ud800\u0000"}"#),
        user("plain-too", "first_name", "\"Grace\""),
    ];
    let body = format!(r#"{{"status":"success","data":{{"next":null,"results":[{}]}}}}"#, records.join(","));
    let page = FaultKind::Foreign { status: 200, content_type: "application/json".to_owned(), body };
    world.sandbox.inject(Fault::once(page).at(Endpoint::LmsUsers));
    let run = run_of_users(&world.sync().json());
    assert_eq!((&run["outcome"], &run["records"]), (&json!("completed_with_quarantine"), &json!(records.len())));
    // A number that `jsonb` cannot represent is stored as text on every database.
    let refused = ["abyss", "abyss-too"];
    let listed = quarantine(&world);
    let names: Vec<&str> = listed.iter().map(|record| record["record_id"].as_str().unwrap()).collect();
    assert_eq!(names, refused);
    let stored: Vec<String> = users(&world).iter().map(|row| row.row.key.to_string()).collect();
    for record in ["plain", "abyss", "abyss-too", "shaft", "huge-number", "surrogate", "plain-too"] {
        assert!(stored.contains(&record.to_owned()), "{record}");
    }
    world.syncd(&["quarantine", "retry"]).expect_code(1);
    assert_eq!(quarantine(&world).len(), refused.len());
}

/// Quarantines a record in the form of an older program.
fn put_aside(world: &World, record: &Value, observed_at: &str) {
    let (id, json) = (record["id"].as_str().unwrap(), record.to_string().replace('\'', "''"));
    let integration = &world.integrations()[0];
    world.database.execute(&format!(
        "INSERT INTO sync_quarantine (integration_id, endpoint, record_id, json, path, reason, observed_at, run_id) \
         VALUES ('{integration}', 'lms/users', '{id}', '{json}', 'status', 'not read', '{observed_at}', 1)"
    ));
}

fn what_can_be_read_now_leaves_quarantine(backend: Backend) {
    let world = world(backend);
    world.sync();
    let user = json!({ "id": "newcomer", "remote_id": "r", "first_name": "Ada", "last_name": null, "work_email": null,
        "status": "ACTIVE", "remote_created_at": null, "remote_data": null, "custom_fields": { "a": 1 },
        "integration_fields": null, "changed_at": "2026-01-01T00:00:00.000Z", "remote_deleted_at": null });
    put_aside(&world, &user, "2026-01-01T00:01:00.000Z");
    put_aside(&world, &json!({ "id": "hopeless", "first_name": {} }), "2026-01-01T00:01:00.000Z");
    let text = world.syncd(&["quarantine", "retry"]).expect_code(1).stdout;
    assert!(text.contains("applied  lms/users of") && text.ends_with("1 of 2 are out of quarantine.\n"), "{text}");
    let stored = users(&world).into_iter().find(|row| row.row.key.first() == "newcomer").unwrap();
    assert_eq!(stored.row.get(Model::LmsUsers, "first_name").unwrap().text(), Some("Ada"));
    assert_eq!(stored.synced_at.to_string(), "2026-01-01T00:01:00.000Z", "it counts as observed when it was fetched");
    let log = world.read(|tx| tx.changes(None, 0, 10));
    let told: Vec<String> =
        log.iter().map(|it| format!("{} {} {} {}", it.model, it.record_id, it.kind, it.cause)).collect();
    assert_eq!(told, ["lms_users hopeless created direct", "lms_users newcomer created direct"]);
    assert_eq!(quarantine(&world).len(), 1);
    // A second retry has nothing to apply, and logs nothing twice.
    world.syncd(&["quarantine", "retry"]).expect_code(1);
    assert_eq!(world.read(|tx| tx.changes(None, 0, 10)).len(), 2);
    world.syncd(&["quarantine", "retry", "--integration", "sandbox:unknown"]).expect_code(2);
}

fn a_retry_never_overwrites_what_is_newer(backend: Backend) {
    let world = world(backend);
    world.sync();
    let before = users(&world);
    let stored = before.iter().find(|row| row.is_live()).unwrap();
    let id = stored.row.key.first();
    let old = json!({ "id": id, "remote_id": "old", "first_name": "Old", "changed_at": "2001-01-01T00:00:00.000Z" });
    put_aside(&world, &old, "2001-01-01T00:01:00.000Z");
    // A row that is known from a copy keeps the copy's values, and gets the others.
    let integration = &world.integrations()[0];
    world.database.execute(&format!(
        "INSERT INTO lms_users (integration_id, id, first_name, synced_at) \
         VALUES ('{integration}', 'copied', 'Newer', '2026-01-01T00:00:00.000Z')"
    ));
    let full = json!({ "id": "copied", "remote_id": "r", "first_name": "Older", "work_email": "a@b.example",
        "changed_at": "2001-01-01T00:00:00.000Z" });
    put_aside(&world, &full, "2001-01-01T00:01:00.000Z");
    world.syncd(&["quarantine", "retry"]).expect_code(0);
    let after = users(&world);
    let text = |id: &str, name| {
        let row = after.iter().find(|row| row.row.key.first() == id).unwrap();
        row.row.get(Model::LmsUsers, name).unwrap().text().map(str::to_owned)
    };
    assert_eq!(after.iter().find(|row| row.row.key.first() == id), Some(stored));
    assert_eq!(text("copied", "first_name").as_deref(), Some("Newer"));
    assert_eq!(text("copied", "work_email").as_deref(), Some("a@b.example"));
    assert_eq!(quarantine(&world), [json!(null); 0]);
}

fn an_endpoint_that_cannot_be_read_is_not_well(backend: Backend) {
    let world = world(backend);
    let records: Vec<Value> = (0..12).map(|number| json!({ "id": null, "remote_id": number })).collect();
    let page = json!({ "status": "success", "data": { "next": null, "results": records } }).to_string();
    let inject = || {
        let page = FaultKind::Foreign { status: 200, content_type: "application/json".to_owned(), body: page.clone() };
        world.sandbox.inject(Fault::once(page).at(Endpoint::LmsUsers));
    };
    inject();
    let finished = world.syncd(&["sync", "--endpoint", "users"]).expect_code(1);
    assert!(finished.stdout.contains("12 records could not be read, stored or looked up"), "{}", finished.stdout);
    assert!(finished.complaint().contains("12 records cannot be read or stored"), "{}", finished.stderr);
    let states: Vec<EndpointStatus> =
        world.read(|tx| tx.endpoints(None)).into_iter().map(|state| state.status).collect();
    assert_eq!(states, [EndpointStatus::Unreadable]);
    assert!(world.syncd(&["status"]).expect_code(0).stdout.contains("unreadable since"), "status says so");
    inject();
    let verified = world.syncd(&["verify", "--json", "--endpoint", "users"]).expect_code(3).json();
    let what: Vec<&str> =
        verified["differences"].as_array().unwrap().iter().map(|it| it["what"].as_str().unwrap()).collect();
    assert_eq!((what, &verified["compared"]), (vec!["unreadable"; 12], &json!(0)));

    world.syncd(&["sync", "--full"]).expect_code(0);
    let states = world.read(|tx| tx.endpoints(None));
    assert!(states.iter().all(|state| state.status == EndpointStatus::Ok), "{states:?}");
}
