//! Output for programs: one JSON document on standard output, with exactly the documented keys.

use std::collections::BTreeSet;

use kombo_sandbox::{Endpoint, FIRST_INTEGRATION, Fault, FaultKind, Model, SandboxConfig};
use serde_json::{Value, json};

use crate::database::Backend;
use crate::world::World;

on_both_databases!(the_log_keeps_names_and_secrets_to_itself);

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap_or_else(|| panic!("an object: {value}")).keys().map(String::as_str).collect()
}

#[track_caller]
fn assert_keys(value: &Value, names: &str) {
    assert_eq!(keys(value), names.split_whitespace().collect(), "{value}");
}

const RUN: &str = "integration_id endpoint kind outcome pages records created updated deleted restored unchanged \
                   indirect stale quarantined unlisted withheld duration_ms watermark";

#[test]
fn sync_reports_its_runs() {
    let world = World::new(Backend::Sqlite, SandboxConfig::default());
    let first = world.sync().json();
    assert_keys(&first, "runs");
    let runs = first["runs"].as_array().unwrap();
    let endpoints: Vec<&Value> = runs.iter().map(|run| &run["endpoint"]).collect();
    assert_eq!(endpoints, ["lms/users", "lms/courses", "lms/course-progressions"]);
    for run in runs {
        assert_keys(run, RUN);
        assert_eq!(run["kind"], "full");
        assert_eq!(run["outcome"], "completed");
        assert!(run["watermark"].is_string() && run["duration_ms"].is_u64(), "{run}");
    }
    let again = world.syncd(&["sync", "--json", "--endpoint", "users"]).expect_code(0).json();
    assert_eq!(again["runs"][0]["kind"], "delta");
    assert_eq!(again["runs"].as_array().unwrap().len(), 1);

    // A failed run is listed with its reason.
    world.sandbox.inject(Fault::always(FaultKind::error(400, "PLATFORM.INPUT_INVALID")).at(Endpoint::LmsUsers));
    let failed = world.syncd(&["--json", "sync"]).expect_code(1).json();
    assert_eq!(failed["runs"][0]["outcome"], "failed");
    assert_keys(&failed["runs"][0], &format!("{RUN} error"));
    assert_keys(&failed["runs"][1], RUN);
}

#[test]
fn status_tells_where_everything_stands() {
    let world = World::new(Backend::Sqlite, SandboxConfig::default());
    world.syncd(&["migrate"]).expect_code(0);
    let empty = world.syncd(&["status", "--json"]).expect_code(0).json();
    assert_eq!(empty, json!({ "integrations": [], "runs": [], "queue": [], "quarantine": [] }));

    let broken = FaultKind::MalformedRecord { index: 0, field: "changed_at".to_owned(), value: json!("yesterday") };
    world.sandbox.inject(Fault::once(broken).at(Endpoint::LmsUsers));
    world.sandbox.inject(Fault::always(FaultKind::error(400, "PLATFORM.INPUT_INVALID")).at(Endpoint::LmsCourses));
    let sync = world.syncd(&["sync", "--json"]).expect_code(1).json();
    assert_eq!(sync["runs"][0]["outcome"], "completed_with_quarantine");

    let status = world.syncd(&["status", "--json"]).expect_code(0).json();
    assert_keys(&status, "integrations runs queue quarantine");
    let integration = &status["integrations"][0];
    assert_keys(integration, "id tool category state since reason endpoints");
    assert_eq!(integration["id"], FIRST_INTEGRATION);
    assert_eq!(integration["state"], "active");
    for endpoint in integration["endpoints"].as_array().unwrap() {
        let names = "endpoint watermark lag_seconds last_delta last_full next_full state since reason";
        assert_keys(endpoint, names);
        let failed = endpoint["endpoint"] == "lms/courses";
        assert_eq!(endpoint["state"], if failed { "failed" } else { "ok" });
        assert_eq!(endpoint["watermark"].is_null(), failed);
        assert_eq!(endpoint["reason"].is_null(), !failed);
    }
    let run = "id integration_id endpoint kind outcome started_at finished_at pages records created updated deleted \
               restored unchanged indirect stale quarantined unlisted withheld error";
    assert_eq!(status["runs"].as_array().unwrap().len(), 3);
    assert_keys(&status["runs"][0], run);
    assert_eq!(status["queue"].as_array().unwrap().len(), 1, "the failed fetch is tried again");
    let request = "integration_id endpoint kind cause requested_at not_before attempts worked_on_by";
    assert_keys(&status["queue"][0], request);
    assert_eq!(status["quarantine"].as_array().unwrap().len(), 1);
    assert_keys(&status["quarantine"][0], "integration_id endpoint record_id path reason observed_at");

    let table = world.syncd(&["status"]).expect_code(0).stdout;
    for words in [FIRST_INTEGRATION, "course-progressions", "Last runs", "Pending", "uarantine"] {
        assert!(table.contains(words), "{words}: {table}");
    }
}

#[test]
fn changes_are_one_document_each() {
    let world = World::new(Backend::Sqlite, SandboxConfig::default());
    world.sync();
    assert_eq!(world.syncd(&["changes", "--json"]).expect_code(0).stdout, "", "a first load logs nothing");
    for seed in 0..30 {
        world.sandbox.mutate_random(FIRST_INTEGRATION, seed).unwrap();
    }
    let report = world.sync().json();
    let sum =
        |kind: &str| report["runs"].as_array().unwrap().iter().map(|run| run[kind].as_u64().unwrap()).sum::<u64>();
    let changes = world.syncd(&["changes", "--json"]).expect_code(0).stdout;
    let changes: Vec<Value> = changes.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for change in &changes {
        assert_keys(change, "seq integration_id model record_id kind cause fields run_id at");
        assert!(change["fields"].is_array(), "{change}");
    }
    for (count, kind) in ["created", "updated", "deleted", "restored"].map(|kind| (sum(kind), kind)) {
        let logged = changes.iter().filter(|change| change["kind"] == kind).count();
        assert_eq!(u64::try_from(logged).unwrap(), count, "{kind}");
    }
    let seqs: Vec<i64> = changes.iter().map(|change| change["seq"].as_i64().unwrap()).collect();
    assert!(seqs.len() > 5 && seqs.is_sorted());
    let since = seqs[seqs.len() - 3].to_string();
    let rest = world.syncd(&["changes", "--json", "--since", &since]).expect_code(0).stdout;
    assert_eq!(rest.lines().count(), 2);
}

fn the_log_keeps_names_and_secrets_to_itself(backend: Backend) {
    let mut world = World::new(backend, SandboxConfig::default());
    if backend == Backend::Postgres {
        // The server trusts everyone, so it accepts any password. The program must not show it.
        let url = world.database.url().replacen("postgres@", "postgres:database-password@", 1);
        world.set("store.url", &url);
    }
    let broken = FaultKind::MalformedRecord { index: 0, field: "changed_at".to_owned(), value: json!("yesterday") };
    world.sandbox.inject(Fault::once(broken).at(Endpoint::LmsUsers));
    let log = world.syncd(&["sync", "--log", "trace"]).expect_code(0).stderr;
    assert!(log.contains("TRACE"), "everything is logged");
    let users = world.sandbox.truth(FIRST_INTEGRATION, Model::Users).unwrap();
    let courses = world.sandbox.truth(FIRST_INTEGRATION, Model::CourseRevisions).unwrap();
    let mails = users.iter().filter_map(|user| user["work_email"].as_str());
    for text in mails.chain(courses.iter().filter_map(|course| course["description"].as_str())) {
        assert!(!log.contains(text), "{text} is logged");
    }
}

#[test]
fn plan_explains_itself() {
    let world = World::new(Backend::Sqlite, SandboxConfig::empty());
    let arguments = ["plan", "lms_course_progressions", "lms_users", "assessment_orders", "--json"];
    let plan = world.syncd(&arguments).expect_code(0).json();
    assert_keys(&plan, "fetches spared ignored");
    let expected = json!([
        { "endpoint": "lms/users", "kind": "delta", "because": ["lms_users"] },
        { "endpoint": "lms/course-progressions", "kind": "delta", "because": ["lms_course_progressions"] },
    ]);
    assert_eq!(plan["fetches"], expected);
    assert_keys(&plan["spared"][0], "endpoint why");
    assert_eq!(plan["spared"][0]["endpoint"], "lms/courses");
    assert_eq!(plan["ignored"], json!(["assessment_orders"]));
    assert!(world.sandbox.requests().is_empty(), "a plan asks nobody");

    let text = world.syncd(&["plan", "lms_course_progressions"]).expect_code(0).stdout;
    assert!(text.contains("call") && text.contains("because of lms_course_progressions"), "{text}");
}

#[test]
fn global_options_stand_before_or_after_the_command() {
    let world = World::new(Backend::Sqlite, SandboxConfig::empty());
    let elsewhere = world.write("elsewhere.toml", &world.configuration());
    let elsewhere = elsewhere.to_str().unwrap();
    for arguments in [
        ["--config", elsewhere, "--json", "--log", "debug", "plan", "lms_users"],
        ["plan", "lms_users", "--config", elsewhere, "--json", "--log", "debug"],
        ["--config", elsewhere, "plan", "--log", "debug", "lms_users", "--json"],
    ] {
        let plan = world.start(world.command_as_it_is(&arguments)).wait().expect_code(0).json();
        assert_eq!(plan["fetches"][0]["endpoint"], "lms/users");
    }
}
