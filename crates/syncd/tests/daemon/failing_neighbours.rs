//! Integrations that fail or never answer, next to healthy ones.

use kombo_sandbox::{Endpoint, Fault, FaultKind, GeneratorConfig, Model, Mutation, SandboxConfig};

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
        world.sandbox.inject(Fault::always(silence).at(Endpoint::LmsUsers).of(integration));
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

const FLEET: usize = 300;
/// How many of the fleet answer 503, and how many never answer.
const DOWN: usize = 50;
const SILENT: usize = 10;
/// How many healthy integrations change at the same time, and how often.
const BURST: usize = 40;
const BURSTS: usize = 4;

/// Counted in fetches, not in seconds: how many fetches began before that of a change, from its webhook on.
#[test]
fn beside_a_fifth_of_a_fleet_that_fails_changes_wait_for_hardly_more_fetches() {
    let place = Place::new();
    let generator = GeneratorConfig {
        users: 2,
        courses: 1,
        providers: 1,
        skills: 1,
        progressions: 1,
        deleted_rate: 0.0,
        ..GeneratorConfig::default()
    };
    let config = SandboxConfig { integrations: FLEET, generator, ..SandboxConfig::default() };
    let mut world = world_for(Backend::Postgres, config, place);
    world.set_toml("sync.endpoints", r#"["users"]"#);
    world.set("kombo.timeout", "2s");
    let daemon = Daemon::start(&world, place);
    let number = |sql: &str| world.database.query(sql)[0].parse::<usize>().unwrap();
    let loaded = "SELECT count(*) AS value FROM sync_watermarks WHERE loaded_at IS NOT NULL";
    wait_until("the fleet is loaded", || number(loaded) == FLEET);

    let integrations = world.sandbox.integrations();
    let (failing, healthy) = integrations.split_at(DOWN + SILENT);
    let bursts = |name: &str, due: usize| {
        let mut waited_for = Vec::new();
        for burst in 0..BURSTS {
            let failed = "SELECT count(*) AS value FROM sync_requests \
                          WHERE attempts > 0 AND lease_token IS NULL AND not_before <= now()";
            wait_until("those that failed are due ahead", || number(failed) >= due);
            let last = number("SELECT coalesce(max(id), 0) AS value FROM sync_runs");
            let name = format!("{name} {burst}");
            for integration in healthy.iter().skip(burst * BURST).take(BURST) {
                rename_a_user(&world, integration, &name);
            }
            let stored = format!("SELECT count(*) AS value FROM lms_users WHERE first_name = '{name}'");
            wait_until("the burst is stored", || number(&stored) == BURST);
            let before = format!(
                "SELECT (SELECT count(*) FROM sync_runs WHERE id > {last} AND id < own.id) AS value FROM \
                 (SELECT min(r.id) AS id FROM sync_runs AS r JOIN lms_users AS u USING (integration_id) \
                 WHERE r.id > {last} AND u.first_name = '{name}' GROUP BY r.integration_id) AS own"
            );
            waited_for.extend(world.database.query(&before).iter().map(|count| count.parse::<usize>().unwrap()));
        }
        assert_eq!(waited_for.len(), BURST * BURSTS);
        waited_for.sort_unstable();
        waited_for[waited_for.len() * 95 / 100]
    };
    let without = bursts("Without", 0);
    for (number, integration) in failing.iter().enumerate() {
        let down = FaultKind::Error { status: 503, code: None, retry_after: None };
        let fault = if number < DOWN { down } else { FaultKind::Delay { pause_ms: 3_600_000 } };
        world.sandbox.inject(Fault::always(fault).at(Endpoint::LmsUsers).of(integration));
        rename_a_user(&world, integration, "Unheard");
    }
    let beside = bursts("Beside", usize::midpoint(DOWN, SILENT));
    eprintln!("fetches before that of a change, 95 in 100: {without}, and {beside} beside integrations that fail");
    assert!(beside <= 2 * without, "{beside} fetches, {without} without failures");
    drop(daemon.kill());
}
