//! Roles, databases and servers that allow few connections.

use crate::deployment::{Daemon, Look, Place};
use crate::program::wait_until;
use crate::sender::Sender;
use crate::standby::{wait_for_webhook, world};
use crate::world::World;

/// Gives a new role this maximum number of connections.
fn limited(place: Place, most: u32) -> World {
    let mut world = world(place);
    let url = world.database.url();
    let name = url.rsplit_once('/').unwrap().1;
    world.database.query(&format!("CREATE ROLE few LOGIN CONNECTION LIMIT {most}"));
    world.database.query(&format!("ALTER DATABASE {name} OWNER TO few"));
    world.set("store.url", &url.replacen("postgres@", "few@", 1));
    world
}

#[test]
fn a_daemon_does_with_five_connections() {
    let place = Place::new();
    let world = limited(place, 5);
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    let integrations = world.sandbox.integrations();
    let bodies: Vec<String> = (0..200)
        .map(|number| crate::deployment::change(&world, &integrations[number % integrations.len()], number))
        .collect();
    let sender = Sender::default();
    sender.send(&[place], &bodies);
    assert_eq!(sender.answers().keys().copied().collect::<Vec<_>>(), [Some(200)], "{:?}", sender.answers());
    look.assert_faithful_in_the_end(&world);
    assert!(daemon.is_ready());

    // This also works if it has to open all connections again while another client has some.
    let others: Vec<_> = (0..2).map(|_| world.database.session()).collect();
    world.database.query("ALTER ROLE few CONNECTION LIMIT 3");
    world.database.query("SELECT pg_terminate_backend(pid)::text AS value FROM pg_stat_activity WHERE usename = 'few'");
    wait_until("it is ready", || daemon.is_ready());
    wait_for_webhook(&world, place, 200);
    look.assert_faithful_in_the_end(&world);
    drop(others);
    daemon.stop();
}

/// The remedy follows the server's SQLSTATE.
#[test]
fn a_command_without_a_connection_names_the_limit() {
    let place = Place::new();
    let mut world = limited(place, 4);
    world.syncd(&["migrate"]).expect_code(0);
    world.database.query("ALTER ROLE few CONNECTION LIMIT 0");
    let said = world.syncd(&["status"]).expect_code(1).complaint();
    assert!(said.contains("no connection is free") && said.contains("SQLSTATE 53300"), "{said}");
    assert!(!said.contains("TLS"), "{said}");
    let url = world.database.url();
    for (other, remedy) in [
        (url.replacen("postgres@", "nobody@", 1), "check the user and the password in store.url"),
        (format!("{url}_not_there"), "create the database, or correct its name in store.url"),
    ] {
        world.set("store.url", &other);
        let said = world.syncd(&["status"]).expect_code(1).complaint();
        assert!(said.contains(remedy) && !said.contains("TLS"), "{said}");
    }
}

#[test]
fn fewer_than_a_daemon_needs_are_refused_at_the_start() {
    let place = Place::new();
    let world = limited(place, 3);
    let check = world.syncd(&["config", "check"]).expect_code(1).stdout;
    let words = ["role few allows 3 connections", "at least 4", "ALTER ROLE few CONNECTION LIMIT 15"];
    assert!(words.iter().all(|words| check.contains(words)), "{check}");
    let refused = world.syncd(&["run"]).expect_code(1);
    let said = refused.complaint();
    assert!(words.iter().all(|words| said.contains(words)) && said.lines().count() == 1, "{}", refused.stderr);
}
