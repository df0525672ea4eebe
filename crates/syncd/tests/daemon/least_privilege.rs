//! The privileges in the documentation are sufficient, and grant no more than it says.

use kombo_sandbox::{
    Endpoint, FIRST_INTEGRATION, Fault, FaultKind, GeneratorConfig, Model, Mutation, SandboxConfig, Webhook,
    WebhookMode,
};
use serde_json::json;
use sync_testkit::postgres::PrivatePostgres;

use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, data_changed, status, status_of, world_for};
use crate::program::wait_until;

const DOCUMENT: &str = include_str!("../../../../docs/security.md");

/// Returns the statements in the documentation's block that follows this line.
fn statements(line: &str) -> String {
    let (_, rest) = DOCUMENT.split_once(line).expect("the line is there");
    let (_, rest) = rest.split_once("```sql\n").expect("a block follows");
    rest.split_once("\n```").expect("it ends").0.to_owned()
}

fn psql(url: &str, sql: &str) -> Result<String, String> {
    let program = sync_testkit::postgres::programs_folder().unwrap().join("psql");
    let arguments = ["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql];
    let output = std::process::Command::new(program).args(arguments).env("LC_ALL", "C").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    if output.status.success() { Ok(String::from_utf8(output.stdout).unwrap()) } else { Err(said) }
}

#[test]
fn the_documented_privileges_suffice() {
    let server = PrivatePostgres::start().unwrap();
    psql(&server.url("postgres"), "CREATE DATABASE syncd").unwrap();
    psql(&server.url("syncd"), &statements("<!-- the privileges that a test grants -->")).unwrap();
    let address = |role: &str| server.url("syncd").replacen("postgres@", &format!("{role}:database-password@"), 1);
    let (owner, daemon_role, reader) = (address("syncd_owner"), address("syncd"), address("syncd_reader"));

    let place = Place::new();
    let generator = GeneratorConfig { users: 40, courses: 5, progressions: 40, ..GeneratorConfig::default() };
    let mut world = world_for(Backend::Sqlite, SandboxConfig { generator, ..SandboxConfig::default() }, place);
    world.sandbox.configure_webhooks(|hooks| hooks.data_changed = WebhookMode::Off);
    world.set_toml("sync.change_values", "true");

    // Only the owner may create tables.
    world.set("store.url", &daemon_role);
    let refused = world.syncd(&["sync", "--no-migrate"]).expect_code(1);
    assert!(refused.complaint().contains("`syncd migrate`"), "{}", refused.stderr);
    let refused = world.syncd(&["migrate"]).expect_code(1);
    assert!(refused.complaint().contains("permission denied"), "{}", refused.stderr);
    world.set("store.url", &owner);
    world.syncd(&["migrate"]).expect_code(0);
    psql(&owner, &statements("<!-- the privileges that a test takes back -->")).unwrap();
    world.syncd(&["migrate"]).expect_code(0);
    world.set("store.url", &daemon_role);

    // Everything that the program does.
    let ids = |model: Model| world.sandbox.ids(FIRST_INTEGRATION, model).unwrap();
    let edit = |mutation: Mutation| world.sandbox.mutate(FIRST_INTEGRATION, mutation).unwrap();
    world.syncd(&["config", "check"]).expect_code(0);
    world.syncd(&["sync", "--no-migrate"]).expect_code(0);
    edit(Mutation::update(Model::Users, ids(Model::Users)[0], "first_name", "Changed"));
    edit(Mutation::delete(Model::Users, ids(Model::Users)[1]));
    let delta = world.syncd(&["sync", "--no-migrate", "--json"]).expect_code(0).json();
    assert!(delta["runs"].to_string().contains("\"delta\""), "{delta}");
    edit(Mutation::Purge { model: Model::CourseProgressions, id: ids(Model::CourseProgressions)[0] });
    let full = world.syncd(&["sync", "--no-migrate", "--full", "--json"]).expect_code(0).json();
    let deleted = full["runs"].as_array().unwrap().iter().map(|run| run["deleted"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(deleted, 1, "the sweep removed a row: {full}");
    world.syncd(&["verify"]).expect_code(0);
    world.syncd(&["status"]).expect_code(0);
    assert!(world.syncd(&["changes", "--json"]).expect_code(0).stdout.contains("Changed"));
    let odd = FaultKind::MalformedRecord { index: 0, field: "first_name".to_owned(), value: json!({}) };
    world.sandbox.inject(Fault::once(odd).at(Endpoint::LmsUsers));
    world.syncd(&["sync", "--no-migrate", "--full", "--endpoint", "users"]).expect_code(0);
    world.syncd(&["quarantine", "list"]).expect_code(0);
    world.syncd(&["quarantine", "retry"]).expect_code(1);
    world.syncd(&["pause", FIRST_INTEGRATION]).expect_code(0);
    world.syncd(&["resume", FIRST_INTEGRATION]).expect_code(0);

    // The daemon: schedule, webhooks, notifications between processes, the shared rate limit, retention.
    let mut command = world.command(&["run", "--no-migrate"]);
    command.env("SYNCD__KOMBO__MAX_REQUESTS_PER_MINUTE", "6000").env("SYNCD__CHANGES__KEEP_FOR", "2s");
    // No receiver listens, so that some deliveries are given up.
    command.env("SYNCD__DELIVERY__URL", format!("http://{}/", Place::new().webhooks));
    command
        .env("SYNCD__DELIVERY__SECRET", "what-deliveries-are-signed-with")
        .env("SYNCD__DELIVERY__GIVE_UP_AFTER", "1s");
    let daemon = Daemon::launch_as(&world, place, command);
    wait_until("the daemon is ready", || daemon.is_ready());
    let look = Look::at(&daemon_role);
    look.wait_until_settled(&world);
    edit(Mutation::update(Model::Users, ids(Model::Users)[2], "first_name", "By webhook"));
    assert_eq!(daemon.webhook(&data_changed("a", FIRST_INTEGRATION, &["lms_users", "lms_skills"])).status, 200);
    look.wait_until_settled(&world);
    let renamed = "SELECT count(*) FROM kombo.lms_users WHERE first_name = 'By webhook'";
    assert_eq!(psql(&reader, renamed).unwrap().trim(), "1", "and whoever reads may see it");
    let given_up = || psql(&reader, "SELECT count(*) FROM kombo.sync_dead_letters").unwrap().trim().to_owned();
    wait_until("a delivery is given up", || given_up() != "0");
    world.syncd(&["deliveries", "retry"]).expect_code(0);
    world.syncd(&["deliveries", "drop"]).expect_code(0);
    world.syncd(&["deliveries"]).expect_code(0);
    world.sandbox.send_webhook(FIRST_INTEGRATION, &Webhook::IntegrationDeleted).unwrap();
    wait_until("it is deleted", || status_of(&status(&world), FIRST_INTEGRATION)["state"] == "deleted");
    let log = daemon.stop().stderr;
    assert!(!log.contains("permission denied"), "{log}");

    // Everything that was not granted is refused.
    for sql in [
        "DROP TABLE kombo.lms_users",
        "CREATE TABLE kombo.mine (id text)",
        "CREATE TABLE public.mine (id text)",
        "CREATE TEMPORARY TABLE mine (id text)",
        "CREATE SCHEMA mine",
        "ALTER TABLE kombo.lms_users ADD COLUMN mine text",
        "CREATE INDEX mine ON kombo.lms_users (first_name)",
        "TRUNCATE kombo.sync_changes",
        "UPDATE kombo.__diesel_schema_migrations SET version = '0'",
        "CREATE ROLE mine",
        "SET ROLE syncd_owner",
    ] {
        for role in [&daemon_role, &reader] {
            let error = psql(role, sql).expect_err(sql);
            assert!(error.contains("permission denied") || error.contains("must be owner"), "{sql}: {error}");
        }
    }
    for sql in [
        "DELETE FROM kombo.lms_users",
        "UPDATE kombo.sync_requests SET attempts = 0",
        "SELECT 1 FROM kombo.sync_changes",
    ] {
        let error = psql(&reader, sql);
        assert_eq!(error.is_ok(), sql.starts_with("SELECT"), "{sql}: {error:?}");
    }
}
