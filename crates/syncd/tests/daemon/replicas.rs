//! Several daemons on one database. One dies, and one is suspended beyond its lease.

use std::time::Instant;

use kombo_sandbox::{
    FIRST_INTEGRATION, GeneratorConfig, Latency, Model, Mutation, RateLimit, SandboxConfig, WebhookMode,
};

use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, world_for};
use crate::program::wait_until;

const INTEGRATIONS: usize = 6;
const USERS: usize = 60;

/// Returns the number of requests that a daemon works on.
fn at_work(look: &Look, daemon: &Daemon) -> usize {
    let part = format!("/{}/", daemon.process.id());
    let held = look.requests().into_iter().filter_map(|request| request.lease);
    held.filter(|lease| lease.owner.contains(&part)).count()
}

#[test]
fn one_dies_and_one_sleeps() {
    let places = [Place::new(), Place::new(), Place::new()];
    // No deleted records, because changes to them are stored but not logged.
    let generator =
        GeneratorConfig { users: USERS, courses: 5, progressions: 10, deleted_rate: 0.0, ..GeneratorConfig::default() };
    let latency = Latency { fixed_ms: 40, jitter_ms: 20 };
    let config = SandboxConfig { integrations: INTEGRATIONS, generator, ..SandboxConfig::default() };
    let mut world = world_for(Backend::Postgres, config, places[0]);
    world.set("sync.lease", "2s");
    world.set_toml("kombo.page_size", "5");
    // Fewer workers than requests, so that every daemon gets some.
    world.set_toml("sync.workers", "1");
    world.sandbox.configure_webhooks(|hooks| hooks.data_changed = WebhookMode::Manual);
    let survivor = Daemon::start(&world, places[0]);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    world.set_toml("sync.workers", "2");
    let dies = Daemon::start(&world, places[1]);
    let sleeps = Daemon::start(&world, places[2]);
    world.sandbox.edit(|state| state.latency = latency);

    // Every user changes twice, and each change must be logged once.
    let change_all = |name: &str| {
        for integration in world.sandbox.integrations() {
            for user in world.sandbox.ids(&integration, Model::Users).unwrap() {
                world.sandbox.mutate(&integration, Mutation::update(Model::Users, user, "first_name", name)).unwrap();
            }
            assert!(world.sandbox.send_data_changed(&integration).unwrap());
        }
    };
    let logged = |rounds: usize| {
        let sql = "SELECT count(*) || '' AS value FROM sync_changes WHERE model = 'lms_users' GROUP BY integration_id, \
                   record_id";
        let counts = world.database.query(sql);
        assert_eq!(counts.len(), INTEGRATIONS * USERS);
        assert!(counts.iter().all(|count| *count == rounds.to_string()), "{counts:?}");
    };

    change_all("Changed once");
    wait_until("both are at work", || at_work(&look, &dies) > 0 && at_work(&look, &sleeps) > 0);
    dies.kill();
    sleeps.process.signal("STOP");
    let held = at_work(&look, &sleeps);
    assert!(held > 0, "it sleeps with a lease");
    let began = Instant::now();
    look.assert_faithful_in_the_end(&world);
    eprintln!(
        "two of three daemons were gone, their leases of 2 s expired: everything done after {:?}",
        began.elapsed()
    );
    logged(1);

    // It wakes up with pages that are outdated by now.
    change_all("Changed twice");
    look.wait_until_settled(&world);
    sleeps.process.signal("CONT");
    wait_until("it notices that its leases are lost", || {
        sleeps.metric("syncd_leases_lost_total", "").is_some_and(|lost| lost >= 1.0)
    });
    look.assert_faithful_in_the_end(&world);
    logged(2);
    eprintln!("{held} leases were held asleep, {:?} are counted as lost", sleeps.metric("syncd_leases_lost_total", ""));

    // It takes part again.
    change_all("Changed for the third time");
    wait_until("it is at work", || at_work(&look, &sleeps) > 0);
    look.assert_faithful_in_the_end(&world);
    logged(3);
    survivor.stop();
    sleeps.stop();
}

/// A daemon that is frozen in a transaction keeps locks, until the database ends its session.
#[test]
fn one_freezes_in_the_midst_of_a_transaction() {
    let places = [Place::new(), Place::new()];
    let generator = GeneratorConfig { users: USERS, courses: 5, progressions: 10, ..GeneratorConfig::default() };
    let mut world = world_for(Backend::Postgres, SandboxConfig { generator, ..SandboxConfig::default() }, places[1]);
    world.set("sync.lease", "1s");
    let freezes = Daemon::start(&world, places[1]);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    let count = |what: &str| {
        let sql =
            format!("SELECT pid || '' AS value FROM pg_stat_activity WHERE datname = current_database() AND {what}");
        world.database.query(&sql).len()
    };
    // It is stopped while it waits for a lock in a commit, and gets the lock while it is suspended.
    let mut other = world.database.session();
    other.run("BEGIN");
    other.run("LOCK TABLE sync_changes");
    wait_until("the table is locked", || count("query LIKE 'LOCK TABLE%' AND state = 'idle in transaction'") == 1);
    let user = world.sandbox.ids(FIRST_INTEGRATION, Model::Users).unwrap()[0];
    world.sandbox.mutate(FIRST_INTEGRATION, Mutation::update(Model::Users, user, "first_name", "Frozen")).unwrap();
    wait_until("it waits for the lock", || count("wait_event_type = 'Lock'") == 1);
    freezes.process.signal("STOP");
    other.run("COMMIT");
    other.end();
    wait_until("it has the lock", || count("state = 'idle in transaction'") == 1);
    assert_eq!(at_work(&look, &freezes), 1);
    let began = Instant::now();
    let survivor = Daemon::start(&world, places[0]);
    wait_until("its work is taken over", || look.requests().is_empty());
    eprintln!("work of a daemon frozen in a transaction was taken over after {:?}", began.elapsed());
    freezes.process.signal("CONT");
    look.assert_faithful_in_the_end(&world);
    survivor.stop();
    freezes.stop();
}

/// Kombo's rate limit is low, and three daemons start at once with much to fetch. Together they keep within the limit.
#[test]
fn together_they_keep_to_the_limit() {
    let places = [Place::new(), Place::new(), Place::new()];
    let generator = GeneratorConfig { users: USERS, courses: 10, progressions: 40, ..GeneratorConfig::default() };
    let config = SandboxConfig {
        integrations: INTEGRATIONS,
        generator,
        rate_limit: RateLimit { requests: 24, window: 3, retry_after: false },
        latency: Latency { fixed_ms: 20, jitter_ms: 20 },
        ..SandboxConfig::default()
    };
    let mut world = world_for(Backend::Postgres, config, places[0]);
    world.set_toml("kombo.page_size", "5");
    let daemons = places.map(|place| Daemon::start(&world, place));
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    // Changes during the backfills, and a full fetch of everything, which deltas overtake.
    look.assert_faithful_in_the_end(&world);
    let requests = world.sandbox.requests();
    assert!(requests.len() > 5 * 24, "{} requests are more than a few windows allow", requests.len());
    // A busy machine may delay a request into the next window, in which all requests are already assigned.
    let refused = requests.iter().filter(|request| request.status == Some(429)).count();
    assert!(refused * 20 <= requests.len(), "{refused} of {} requests", requests.len());
    for daemon in daemons {
        daemon.stop();
    }
}
