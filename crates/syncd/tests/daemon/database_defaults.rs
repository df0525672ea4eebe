//! Default settings that an administrator gave the database: the daemon works regardless.

use crate::deployment::{Daemon, Look, Place};
use crate::standby::{wait_for_webhook, world};

/// Each would break something, or make it slow or unsafe, if it applied to a session.
const DEFAULTS: &[(&str, &str)] = &[
    ("default_transaction_isolation", "serializable"),
    ("default_transaction_deferrable", "on"),
    ("statement_timeout", "'2s'"),
    ("lock_timeout", "'1ms'"),
    ("idle_in_transaction_session_timeout", "'1ms'"),
    ("idle_session_timeout", "'2s'"),
    ("row_security", "off"),
    ("search_path", "nowhere"),
    ("standard_conforming_strings", "off"),
    ("DateStyle", "'German, DMY'"),
    ("IntervalStyle", "sql_standard"),
    ("TimeZone", "'America/St_Johns'"),
    ("bytea_output", "escape"),
    ("extra_float_digits", "-15"),
    ("client_encoding", "LATIN1"),
    ("array_nulls", "off"),
    ("transform_null_equals", "on"),
    ("xmloption", "document"),
    ("quote_all_identifiers", "on"),
    ("synchronous_commit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_indexscan", "off"),
    ("enable_indexonlyscan", "off"),
    ("enable_nestloop", "off"),
    ("enable_sort", "off"),
    ("jit_above_cost", "0"),
    ("client_min_messages", "debug5"),
    ("lc_messages", "'C'"),
];

#[test]
fn defaults_of_the_database_break_nothing() {
    let place = Place::new();
    let world = world(place);
    let name = world.database.url().rsplit_once('/').unwrap().1.to_owned();
    for (setting, value) in DEFAULTS {
        world.database.query(&format!("ALTER DATABASE {name} SET {setting} = {value}"));
    }
    let check = world.syncd(&["config", "check"]).expect_code(0).stdout;
    assert!(check.contains("ok      store"), "{check}");
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    wait_for_webhook(&world, place, 0);
    look.assert_faithful_in_the_end(&world);
    // The listening session is not ended for being idle.
    let idle = "SELECT count(*)::text AS value FROM pg_stat_activity WHERE query LIKE 'LISTEN%' \
                AND state_change < now() - interval '4s'";
    let sees = || world.database.query(&format!("SET statement_timeout = 0; SET idle_session_timeout = 0; {idle}"));
    crate::program::wait_until("it listens for longer than the default allows", || sees() == ["1"]);
    let log = daemon.stop().stderr;
    assert!(!log.contains("canceling statement"), "{log}");
}
