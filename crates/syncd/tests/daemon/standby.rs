//! Servers that refuse writes: a standby, and a primary that became read-only. The daemon reports it, waits, and
//! continues on its own.

use std::sync::Mutex;

use kombo_sandbox::{GeneratorConfig, SandboxConfig, WebhookMode};
use sync_testkit::postgres::PrivatePostgres;

use crate::database::{Backend, Database};
use crate::deployment::{Daemon, Look, Place, SECRET, change, post_webhook, world_for};
use crate::program::wait_until;
use crate::world::World;

pub(crate) fn world(place: Place) -> World {
    let generator = GeneratorConfig { users: 20, courses: 4, progressions: 20, ..GeneratorConfig::default() };
    let config = SandboxConfig { integrations: 2, generator, ..SandboxConfig::default() };
    let world = world_for(Backend::OwnPostgres, config, place);
    world.sandbox.configure_webhooks(|hooks| hooks.data_changed = WebhookMode::Off);
    world
}

/// Returns the name of the world's database.
fn name(world: &World) -> String {
    world.database.url().rsplit_once('/').unwrap().1.to_owned()
}

/// Switches to the same database on another server.
fn go_to(world: &mut World, server: PrivatePostgres) {
    let url = server.url(&name(world));
    world.database = Database::OwnPostgres { server: Box::new(Mutex::new(server)), url };
}

fn webhook(world: &World, place: Place, number: usize) -> Option<u16> {
    let integrations = world.sandbox.integrations();
    let body = change(world, &integrations[number % integrations.len()], number);
    post_webhook(place, SECRET, &body).ok().map(|answer| answer.status)
}

/// Waits until webhooks are accepted, and sends enough to cover all changes with rejected webhooks.
pub(crate) fn wait_for_webhook(world: &World, place: Place, first: usize) {
    let mut number = first;
    wait_until("webhooks are taken", || {
        number += 1;
        webhook(world, place, number) == Some(200)
    });
    for more in 1..=14 {
        assert_eq!(webhook(world, place, number + more), Some(200));
    }
}

#[test]
fn a_daemon_waits_until_its_standby_is_promoted() {
    let place = Place::new();
    let mut world = world(place);
    world.syncd(&["migrate"]).expect_code(0);
    let standby = world.database.server().standby().unwrap();
    world.set("store.url", &standby.url(&name(&world)));

    let check = world.syncd(&["config", "check"]).expect_code(1).stdout;
    assert!(check.contains("FAILED  store: store.url") && check.contains("is a standby"), "{check}");
    // Reading commands still work.
    world.syncd(&["status"]).expect_code(0);

    let mut daemon = Daemon::launch(&world, place);
    wait_until("it says what it waits for", || {
        assert!(daemon.process.is_running(), "it waits");
        daemon.process.stderr_so_far().contains("is a standby")
    });
    assert_eq!(daemon.readyz().unwrap().status, 503);
    standby.promote().unwrap();
    wait_until("it is ready", || daemon.is_ready());
    go_to(&mut world, standby);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    look.assert_faithful_in_the_end(&world);
    daemon.stop();
}

#[test]
fn a_daemon_follows_a_failover() {
    let place = Place::new();
    let mut world = world(place);
    let standby = world.database.server().standby().unwrap();
    let primary = world.database.server().port();
    // The standby comes first: a connection to it would be read-only.
    let hosts = format!("127.0.0.1:{},127.0.0.1:{primary}", standby.port());
    let url = format!("postgres://postgres@{hosts}/{}?target_session_attrs=read-write", name(&world));
    world.set("store.url", &url);
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    assert_eq!(webhook(&world, place, 0), Some(200));
    look.wait_until_settled(&world);

    // The standby must have all of the primary's data before the primary stops.
    let position = "SELECT pg_current_wal_lsn()::text AS value";
    let position = world.database.query(position).remove(0);
    let reached = format!("SELECT (replay_lsn >= '{position}')::text AS value FROM pg_stat_replication");
    wait_until("the standby has everything", || world.database.query(&reached) == ["true"]);
    world.database.server().kill_9().unwrap();
    wait_until("it is not ready", || !daemon.is_ready());
    standby.promote().unwrap();
    wait_until("it is ready again", || daemon.is_ready());
    go_to(&mut world, standby);
    wait_for_webhook(&world, place, 1);
    Look::new(&world).assert_faithful_in_the_end(&world);
    daemon.stop();
}

#[test]
fn a_server_that_becomes_read_only_is_left_alone_until_it_is_not() {
    let place = Place::new();
    let world = world(place);
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    let set = |value: &str| {
        world.database.run_alone(&format!("ALTER SYSTEM SET default_transaction_read_only = {value}"));
        world.database.query("SELECT pg_reload_conf()::text AS value");
    };
    set("on");
    wait_until("it says why it is not ready", || {
        daemon.readyz().is_some_and(|it| it.status == 503 && it.text.contains("default_transaction_read_only"))
    });
    assert_eq!(webhook(&world, place, 0), Some(503));
    let check = world.syncd(&["config", "check"]).expect_code(1).stdout;
    assert!(check.contains("FAILED  store: ") && check.contains("default_transaction_read_only"), "{check}");
    set("off");
    wait_until("it is ready again", || daemon.is_ready());
    wait_for_webhook(&world, place, 1);
    look.assert_faithful_in_the_end(&world);
    daemon.stop();
}
