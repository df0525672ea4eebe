//! The tables are created once, whichever process comes first.

use kombo_sandbox::SandboxConfig;
use serde_json::json;
use sync_core::rows::Model;

use crate::database::{Backend, Database};
use crate::program::{Running, wait_until};
use crate::world::World;

on_both_databases!(
    migrating_twice_does_nothing_the_second_time,
    several_processes_migrate_at_once,
    tables_of_a_newer_version_are_left_alone,
    commands_that_need_tables_ask_for_them,
    a_database_with_the_short_names_of_endpoints_goes_on_without_a_load,
);

fn world(backend: Backend) -> World {
    World::new(backend, SandboxConfig::empty())
}

fn migrating_twice_does_nothing_the_second_time(backend: Backend) {
    let world = world(backend);
    let first = world.syncd(&["migrate", "--json"]).expect_code(0).json();
    assert!(first["migrations"].as_array().unwrap().len() >= 2, "{first}");
    let second = world.syncd(&["migrate", "--json"]).expect_code(0).json();
    assert_eq!(second["migrations"], json!([]));
    let third = world.syncd(&["migrate"]).expect_code(0);
    assert!(third.stdout.contains("up to date"), "{}", third.stdout);
    for model in Model::ALL {
        assert_eq!(crate::mirror::rows(&world, &"any:thing".into(), model), []);
    }
}

fn several_processes_migrate_at_once(backend: Backend) {
    let world = world(backend);
    let processes: Vec<Running> = (0..6).map(|_| world.spawn(&["migrate", "--json"])).collect();
    for process in processes {
        process.wait().expect_code(0);
    }
    assert_eq!(world.syncd(&["migrate", "--json"]).expect_code(0).json()["migrations"], json!([]));
    world.sync();
}

fn tables_of_a_newer_version_are_left_alone(backend: Backend) {
    let world = world(backend);
    world.sync();
    world.database.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231000001')");
    for arguments in [&["sync"][..], &["status"], &["migrate"], &["sync", "--no-migrate"]] {
        let refused = world.syncd(arguments).expect_code(1);
        let complaint = refused.complaint();
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
        for words in ["newer than this program", "99991231000001", "upgrade syncd"] {
            assert!(complaint.contains(words), "{arguments:?}: {complaint}");
        }
        assert_eq!(refused.stdout, "");
    }
    let check = world.syncd(&["config", "check"]).expect_code(1);
    assert!(check.stdout.contains("upgrade syncd"), "{}", check.stdout);
}

fn commands_that_need_tables_ask_for_them(backend: Backend) {
    let world = world(backend);
    for arguments in [&["status"][..], &["sync", "--no-migrate"], &["changes"]] {
        let complaint = world.syncd(arguments).expect_code(1).complaint();
        assert!(complaint.contains("syncd migrate"), "{arguments:?}: {complaint}");
    }
    if let Database::Sqlite(path) = &world.database {
        assert!(!path.exists(), "no file was made");
    }
}

/// The newest migrations, newest first, which the test reverts.
const NEWEST: [&str; 15] = [
    "2026-12-01-160000_july_2026",
    "2026-12-01-150000_views",
    "2026-12-01-140000_hris_and_ats",
    "2026-12-01-130000_integration_category",
    "2026-12-01-100000_categories",
    "2026-12-01-007000_runs_of_integration",
    "2026-12-01-006000_pending_deliveries",
    "2026-12-01-004000_inbox",
    "2026-12-01-003000_next_look",
    "2026-12-01-002000_log_order",
    "2026-12-01-001000_claims",
    "2026-11-30-020001_index_fit",
    "2026-11-30-016001_unlisted",
    "2026-11-30-014000_state_time",
    "2026-11-30-012001_bounds",
];

/// Returns the SQL that reverts a migration.
fn reverting(migration: &str, backend: Backend) -> String {
    let (folder, schema) = match backend {
        Backend::Postgres => ("postgres", "kombo."),
        Backend::Sqlite => ("sqlite", ""),
    };
    let path = format!("{}/../../migrations/{folder}/{migration}/down.sql", env!("CARGO_MANIFEST_DIR"));
    let version: String = migration.chars().take(17).filter(char::is_ascii_digit).collect();
    let revert = std::fs::read_to_string(path).unwrap();
    format!("{revert};\nDELETE FROM {schema}__diesel_schema_migrations WHERE version = '{version}';")
}

fn a_database_with_the_short_names_of_endpoints_goes_on_without_a_load(backend: Backend) {
    let world = World::new(backend, SandboxConfig::default());
    world.sync();
    world.database.execute(&reverting("2026-12-01-100000_categories", backend));
    world.syncd(&["status"]).expect_code(1);
    let report = world.syncd(&["sync", "--json"]).expect_code(0).json();
    for run in report["runs"].as_array().unwrap() {
        assert_eq!((&run["kind"], &run["outcome"]), (&json!("delta"), &json!("completed")), "{run}");
        assert!(run["endpoint"].as_str().unwrap().starts_with("lms/"), "{run}");
    }
    world.syncd(&["verify"]).expect_code(0);
}

/// A waiting migration reports the session that it waits for, has no time-out, and continues after that session is
/// killed.
#[test]
fn a_migration_waits_for_a_reader_and_says_so() {
    let world = world(Backend::Postgres);
    let Database::Postgres(database) = &world.database else { unreachable!("it was asked for") };
    world.syncd(&["migrate"]).expect_code(0);
    for migration in NEWEST {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/postgres");
        database.execute(&std::fs::read_to_string(format!("{folder}/{migration}/down.sql")).unwrap()).unwrap();
        let version: String = migration.chars().take(17).filter(char::is_ascii_digit).collect();
        let forgotten = format!("DELETE FROM kombo.__diesel_schema_migrations WHERE version = '{version}' RETURNING 1");
        assert_eq!(database.execute(&forgotten).unwrap(), "1", "{migration}");
    }
    // Notes the time-outs of the session that changes tables.
    let note = "CREATE TABLE public.seen (timeouts text);
        CREATE FUNCTION public.note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO public.seen SELECT concat_ws(' ', current_setting('statement_timeout'),
                current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'));
        END $$;
        CREATE EVENT TRIGGER note ON ddl_command_start EXECUTE FUNCTION public.note()";
    database.execute(note).unwrap();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let read = "SET statement_timeout = 0; SET application_name = 'a report'; BEGIN; SET LOCAL \
                        idle_in_transaction_session_timeout = 0; SELECT count(*) FROM kombo.lms_users; SELECT pg_sleep(600)";
            drop(database.execute(read));
        });
        let holds = "SELECT count(*) FROM pg_locks WHERE relation = 'kombo.lms_users'::regclass AND granted";
        wait_until("the reader reads", || database.execute(holds).unwrap() != "0");
        let first = world.spawn(&["migrate"]);
        let names_it = |process: &Running| {
            let said = process.stderr_so_far();
            said.contains("a migration is waiting for another session") && said.contains("a report")
        };
        wait_until("the first process says for whom it waits", || names_it(&first));
        assert!(first.stderr_so_far().contains("012001"), "{}", first.stderr_so_far());
        first.kill();
        let status = world.syncd(&["status"]).expect_code(1);
        assert!(status.complaint().contains(&format!("{} migrations are pending", NEWEST.len())), "{}", status.stderr);
        let second = world.spawn(&["migrate", "--json"]);
        wait_until("the second process waits", || {
            second.stderr_so_far().contains("a migration is waiting for another session")
        });
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'a report'";
        database.execute(end).unwrap();
        reader.join().unwrap();
        let done = second.wait().expect_code(0);
        assert_eq!(done.json()["migrations"].as_array().unwrap().len(), NEWEST.len());
        assert_eq!(database.execute("SELECT DISTINCT timeouts FROM public.seen").unwrap(), "0 0 0");
        assert!(
            done.stderr.contains("migrated") && done.stderr.contains(&format!("\"of\":{}", NEWEST.len())),
            "{}",
            done.stderr
        );
    });
    world.sync();
}

/// Empty tables are partitioned as configured, tables with rows by a command, and the mirror works on both.
#[test]
fn tables_are_partitioned() {
    let partitions = |world: &World| {
        let Database::Postgres(database) = &world.database else { unreachable!("it was asked for") };
        database.execute("SELECT count(*) FROM pg_inherits WHERE inhparent = 'kombo.lms_users'::regclass").unwrap()
    };
    let mut world = World::new(Backend::Postgres, SandboxConfig::default());
    world.sync();
    world.set_toml("store.partitions", "3");
    let warned = world.syncd(&["migrate"]).expect_code(0);
    assert!(warned.stderr.contains("syncd migrate --partitions 3"), "{}", warned.stderr);
    assert_eq!(partitions(&world), "0");
    let split = world.syncd(&["migrate", "--partitions", "4", "--json"]).expect_code(0).json();
    assert_eq!(split["partitioned"].as_array().unwrap().len(), Model::ALL.len());
    assert_eq!(partitions(&world), "4");
    let again = world.syncd(&["migrate", "--partitions", "4"]).expect_code(0);
    assert!(again.stdout.contains("All tables have this number of partitions."), "{}", again.stdout);
    world.syncd(&["sync", "--full"]).expect_code(0);
    world.syncd(&["verify"]).expect_code(0);

    let mut world = World::new(Backend::Postgres, SandboxConfig::default());
    world.set_toml("store.partitions", "3");
    world.sync();
    assert_eq!(partitions(&world), "3");
    for wrong in ["1", "2000"] {
        let refused = world.syncd(&["migrate", "--partitions", wrong]).expect_code(2).complaint();
        assert!(refused.contains("--partitions: 2 to 1024"), "{refused}");
        world.set_toml("store.partitions", wrong);
        let refused = world.syncd(&["migrate"]).expect_code(2).complaint();
        assert!(refused.contains("store.partitions: 2 to 1024"), "{refused}");
        world.set_toml("store.partitions", "3");
    }
}

#[test]
fn sqlite_has_no_partitions() {
    let mut world = world(Backend::Sqlite);
    let refused = world.syncd(&["migrate", "--partitions", "4"]).expect_code(1).complaint();
    assert!(refused.contains("SQLite has no partitions"), "{refused}");
    world.set_toml("store.partitions", "4");
    let refused = world.syncd(&["migrate"]).expect_code(2).complaint();
    assert!(refused.contains("store.partitions: SQLite has no partitions"), "{refused}");
}

/// If the role may not move the counters, commands fail instead of handing out numbers in use.
#[test]
fn counters_that_cannot_be_moved_are_named() {
    let mut world = world(Backend::Postgres);
    world.sync();
    let Database::Postgres(database) = &world.database else { unreachable!("it was asked for") };
    let role = format!("worker_{}", database.execute("SELECT md5(current_database())").unwrap());
    let rights = format!(
        "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA kombo TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA kombo TO {role};
         ALTER SEQUENCE kombo.sync_runs_id_seq RESTART"
    );
    database.execute(&rights).unwrap();
    let url = database.url().replacen("postgres@", &format!("{role}@"), 1);
    let grant = format!("GRANT SELECT ON ALL SEQUENCES IN SCHEMA kombo TO {role}");
    let owner = database.url().to_owned();
    world.set("store.url", &url);
    world.set("kombo.webhook_secret", "secret");
    let unknown = world.syncd(&["sync", "--no-migrate"]);
    assert!(unknown.stderr.contains("may not look at the sequence of kombo.sync_runs.id"), "{}", unknown.stderr);
    // The attempt has moved the counter.
    world.database.execute(&format!("{grant}; ALTER SEQUENCE kombo.sync_runs_id_seq RESTART"));
    for command in [&["sync", "--no-migrate"][..], &["run", "--no-migrate"], &["migrate"]] {
        let refused = world.syncd(command).expect_code(1).complaint();
        assert!(refused.contains("numbers of kombo.sync_runs.id up to"), "{command:?}: {refused}");
    }
    world.set("store.url", &owner);
    world.syncd(&["migrate"]).expect_code(0);
    world.set("store.url", &url);
    world.syncd(&["sync", "--no-migrate"]).expect_code(0);
    world.database.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}
