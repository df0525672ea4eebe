//! Many webhooks lead to few fetches, also if changes happen during a fetch.

use std::time::{Duration, Instant};

use kombo_sandbox::{
    Endpoint, FIRST_INTEGRATION, GeneratorConfig, Latency, Model, Mutation, SandboxConfig, WebhookMode,
};

use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, data_changed, world_for};
use crate::program::wait_until;
use crate::world::World;

on_both_databases!(many_webhooks_lead_to_few_fetches, a_change_behind_the_fetch_is_not_missed);

fn delta_runs(world: &World, endpoint: &str) -> usize {
    let sql = format!("SELECT outcome AS value FROM sync_runs WHERE kind = 'delta' AND endpoint = '{endpoint}'");
    world.database.query(&sql).len()
}

fn many_webhooks_lead_to_few_fetches(backend: Backend) {
    let place = Place::new();
    let world = world_for(backend, SandboxConfig { integrations: 2, ..SandboxConfig::default() }, place);
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    assert_eq!(delta_runs(&world, "lms/users"), 0);

    // One fetch runs, and everything that arrives meanwhile leads to one more.
    let latency = Duration::from_millis(800);
    world.sandbox.edit(|state| state.latency = Latency { fixed_ms: 800, jitter_ms: 0 });
    let began = Instant::now();
    assert_eq!(daemon.webhook(&data_changed("first", FIRST_INTEGRATION, &["lms_users"])).status, 200);
    wait_until("its fetch has begun", || delta_runs(&world, "lms/users") == 1);
    for number in 0..50 {
        assert_eq!(daemon.webhook(&data_changed(&format!("m{number}"), FIRST_INTEGRATION, &["lms_users"])).status, 200);
        let requests = look.requests();
        assert!(requests.len() <= 1, "{requests:?}");
        look.assert_one_at_a_time(1);
    }
    let (meanwhile, sent_within) = (delta_runs(&world, "lms/users"), began.elapsed());
    look.wait_until_settled(&world);
    assert_eq!(delta_runs(&world, "lms/users"), meanwhile + 1);
    // Fetches run one after the other, each as long as Kombo takes to answer. On a slow machine there is time for
    // several.
    let at_most = sent_within.as_millis() / latency.as_millis() + 1;
    assert!(u128::try_from(meanwhile).unwrap() <= at_most, "{meanwhile} within {sent_within:?}");

    // A burst from two senders for three endpoints. At most one fetch of each endpoint runs, and all requests end.
    world.sandbox.edit(|state| state.latency = Latency { fixed_ms: 20, jitter_ms: 20 });
    let integrations = world.sandbox.integrations();
    std::thread::scope(|scope| {
        let senders: Vec<_> = integrations
            .iter()
            .map(|integration| {
                let daemon = &daemon;
                scope.spawn(move || {
                    for number in 0..60 {
                        let models =
                            [["lms_users", "lms_courses"], ["lms_skills", "lms_course_progressions"]][number % 2];
                        let body = data_changed(&format!("s{number} {integration}"), integration, &models);
                        assert_eq!(daemon.webhook(&body).status, 200);
                    }
                })
            })
            .collect();
        while senders.iter().any(|sender| !sender.is_finished()) {
            // A delta, and a full fetch for changes that it may not show.
            look.assert_one_at_a_time(2);
        }
    });
    // A full fetch for changes that a delta may not show waits for an hour after the previous one, so it stays in the
    // queue.
    wait_until("only what is put off is left", || {
        look.requests()
            .iter()
            .all(|request| request.target.endpoint.as_str() == "lms/courses" && request.lease.is_none())
            && look.requests().len() <= 2
    });
    eprintln!(
        "{backend:?}: 120 webhooks about two integrations led to {} deltas of users",
        delta_runs(&world, "lms/users") - 2
    );
    daemon.stop();
}

fn a_change_behind_the_fetch_is_not_missed(backend: Backend) {
    let place = Place::new();
    let generator = GeneratorConfig { users: 100, courses: 5, progressions: 10, ..GeneratorConfig::default() };
    let latency = Latency { fixed_ms: 60, jitter_ms: 0 };
    let mut world = world_for(backend, SandboxConfig { generator, latency, ..SandboxConfig::default() }, place);
    world.set_toml("kombo.page_size", "10");
    let users = world.sandbox.ids(FIRST_INTEGRATION, Model::Users).unwrap();
    let change = |user: usize, name: &str| {
        let mutation = Mutation::update(Model::Users, users[user], "first_name", name);
        world.sandbox.mutate(FIRST_INTEGRATION, mutation).unwrap();
    };
    let is_midway = || wait_until("the fetch is midway", || world.sandbox.request_count(Endpoint::LmsUsers) >= 4);

    // During the first load: its first page was read, then the first user of that page changes.
    let daemon = Daemon::start(&world, place);
    is_midway();
    change(0, "Changed under the load");
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    look.assert_faithful_in_the_end(&world);

    // During a delta of ten pages.
    world.sandbox.configure_webhooks(|hooks| hooks.data_changed = WebhookMode::Manual);
    for user in 0..users.len() {
        change(user, "Changed for the delta");
    }
    world.sandbox.clear_requests();
    assert!(world.sandbox.send_data_changed(FIRST_INTEGRATION).unwrap());
    is_midway();
    change(0, "Changed under the delta");
    assert!(world.sandbox.send_data_changed(FIRST_INTEGRATION).unwrap());
    look.assert_faithful_in_the_end(&world);
    daemon.stop();
}
