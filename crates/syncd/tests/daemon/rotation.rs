//! A password that is changed while the daemon runs.

use std::fs;

use crate::deployment::{Daemon, Look, Place};
use crate::program::wait_until;
use crate::standby::{wait_for_webhook, world};

#[test]
fn a_new_password_is_read_by_itself_and_on_sighup() {
    let place = Place::new();
    let mut world = world(place);
    let folder = world.database.server().folder().to_owned();
    let port = world.database.server().port();
    let name = world.database.url().rsplit_once('/').unwrap().1.to_owned();
    world.unset("store.url");
    world.set("store.url_file", "store.url");
    write_file(&world, "one", port, &name);
    world.database.query("CREATE ROLE rotating LOGIN PASSWORD 'one-database-password'");
    world.database.query(&format!("ALTER DATABASE {name} OWNER TO rotating"));
    let rules = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    fs::write(folder.join("data/pg_hba.conf"), rules).unwrap();
    world.database.query("SELECT pg_reload_conf()::text AS value");
    let change = |password: &str| {
        world.database.query(&format!("ALTER ROLE rotating PASSWORD '{password}-database-password'"));
        let end = "SELECT pg_terminate_backend(pid)::text AS value FROM pg_stat_activity WHERE usename = 'rotating'";
        world.database.query(end);
    };
    let daemon = Daemon::start(&world, place);
    let look = Look::at(&world.database.url());
    look.wait_until_loaded(&world);

    // Automatically.
    change("two");
    wait_until("it is refused", || !daemon.is_ready());
    write_file(&world, "two", port, &name);
    wait_until("it is ready again", || daemon.is_ready());
    wait_for_webhook(&world, place, 0);

    // The store does not move to an address where nobody answers.
    world.write("store.url", "postgres://rotating:database-password@127.0.0.1:1/nowhere");
    daemon.process.signal("HUP");
    let stays = "keeping the previous database connection";
    wait_until("it says so", || daemon.process.stderr_so_far().contains(stays));
    assert!(daemon.is_ready());
    assert!(!daemon.process.stderr_so_far().contains("the configuration is invalid"));

    // By a signal, before the old password is rejected.
    world.database.query("ALTER ROLE rotating PASSWORD 'three-database-password'");
    write_file(&world, "three", port, &name);
    daemon.process.signal("HUP");
    let read = "reloaded the address of the database";
    wait_until("it was read", || daemon.process.stderr_so_far().matches(read).count() == 2);
    change("three");
    wait_until("it is ready again", || daemon.is_ready());
    wait_for_webhook(&world, place, 50);
    look.assert_faithful_in_the_end(&world);
    daemon.stop();
}

fn write_file(world: &crate::world::World, password: &str, port: u16, name: &str) {
    let url = format!("postgres://rotating:{password}-database-password@127.0.0.1:{port}/{name}");
    world.write("store.url", &url);
}
