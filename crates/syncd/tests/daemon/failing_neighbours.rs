//! Integrations that fail or never answer, next to healthy ones.

use kombo_sandbox::{Endpoint, Fault, FaultKind, Model, Mutation, SandboxConfig};

use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, world_for};
use crate::program::wait_until;
use crate::world::World;

const INTEGRATIONS: usize = 10;
const FAILING: usize = 7;
const WORKERS: usize = 4;

fn rename_a_user(world: &World, integration: &str, name: &str) {
    let user = world.sandbox.ids(integration, Model::Users).unwrap()[0];
    world.sandbox.mutate(integration, Mutation::update(Model::Users, user, "first_name", name)).unwrap();
}

/// Without a limit, the failing ones would occupy every worker again and again.
#[test]
fn they_keep_a_quarter_of_the_workers_at_most() {
    let place = Place::new();
    let mut world =
        world_for(Backend::Sqlite, SandboxConfig { integrations: INTEGRATIONS, ..SandboxConfig::default() }, place);
    world.set_toml("sync.workers", &WORKERS.to_string());
    world.set("kombo.timeout", "2s");
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);

    let integrations = world.sandbox.integrations();
    let (failing, healthy) = integrations.split_at(FAILING);
    for integration in failing {
        let silence = FaultKind::Delay { pause_ms: 3_600_000 };
        world.sandbox.inject(Fault::always(silence).at(Endpoint::Users).of(integration));
        rename_a_user(&world, integration, "Unheard");
    }
    wait_until("each has failed", || look.requests().iter().filter(|request| request.attempts > 0).count() == FAILING);

    // All failed requests are due at once, repeatedly, and before the requests that are created later.
    let mut most_retries = 0;
    for round in 0..20 {
        for integration in healthy {
            rename_a_user(&world, integration, &format!("Round {round}"));
        }
        let names = format!("SELECT id AS value FROM lms_users WHERE first_name = 'Round {round}'");
        wait_until("the healthy ones are up to date", || {
            let retries = look.requests().iter().filter(|it| it.attempts > 0 && it.lease.is_some()).count();
            most_retries = most_retries.max(retries);
            world.database.query(&names).len() == healthy.len()
        });
    }
    assert!(most_retries <= WORKERS / 4, "{most_retries} workers were busy with what fails");

    world.sandbox.clear_faults();
    look.assert_faithful_in_the_end(&world);
    daemon.stop();
}
