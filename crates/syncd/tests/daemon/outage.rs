//! A database that becomes unavailable and returns.

use std::time::Instant;

use kombo_sandbox::{GeneratorConfig, Latency, SandboxConfig, WebhookMode};

use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, change, world_for};
use crate::program::wait_until;
use crate::sender::Sender;

const WEBHOOKS: usize = 400;

#[test]
fn everything_goes_on_by_itself_after_the_database_was_away() {
    let place = Place::new();
    let generator = GeneratorConfig { users: 60, courses: 10, progressions: 60, ..GeneratorConfig::default() };
    let config = SandboxConfig { integrations: 8, generator, ..SandboxConfig::default() };
    let mut world = world_for(Backend::OwnPostgres, config, place);
    world.sandbox.configure_webhooks(|hooks| hooks.data_changed = WebhookMode::Off);
    world.set_toml("kombo.page_size", "10");
    let mut daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    world.sandbox.edit(|state| state.latency = Latency { fixed_ms: 10, jitter_ms: 10 });

    let integrations = world.sandbox.integrations();
    let bodies: Vec<String> = integrations
        .iter()
        .cycle()
        .enumerate()
        .take(WEBHOOKS)
        .map(|(number, integration)| change(&world, integration, number))
        .collect();

    let sender = Sender::default();
    std::thread::scope(|scope| {
        scope.spawn(|| sender.send(&[place], &bodies));
        wait_until("some are taken", || sender.taken() >= bodies.len() / 3);
        world.database.server().kill_9().unwrap();
        wait_until("webhooks are turned away", || sender.answers().get(&Some(503)).is_some_and(|times| *times >= 10));
        // Sessions of a killed server may answer for a moment longer.
        wait_until("it says that the database is away", || {
            daemon.readyz().is_some_and(|why| why.status == 503 && why.text.contains("the database does not answer"))
        });
        assert_eq!(daemon.metric("syncd_database_up", ""), Some(0.0));
        assert!(daemon.process.is_running());

        let began = Instant::now();
        world.database.server().restart().unwrap();
        let restarted = began.elapsed();
        wait_until("it is ready again", || daemon.is_ready());
        wait_until("all are taken", || sender.taken() == bodies.len());
        eprintln!("the database took {restarted:?} to restart; all webhooks were taken after {:?}", began.elapsed());
        look.assert_faithful_in_the_end(&world);
        eprintln!("everything was done {:?} after the restart began; answers: {:?}", began.elapsed(), sender.answers());
        assert_eq!(daemon.metric("syncd_database_up", ""), Some(1.0));
    });
    // These are the only two answers, and no connection is simply dropped.
    assert_eq!(sender.answers().keys().copied().collect::<Vec<_>>(), [Some(200), Some(503)]);
    daemon.stop();
}

/// A daemon that starts before its database waits for it, also when it reloads its configuration.
#[test]
fn a_daemon_waits_for_its_database() {
    let place = Place::new();
    let world = world_for(Backend::OwnPostgres, SandboxConfig::default(), place);
    world.database.server().kill_9().unwrap();
    let mut daemon = Daemon::launch(&world, place);
    wait_until("it says why it is not ready", || {
        assert!(daemon.process.is_running());
        daemon.readyz().is_some_and(|answer| answer.status == 503 && answer.text.contains("starting"))
    });
    daemon.process.signal("HUP");
    let webhook = change(&world, &world.sandbox.integrations()[0], 0);
    let sender = Sender::default();
    std::thread::scope(|scope| {
        scope.spawn(|| sender.send(&[place], std::slice::from_ref(&webhook)));
        wait_until("the webhook is turned away", || sender.answers().contains_key(&Some(503)));
        world.database.server().restart().unwrap();
        wait_until("it is ready", || {
            assert!(daemon.process.is_running());
            daemon.is_ready()
        });
        wait_until("the webhook is taken", || sender.taken() == 1);
    });
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    look.assert_faithful_in_the_end(&world);
    daemon.stop();
}
