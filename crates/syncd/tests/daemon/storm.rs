//! Very many webhooks, and a daemon that is killed while they arrive.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kombo_sandbox::{GeneratorConfig, SandboxConfig, WebhookMode};

use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, change, world_for};
use crate::program::wait_until;
use crate::sender::Sender;

on_both_databases!(no_webhook_is_lost_with_the_daemon);

/// Interval of checks of running and waiting requests.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Time limit for all webhooks, from `SYNCD_STORM_WITHIN` in seconds. It depends on the machine, so it is unlimited by
/// default.
fn within() -> Duration {
    std::env::var("SYNCD_STORM_WITHIN").map_or(Duration::MAX, |seconds| Duration::from_secs(seconds.parse().unwrap()))
}

/// Returns the numbers of webhooks and integrations: 2,000 for 50, or those in `SYNCD_STORM` (`10000/200`).
fn size() -> (usize, usize) {
    let asked = std::env::var("SYNCD_STORM").ok();
    let (webhooks, integrations) = asked.as_deref().unwrap_or("2000/50").split_once('/').unwrap();
    (webhooks.parse().unwrap(), integrations.parse().unwrap())
}

fn no_webhook_is_lost_with_the_daemon(backend: Backend) {
    let place = Place::new();
    let (webhooks, integrations) = size();
    let generator = GeneratorConfig {
        users: 8,
        courses: 4,
        providers: 2,
        skills: 4,
        progressions: 12,
        ..GeneratorConfig::default()
    };
    let world = world_for(backend, SandboxConfig { integrations, generator, ..SandboxConfig::default() }, place);
    world.sandbox.configure_webhooks(|hooks| hooks.data_changed = WebhookMode::Off);
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);

    // Each webhook announces a change that has happened.
    let integrations = world.sandbox.integrations();
    let bodies: Vec<String> = integrations
        .iter()
        .cycle()
        .enumerate()
        .take(webhooks)
        .map(|(number, integration)| change(&world, integration, number))
        .collect();

    let (sender, began) = (Sender::default(), Instant::now());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let over = Over(&is_over);
        scope.spawn(|| sender.send(&[place], &bodies));
        let watch = scope.spawn(|| {
            let mut looks = 0;
            while !is_over.load(Ordering::SeqCst) {
                look.assert_one_at_a_time(1);
                looks += 1;
                std::thread::sleep(LOOK_EVERY);
            }
            looks
        });
        wait_until("half of them are taken", || sender.taken() >= webhooks / 2);
        daemon.kill();
        let taken = sender.taken();
        let stored = world.database.query("SELECT id AS value FROM sync_webhook_events").len();
        // Webhooks that were in transit at the kill may be stored although their answer was lost.
        assert!(stored >= taken, "{stored} of {taken} that were answered are stored");
        let daemon = Daemon::start(&world, place);
        wait_until("all of them are taken", || sender.taken() == webhooks);
        let took = began.elapsed();
        eprintln!("{backend:?}: {webhooks} webhooks taken within {took:?}, {:?}", sender.answers());
        assert!(took <= within(), "{took:?}");
        let stored: BTreeSet<String> =
            world.database.query("SELECT id AS value FROM sync_webhook_events").into_iter().collect();
        assert_eq!(stored.len(), webhooks);
        look.wait_until_settled(&world);
        drop(over);
        eprintln!("{backend:?}: everything done after {:?}, {} looks", began.elapsed(), watch.join().unwrap());
        look.assert_faithful_in_the_end(&world);
        daemon.stop();
    });
}

/// Signals the end, also if a test fails early.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
