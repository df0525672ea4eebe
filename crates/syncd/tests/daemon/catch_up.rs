//! Changes with webhooks that never arrive.

use kombo_sandbox::{GeneratorConfig, Model, Mutation, SandboxConfig, WebhookMode};

use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, data_changed, world_for};
use crate::program::wait_until;
use crate::world::World;

on_both_databases!(what_changed_while_no_daemon_ran_is_fetched_at_the_start);

/// Makes a change, a new record and a deletion in one integration.
fn change_some(world: &World, integration: &str) {
    let ids = |model: Model| world.sandbox.ids(integration, model).unwrap();
    for mutation in [
        Mutation::update(Model::Users, ids(Model::Users)[0], "first_name", "Missed"),
        Mutation::delete(Model::Users, ids(Model::Users)[1]),
        Mutation::update(Model::CourseRevisions, ids(Model::CourseRevisions)[0], "title", "Missed"),
        Mutation::enrol(ids(Model::Users)[2], ids(Model::CourseRevisions)[0], "missed".parse().unwrap(), 1),
    ] {
        world.sandbox.mutate(integration, mutation).unwrap();
    }
}

fn what_changed_while_no_daemon_ran_is_fetched_at_the_start(backend: Backend) {
    let place = Place::new();
    let generator = GeneratorConfig { users: 20, courses: 5, progressions: 20, ..GeneratorConfig::default() };
    let world = world_for(backend, SandboxConfig { integrations: 3, generator, ..SandboxConfig::default() }, place);
    world.sandbox.configure_webhooks(|hooks| hooks.data_changed = WebhookMode::Off);
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    daemon.stop();

    for integration in world.sandbox.integrations() {
        change_some(&world, &integration);
    }
    world.sandbox.clear_requests();
    let daemon = Daemon::start(&world, place);
    look.assert_faithful_in_the_end(&world);
    let fetched: u64 = kombo_sandbox::Endpoint::all().map(|it| world.sandbox.request_count(it)).sum();
    assert!(fetched >= 9, "three endpoints of three integrations: {fetched}");
    assert_eq!(daemon.metric("syncd_freshness_lag_seconds", ""), Some(0.0));
    let said = daemon.stop();
    assert_eq!(said.stderr.matches("catching up").count(), 1, "{}", said.stderr);
}

/// Only on PostgreSQL: SQLite's database is never unavailable.
#[test]
fn a_signed_webhook_that_is_not_stored_is_made_up_for() {
    let place = Place::new();
    let world = world_for(Backend::OwnPostgres, SandboxConfig { integrations: 2, ..SandboxConfig::default() }, place);
    world.sandbox.configure_webhooks(|hooks| hooks.data_changed = WebhookMode::Off);
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);

    let integrations = world.sandbox.integrations();
    change_some(&world, &integrations[0]);
    world.database.server().kill_9().unwrap();
    // The sender does not retry.
    let told = data_changed("told-once", &integrations[0], &["lms_users"]);
    wait_until("it is turned away", || daemon.webhook(&told).status == 503);
    world.database.server().restart().unwrap();
    wait_until("it is ready again", || daemon.is_ready());
    wait_until("all is fetched again", || {
        let states = look.read(|tx| tx.endpoints(None));
        states.iter().filter(|state| state.last_delta_at.is_some()).count() == 3 * integrations.len()
    });
    look.assert_faithful_in_the_end(&world);
    daemon.stop();
}
