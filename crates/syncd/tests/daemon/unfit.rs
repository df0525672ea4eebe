//! Unmet requirements of `syncd run`: `config check`, `/readyz` and the daemon report them with the remedy.

use std::net::TcpListener;

use crate::deployment::{Daemon, Look, Place};
use crate::program::wait_until;
use crate::standby::{wait_for_webhook, world};

#[test]
fn a_database_of_another_encoding_is_refused() {
    let place = Place::new();
    let mut world = world(place);
    let make = "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0".to_owned();
    world.database.move_to("latin", &[make]);
    world.set("store.url", &world.database.url());
    let check = world.syncd(&["config", "check"]).expect_code(1).stdout;
    assert!(check.contains("FAILED  store: the encoding of database latin is LATIN1"), "{check}");
    let refused = world.syncd(&["run"]).expect_code(1).complaint();
    assert!(refused.contains("LATIN1") && refused.contains("ENCODING 'UTF8'"), "{refused}");
}

#[test]
fn rights_that_are_missing_are_named() {
    let place = Place::new();
    let mut world = world(place);
    world.syncd(&["migrate"]).expect_code(0);
    world.database.query("CREATE ROLE worker LOGIN");
    let url = world.database.url().replacen("postgres@", "worker@", 1);
    world.set("store.url", &url);
    let check = |words: &[&str]| {
        let check = world.syncd(&["config", "check"]).expect_code(1).stdout;
        assert!(words.iter().all(|words| check.contains(words)), "{check}");
    };
    check(&["FAILED  store", "GRANT USAGE ON SCHEMA kombo TO worker"]);
    world.database.query("GRANT USAGE ON SCHEMA kombo TO worker");
    world.database.query("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA kombo TO worker");
    world.syncd(&["config", "check"]).expect_code(0);
    world.database.query("REVOKE INSERT, DELETE ON kombo.sync_requests FROM worker");
    check(&["worker lacks rights on kombo.sync_requests: GRANT ", "INSERT", "DELETE"]);
    let refused = world.syncd(&["run", "--no-migrate"]).expect_code(1);
    assert!(refused.complaint().contains("GRANT "), "{}", refused.stderr);
    world.database.query("GRANT INSERT, DELETE ON kombo.sync_requests TO worker");
    world.database.query("ALTER TABLE kombo.lms_users ENABLE ROW LEVEL SECURITY");
    check(&["row-level security hides rows of kombo.lms_users from role worker"]);
    world.database.query("ALTER TABLE kombo.lms_users DISABLE ROW LEVEL SECURITY");

    // Revoked and granted again while the daemon runs.
    let command = world.command(&["run", "--no-migrate"]);
    let daemon = Daemon::launch_as(&world, place, command);
    wait_until("it is ready", || daemon.is_ready());
    Look::new(&world).wait_until_loaded(&world);
    world.database.query("REVOKE INSERT ON kombo.sync_integrations FROM worker");
    wait_until("it is not ready", || {
        daemon.readyz().is_some_and(|answer| {
            answer.status == 503 && answer.text.contains("GRANT INSERT ON kombo.sync_integrations")
        })
    });
    world.database.query("GRANT INSERT ON kombo.sync_integrations TO worker");
    wait_until("it is ready again", || daemon.is_ready());
    wait_for_webhook(&world, place, 0);
    daemon.stop();
}

#[test]
fn defaults_that_stop_the_daemon_are_named() {
    let place = Place::new();
    let world = world(place);
    world.syncd(&["migrate"]).expect_code(0);
    let name = world.database.url().rsplit_once('/').unwrap().1.to_owned();
    for (owner, setting, value) in [
        (format!("DATABASE {name}"), "session_replication_role", "replica"),
        ("ROLE postgres".to_owned(), "session_replication_role", "replica"),
        (format!("ROLE postgres IN DATABASE {name}"), "session_replication_role", "replica"),
        (format!("DATABASE {name}"), "default_transaction_read_only", "on"),
        ("ROLE ALL".to_owned(), "default_transaction_read_only", "on"),
    ] {
        world.database.run_alone(&format!("ALTER {owner} SET {setting} = {value}"));
        let words = [format!("{setting} is {value}"), format!("ALTER {owner} RESET {setting}")];
        let check = world.syncd(&["config", "check"]).expect_code(1).stdout;
        assert!(words.iter().all(|words| check.contains(words)), "{owner} {setting}: {check}");
        world.database.run_alone(&format!("BEGIN READ WRITE; ALTER {owner} RESET {setting}; COMMIT"));
    }
    world.syncd(&["config", "check"]).expect_code(0);
}

/// Neither connecting nor fetching depends on a role's default settings.
#[test]
fn a_role_without_time_or_memory_does() {
    let place = Place::new();
    let mut world = world(place);
    let url = world.database.url();
    let name = url.rsplit_once('/').unwrap().1.to_owned();
    for sql in [
        "CREATE ROLE hasty LOGIN".to_owned(),
        format!("ALTER DATABASE {name} OWNER TO hasty"),
        "ALTER ROLE hasty SET statement_timeout = '1ms'".to_owned(),
        "ALTER ROLE hasty SET lock_timeout = '1ms'".to_owned(),
        "ALTER ROLE hasty SET work_mem = '64kB'".to_owned(),
        "ALTER ROLE hasty SET temp_file_limit = 0".to_owned(),
        "ALTER ROLE hasty SET search_path = '\"$user\", nowhere, pg_catalog'".to_owned(),
    ] {
        world.database.query(&sql);
    }
    world.set("store.url", &url.replacen("postgres@", "hasty@", 1));
    world.syncd(&["config", "check"]).expect_code(0);
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    wait_for_webhook(&world, place, 0);
    look.assert_faithful_in_the_end(&world);
    let log = daemon.stop().stderr;
    assert!(!log.contains("canceling statement") && !log.contains("temporary file"), "{log}");
}

#[test]
fn what_the_daemon_needs_beside_a_database_is_checked() {
    let place = Place::new();
    let mut world = world(place);
    world.set("server.webhooks", &place.webhooks.to_string());
    world.set("server.operations", &place.operations.to_string());
    world.syncd(&["config", "check"]).expect_code(0);

    let taken = TcpListener::bind(place.webhooks).unwrap();
    let check = world.syncd(&["config", "check"]).expect_code(1).stdout;
    assert!(check.contains("FAILED  server.webhooks: cannot listen on"), "{check}");
    drop(taken);
    // A running daemon is not an error.
    let daemon = Daemon::start(&world, place);
    let check = world.syncd(&["config", "check"]).expect_code(0).stdout;
    assert!(check.contains("by the syncd that runs here"), "{check}");
    daemon.stop();

    world.set("server.operations", &place.webhooks.to_string());
    let check = world.syncd(&["config", "check"]).expect_code(1).stdout;
    assert!(check.contains("FAILED  server.operations"), "{check}");
    world.unset("kombo.webhook_secret");
    let check = world.syncd(&["config", "check"]).expect_code(1).stdout;
    assert!(check.contains("FAILED  kombo.webhook_secret: kombo.webhook_secret is not set"), "{check}");
}
