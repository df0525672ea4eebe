//! The six types of webhooks and their effects.

use std::time::Duration;

use kombo_sandbox::{
    Endpoint, FIRST_INTEGRATION, GeneratorConfig, IntegrationStatus, Latency, Model, Mutation, Refusal, SandboxConfig,
    Webhook, WebhookMode,
};

use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, status, status_of, world_for};
use crate::program::wait_until;
use crate::world::LISTS;

#[test]
fn each_type_does_its_part() {
    let place = Place::new();
    let mut world = world_for(Backend::Sqlite, SandboxConfig::default(), place);
    world.name_integrations(&[]);
    world.sandbox.configure_webhooks(|hooks| hooks.data_changed = WebhookMode::Manual);
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    let tell = |webhook: Webhook| {
        world.sandbox.send_webhook(FIRST_INTEGRATION, &webhook).unwrap();
    };
    assert_eq!(status(&world)["integrations"].as_array().unwrap().len(), 0);

    // integration-created registers the integration and loads everything.
    tell(Webhook::IntegrationCreated);
    look.wait_until_loaded(&world);
    look.assert_faithful_in_the_end(&world);
    assert_eq!(status_of(&status(&world), FIRST_INTEGRATION)["tool"], "sandbox");

    // data-changed fetches the endpoints of its models, and nothing else.
    world.sandbox.clear_requests();
    let user = world.sandbox.ids(FIRST_INTEGRATION, Model::Users).unwrap()[0];
    world.sandbox.mutate(FIRST_INTEGRATION, Mutation::update(Model::Users, user, "last_name", "Planned")).unwrap();
    assert!(world.sandbox.send_data_changed(FIRST_INTEGRATION).unwrap());
    look.assert_faithful_in_the_end(&world);
    assert!(world.sandbox.request_count(Endpoint::LmsUsers) > 0);
    assert_eq!(world.sandbox.request_count(Endpoint::LmsCourses), 0);
    assert_eq!(world.sandbox.request_count(Endpoint::LmsCourseProgressions), 0);

    // sync-finished and connection-flow-failed are stored, and request nothing.
    world.sandbox.clear_requests();
    tell(Webhook::SyncFinished { sync_state: "SUCCEEDED".to_owned() });
    tell(Webhook::ConnectionFlowFailed);
    wait_until("both are stored", || {
        let sql = "SELECT kind AS value FROM sync_webhook_events WHERE kind IN ('sync-finished', 'connection-flow-failed') AND result = 'recorded'";
        world.database.query(sql).len() == 2
    });
    look.wait_until_settled(&world);
    assert!(LISTS.iter().all(|list| world.sandbox.request_count(*list) == 0));

    // integration-state-changed pauses on a state that does not work, and resumes on one that does.
    let turn = |state: IntegrationStatus| {
        world.sandbox.edit(|known| {
            let integration = known.integration_mut(FIRST_INTEGRATION).unwrap();
            integration.status = state;
            integration.refusal = (state != IntegrationStatus::Active).then(Refusal::authentication_invalid);
        });
        tell(Webhook::IntegrationStateChanged);
    };
    turn(IntegrationStatus::Invalid);
    wait_until("it is paused", || status_of(&status(&world), FIRST_INTEGRATION)["state"] == "paused");
    let paused = status(&world);
    assert!(status_of(&paused, FIRST_INTEGRATION)["reason"].as_str().unwrap().contains("INVALID"), "{paused}");
    world.sandbox.mutate(FIRST_INTEGRATION, Mutation::update(Model::Users, user, "last_name", "Resumed")).unwrap();
    turn(IntegrationStatus::Active);
    wait_until("it is active", || status_of(&status(&world), FIRST_INTEGRATION)["state"] == "active");
    look.assert_faithful_in_the_end(&world);

    // integration-deleted stops everything for good.
    world.sandbox.configure_webhooks(|hooks| hooks.duplicates = 1);
    tell(Webhook::IntegrationDeleted);
    wait_until("it is deleted", || status_of(&status(&world), FIRST_INTEGRATION)["state"] == "deleted");
    assert_eq!(look.requests(), []);
    world.sandbox.clear_requests();
    tell(Webhook::IntegrationStateChanged);
    tell(Webhook::DataChanged { changed_models: [Model::Users].into() });
    look.wait_until_settled(&world);
    assert_eq!(status_of(&status(&world), FIRST_INTEGRATION)["state"], "deleted");
    assert!(LISTS.iter().all(|list| world.sandbox.request_count(*list) == 0));
    assert!(world.sandbox.deliveries().iter().all(|delivery| delivery.status == Some(200)));
    daemon.stop();
}

#[test]
fn a_deleted_integration_is_left_alone() {
    let place = Place::new();
    let generator = GeneratorConfig { users: 400, courses: 400, ..GeneratorConfig::default() };
    let latency = Latency { fixed_ms: 60, jitter_ms: 0 };
    let mut world = world_for(Backend::Sqlite, SandboxConfig { generator, latency, ..SandboxConfig::default() }, place);
    world.set_toml("kombo.page_size", "10");
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    wait_until("the first load is midway", || world.sandbox.request_count(Endpoint::LmsUsers) >= 5);
    world.sandbox.send_webhook(FIRST_INTEGRATION, &Webhook::IntegrationDeleted).unwrap();
    wait_until("it is deleted", || status_of(&status(&world), FIRST_INTEGRATION)["state"] == "deleted");
    // Running workers notice with their next commit.
    wait_until("three leases are lost", || daemon.metric("syncd_leases_lost_total", "") == Some(3.0));
    world.sandbox.clear_requests();
    assert_eq!(look.requests(), []);
    // The schedule checks all integrations when the daemon starts, and requests nothing here.
    daemon.stop();
    let daemon = Daemon::start(&world, place);
    world
        .sandbox
        .send_webhook(FIRST_INTEGRATION, &Webhook::DataChanged { changed_models: [Model::Users].into() })
        .unwrap();
    look.wait_until_settled(&world);
    assert!(LISTS.iter().all(|list| world.sandbox.request_count(*list) == 0));
    assert_eq!(status_of(&status(&world), FIRST_INTEGRATION)["state"], "deleted");
    daemon.stop();
}

/// A webhook that arrives while a fetch of its integration commits keeps the result of the fetch. In SQLite, only one
/// transaction writes at a time anyway.
#[test]
fn the_end_of_a_fetch_is_not_undone() {
    let place = Place::new();
    let world = world_for(Backend::Postgres, SandboxConfig::default(), place);
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);

    // A session that acts like the end of a fetch: it locks the integration, and moves the watermark.
    let mut end_of_fetch = world.database.session();
    end_of_fetch.run("BEGIN");
    end_of_fetch.run(&format!(
        "SELECT pg_advisory_xact_lock(hashtextextended('syncd integration ' || '{FIRST_INTEGRATION}', 0))"
    ));
    // Later than the watermarks of the fetches below, which are earlier than their start by the overlap.
    end_of_fetch
        .run("UPDATE sync_watermarks SET watermark = date_trunc('second', now()) WHERE endpoint = 'lms/courses'");
    wait_until("the session holds the row", || {
        world
            .database
            .query(
                "SELECT pid || '' AS value FROM pg_stat_activity WHERE datname = current_database() AND \
                              state = 'idle in transaction' AND query LIKE 'UPDATE sync_watermarks%'",
            )
            .len()
            == 1
    });
    // Deltas may not show skills. The request of a full fetch is noted with the endpoint.
    world
        .sandbox
        .send_webhook(FIRST_INTEGRATION, &Webhook::DataChanged { changed_models: [Model::Skills].into() })
        .unwrap();
    wait_until("the webhook waits", || {
        world
            .database
            .query(
                "SELECT pid || '' AS value FROM pg_stat_activity WHERE datname = current_database() AND \
                              wait_event_type = 'Lock'",
            )
            .len()
            == 1
    });
    let courses = || {
        look.read(|tx| tx.endpoints(None)).into_iter().find(|state| state.endpoint.as_str() == "lms/courses").unwrap()
    };
    let before = courses().watermark;
    end_of_fetch.run("COMMIT");
    end_of_fetch.end();
    look.wait_until_settled(&world);
    let state = courses();
    assert!(state.last_blind_full_at.is_some());
    let moved = state.watermark.unwrap().since(before.unwrap());
    // The fetch alone would have moved it by less than the overlap.
    assert!(moved >= Duration::from_secs(100), "it moved back to {:?}", state.watermark);
    daemon.stop();
}

/// Kombo may change the format of changes. Then it is only clear that something changed.
#[test]
fn changes_in_an_unknown_shape_call_everything() {
    let place = Place::new();
    let world = world_for(Backend::Sqlite, SandboxConfig::default(), place);
    world.sandbox.configure_webhooks(|hooks| hooks.data_changed = WebhookMode::Off);
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    let user = world.sandbox.ids(FIRST_INTEGRATION, Model::Users).unwrap()[0];
    world.sandbox.mutate(FIRST_INTEGRATION, Mutation::update(Model::Users, user, "first_name", "Reworded")).unwrap();
    let calls = || {
        let sql = "SELECT DISTINCT endpoint || ' ' || kind AS value FROM sync_runs WHERE NOT first_load ORDER BY 1";
        world.database.query(sql)
    };
    assert_eq!(calls(), Vec::<String>::new());
    let data = format!("{{\"integration_id\": {FIRST_INTEGRATION:?}, \"changed_models\": {{\"users\": 1}}}}");
    let body = format!("{{\"id\": \"reworded\", \"type\": \"data-changed\", \"data\": {data}}}");
    assert_eq!(daemon.webhook(&body).status, 200);
    look.wait_until_settled(&world);
    assert_eq!(calls(), ["lms/course-progressions delta", "lms/courses delta", "lms/users delta"]);
    look.assert_faithful_in_the_end(&world);
    daemon.stop();
}
