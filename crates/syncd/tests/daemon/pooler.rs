//! A pooler between the daemon and its database: `PgBouncer` in each of its modes.

use sync_testkit::postgres::{PoolMode, PrivatePgBouncer};

use crate::deployment::{Daemon, Look, Place};
use crate::standby::{wait_for_webhook, world};

/// Puts a pooler in front of the world's database.
fn pooled(place: Place, mode: PoolMode, sessions: u32) -> (crate::world::World, PrivatePgBouncer) {
    let mut world = world(place);
    let pooler = PrivatePgBouncer::start(&world.database.server(), mode, sessions, &["postgres"]).unwrap();
    let name = world.database.url().rsplit_once('/').unwrap().1.to_owned();
    world.set("store.url", &pooler.url("postgres", &name));
    (world, pooler)
}

#[test]
fn sessions_may_come_from_a_pooler() {
    let place = Place::new();
    let (world, _pooler) = pooled(place, PoolMode::Session, 40);
    world.syncd(&["migrate"]).expect_code(0);
    let check = world.syncd(&["config", "check"]).expect_code(0).stdout;
    assert!(check.contains("ok      store"), "{check}");
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    wait_for_webhook(&world, place, 0);
    look.assert_faithful_in_the_end(&world);
    daemon.stop();
}

#[test]
fn a_pooler_that_keeps_no_sessions_is_refused() {
    for mode in [PoolMode::Transaction, PoolMode::Statement] {
        let place = Place::new();
        let (world, _pooler) = pooled(place, mode, 40);
        let check = world.syncd(&["config", "check"]).expect_code(1).stdout;
        assert!(check.contains("FAILED  store: store.url") && check.contains("pool_mode = session"), "{check}");
        for command in ["run", "sync"] {
            let refused = world.syncd(&[command]).expect_code(1);
            let said = refused.complaint();
            assert!(said.contains("pool_mode = session") && said.lines().count() == 1, "{}", refused.stderr);
        }
    }
}

#[test]
fn a_pooler_with_too_few_sessions_is_refused() {
    let place = Place::new();
    let (world, _pooler) = pooled(place, PoolMode::Session, 3);
    let words = ["gives 3 sessions at a time, and at least 4 are needed", "default_pool_size"];
    let check = world.syncd(&["config", "check"]).expect_code(1).stdout;
    assert!(words.iter().all(|words| check.contains(words)), "{check}");
    for command in ["run", "sync"] {
        let refused = world.syncd(&[command]).expect_code(1);
        assert!(words.iter().all(|words| refused.complaint().contains(words)), "{}", refused.stderr);
    }
}
