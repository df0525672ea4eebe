//! The daemon and its database are killed repeatedly at random times, while Kombo changes and sends webhooks.
//!
//! `SYNCD_CRASHES` sets the number of crashes. `SYNCD_CRASH_SEED` repeats their times as far as a machine can.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kombo_sandbox::{GeneratorConfig, Latency, SandboxConfig, WebhookMode};

use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, change, world_for};
use crate::log::Follower;
use crate::sender::Sender;
use crate::world::World;

/// Number of crashes in a normal run.
const CRASHES: usize = 4;
/// Number of webhooks that are sent around each crash.
const WEBHOOKS: usize = 24;
/// Maximum time until a crash.
const WITHIN: Duration = Duration::from_millis(600);

fn crashes() -> usize {
    std::env::var("SYNCD_CRASHES").map_or(CRASHES, |times| times.parse().expect("SYNCD_CRASHES is a number"))
}

fn random() -> fastrand::Rng {
    let seed = std::env::var("SYNCD_CRASH_SEED").ok().map(|seed| seed.parse().expect("SYNCD_CRASH_SEED is a number"));
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("SYNCD_CRASH_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// Waits for a random time.
fn at_some_moment(random: &mut fastrand::Rng) {
    std::thread::sleep(Duration::from_micros(random.u64(..u64::try_from(WITHIN.as_micros()).unwrap())));
}

fn world(backend: Backend, place: Place) -> World {
    let generator = GeneratorConfig {
        users: 20,
        courses: 8,
        providers: 2,
        skills: 4,
        progressions: 40,
        deleted_rate: 0.0,
        ..GeneratorConfig::default()
    };
    let config = SandboxConfig {
        integrations: 2,
        generator,
        latency: Latency { fixed_ms: 2, jitter_ms: 10 },
        ..SandboxConfig::default()
    };
    let mut world = world_for(backend, config, place);
    world.sandbox.configure_webhooks(|hooks| hooks.data_changed = WebhookMode::Off);
    world.set_toml("kombo.page_size", "5");
    world.set_toml("sync.change_values", "true");
    // Deltas request only the last seconds again, so that a change lost in a crash is not found by chance later.
    world.set("sync.overlap", "5s");
    world
}

/// Makes changes at Kombo. A webhook for each is sent until it is accepted.
fn go_on_at_kombo(world: &World, place: Place, sender: &Sender, first: usize) {
    let integrations = world.sandbox.integrations();
    let numbers: Vec<usize> = (first..first + WEBHOOKS).collect();
    for few in numbers.chunks(4) {
        let bodies: Vec<String> =
            few.iter().map(|number| change(world, &integrations[number % integrations.len()], *number)).collect();
        sender.send(&[place], &bodies);
    }
}

/// Fails unless every webhook that was answered with 200 is stored.
fn assert_none_is_lost(world: &World, acknowledged: &BTreeSet<String>) {
    let stored: BTreeSet<String> =
        world.database.query("SELECT id AS value FROM sync_webhook_events").into_iter().collect();
    let lost: Vec<&String> = acknowledged.difference(&stored).collect();
    assert!(lost.is_empty(), "{lost:?} were answered with 200, and are not stored");
}

fn the_daemon_is_killed(backend: Backend) {
    let (place, mut random) = (Place::new(), random());
    let world = world(backend, place);
    let (sender, began) = (Sender::default(), Instant::now());
    let mut known: Option<(Look, Follower)> = None;
    let (mut kills, mut in_the_start) = (0, 0);
    let mut daemon = Some(Daemon::launch(&world, place));
    for crash in 0..crashes() {
        std::thread::scope(|scope| {
            let kombo = scope.spawn(|| go_on_at_kombo(&world, place, &sender, crash * WEBHOOKS));
            at_some_moment(&mut random);
            daemon.take().unwrap().kill();
            kills += 1;
            if known.is_some() {
                assert_none_is_lost(&world, &sender.acknowledged());
            }
            // The daemon may be killed again before it is ready.
            while random.u8(..3) == 0 {
                let early = Daemon::launch(&world, place);
                at_some_moment(&mut random);
                early.kill();
                (kills, in_the_start) = (kills + 1, in_the_start + 1);
            }
            daemon = Some(Daemon::start(&world, place));
            kombo.join().unwrap();
        });
        let (look, follower) = known.get_or_insert_with(|| {
            let look = Look::new(&world);
            look.wait_until_loaded(&world);
            let follower = Follower::new(&world, &look);
            (look, follower)
        });
        look.assert_faithful_in_the_end(&world);
        assert_none_is_lost(&world, &sender.acknowledged());
        follower.follow(look);
    }
    let (look, follower) = known.expect("it was killed at least once");
    let entries = follower.len();
    follower.assert_tells_it_all(&world, &look);
    assert_eq!(sender.acknowledged().len(), crashes() * WEBHOOKS);
    eprintln!(
        "{backend:?}: killed {kills} times, {in_the_start} of them while it started, within {:?}; {entries} entries in the \
         change log; answers: {:?}",
        began.elapsed(),
        sender.answers()
    );
    daemon.unwrap().stop();
}

#[test]
fn the_daemon_is_killed_again_and_again_on_sqlite() {
    the_daemon_is_killed(Backend::Sqlite);
}

#[test]
fn the_daemon_is_killed_again_and_again_on_postgres() {
    the_daemon_is_killed(Backend::Postgres);
}

/// The database server is killed, and sometimes the daemon as well.
#[test]
fn the_database_is_killed_again_and_again() {
    let (place, mut random) = (Place::new(), random());
    let world = world(Backend::OwnPostgres, place);
    let (sender, began) = (Sender::default(), Instant::now());
    let mut daemon = Some(Daemon::start(&world, place));
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    let mut follower = Follower::new(&world, &look);
    let mut both = 0;
    for crash in 0..crashes() {
        std::thread::scope(|scope| {
            let kombo = scope.spawn(|| go_on_at_kombo(&world, place, &sender, crash * WEBHOOKS));
            at_some_moment(&mut random);
            world.database.server().kill_9().unwrap();
            let with_the_daemon = random.u8(..4) == 0;
            if with_the_daemon {
                daemon.take().unwrap().kill();
                both += 1;
            }
            let acknowledged = sender.acknowledged();
            world.database.server().restart().unwrap();
            assert_none_is_lost(&world, &acknowledged);
            if with_the_daemon {
                daemon = Some(Daemon::start(&world, place));
            }
            kombo.join().unwrap();
        });
        assert!(daemon.as_mut().unwrap().process.is_running(), "the end of the database is not the daemon's");
        look.assert_faithful_in_the_end(&world);
        assert_none_is_lost(&world, &sender.acknowledged());
        follower.follow(&look);
    }
    let entries = follower.len();
    follower.assert_tells_it_all(&world, &look);
    eprintln!(
        "the database was killed {} times, {both} of them with the daemon, within {:?}; {entries} entries in the change log; \
         answers: {:?}",
        crashes(),
        began.elapsed(),
        sender.answers()
    );
    daemon.unwrap().stop();
}
