//! Two replicas with machine clocks two hours apart. Both follow the clock of the database.

use std::process::Command;

use kombo_sandbox::{GeneratorConfig, Latency, Model, Mutation, SandboxConfig, WebhookMode};

use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, world_for};
use crate::program::wait_until;
use crate::world::World;

const INTEGRATIONS: usize = 4;
const USERS: usize = 30;

/// A library that moves the clock of a process that preloads it.
const MOVED_CLOCK: &str = "
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && clock == CLOCK_REALTIME) now->tv_sec += SECONDS;
    return result;
}
";

/// Starts a daemon on a machine with a clock that is ahead by so many seconds.
fn start_ahead_by(world: &World, place: Place, seconds: i64) -> Daemon {
    let source = world.write("clock.c", MOVED_CLOCK);
    let library = world.folder().join(format!("clock{seconds}.so"));
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", &format!("-DSECONDS=({seconds})"), "-o"]).arg(&library).arg(source);
    assert!(compile.status().unwrap().success(), "the C compiler, which the build needs too, works");
    let mut command = world.command(&["run"]);
    command.env("LD_PRELOAD", library);
    let daemon = Daemon::launch_as(world, place, command);
    wait_until("the daemon is ready", || daemon.is_ready());
    let said = daemon.process.stderr_so_far();
    assert!(said.contains("clock"), "it reports the difference: {said}");
    daemon
}

#[test]
fn replicas_with_clocks_apart_work_as_one() {
    let places = [Place::new(), Place::new()];
    // No deleted records, because changes to them are stored but not logged.
    let generator =
        GeneratorConfig { users: USERS, courses: 5, progressions: 10, deleted_rate: 0.0, ..GeneratorConfig::default() };
    let config = SandboxConfig { integrations: INTEGRATIONS, generator, ..SandboxConfig::default() };
    let mut world = world_for(Backend::Postgres, config, places[0]);
    world.set("sync.lease", "2s");
    world.set_toml("kombo.page_size", "5");
    world.set_toml("sync.workers", "2");
    world.sandbox.configure_webhooks(|hooks| hooks.data_changed = WebhookMode::Manual);
    let ahead = start_ahead_by(&world, places[1], 3_600);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    // Webhooks are sent to this one.
    let behind = start_ahead_by(&world, places[0], -3_600);
    world.sandbox.edit(|state| state.latency = Latency { fixed_ms: 20, jitter_ms: 10 });
    let mut rounds = 0;
    let mut change_all = || {
        rounds += 1;
        for integration in world.sandbox.integrations() {
            for user in world.sandbox.ids(&integration, Model::Users).unwrap() {
                let name = format!("Changed {rounds}");
                world.sandbox.mutate(&integration, Mutation::update(Model::Users, user, "first_name", name)).unwrap();
            }
            assert!(world.sandbox.send_data_changed(&integration).unwrap());
        }
        rounds
    };
    // How often each user's changes were logged.
    let logged = || -> Vec<usize> {
        let sql = "SELECT count(*) || '' AS value FROM sync_changes WHERE model = 'lms_users' GROUP BY integration_id, \
                   record_id";
        world.database.query(sql).into_iter().map(|count| count.parse().unwrap()).collect()
    };
    let at_work = |daemon: &Daemon| {
        let part = format!("/{}/", daemon.process.id());
        look.requests().iter().filter_map(|request| request.lease.as_ref()).any(|lease| lease.owner.contains(&part))
    };

    let (mut one_worked, mut other_worked) = (false, false);
    while !(one_worked && other_worked) {
        let rounds = change_all();
        wait_until("the changes are stored", || {
            one_worked |= at_work(&ahead);
            other_worked |= at_work(&behind);
            logged() == [rounds; INTEGRATIONS * USERS]
        });
        look.assert_faithful_in_the_end(&world);
    }
    for daemon in [&ahead, &behind] {
        let lost = daemon.metric("syncd_leases_lost_total", "").unwrap_or_default();
        assert!(lost < 0.5, "no lease expires early: {lost} were lost");
    }

    // The one that is ahead dies with leases. The other takes them over when they expire, and not an hour later.
    let mut at_last = 0;
    let mut dies_at_work = false;
    while !dies_at_work {
        at_last = change_all();
        wait_until("it is at work, or nothing is left", || {
            dies_at_work = at_work(&ahead);
            dies_at_work || logged() == [at_last; INTEGRATIONS * USERS]
        });
    }
    ahead.kill();
    look.assert_faithful_in_the_end(&world);
    assert_eq!(logged(), [at_last; INTEGRATIONS * USERS]);
    behind.stop();
}
