//! The time from a change at Kombo to the row.

use std::time::Instant;

use kombo_model::IntegrationId;
use kombo_sandbox::{FIRST_INTEGRATION, Model as Listed, Mutation, SandboxConfig};
use sync_core::rows::{Key, Model};

use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, world_for};
use crate::program::wait_until;

on_both_databases!(a_change_arrives);

const CHANGES: usize = 30;

fn a_change_arrives(backend: Backend) {
    let place = Place::new();
    let world = world_for(backend, SandboxConfig::default(), place);
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);

    let users = world.sandbox.ids(FIRST_INTEGRATION, Listed::Users).unwrap();
    let mut took = Vec::new();
    for (number, user) in users.iter().cycle().take(CHANGES).enumerate() {
        let name = format!("Changed {number}");
        let key = Key::of(Model::LmsUsers, user.as_str().to_owned(), String::new());
        let began = Instant::now();
        world
            .sandbox
            .mutate(FIRST_INTEGRATION, Mutation::update(Listed::Users, *user, "first_name", name.as_str()))
            .unwrap();
        wait_until("the change arrives", || {
            let key = key.clone();
            let rows = look.read(move |tx| {
                tx.rows(Model::LmsUsers, &IntegrationId::from(FIRST_INTEGRATION), std::slice::from_ref(&key))
            });
            rows[0].row.get(Model::LmsUsers, "first_name").unwrap().text() == Some(name.as_str())
        });
        took.push(began.elapsed());
    }
    took.sort_unstable();
    let (median, slowest) = (took[CHANGES / 2], took[CHANGES - 1]);
    eprintln!("from change to row, {backend:?}: median {median:?}, slowest {slowest:?}");

    look.assert_faithful_in_the_end(&world);
    assert!(world.sandbox.deliveries().iter().all(|delivery| delivery.status == Some(200)));
    daemon.stop();
}
