//! Failures at Kombo: how they are shown, and how they end without a restart.

use kombo_sandbox::{Endpoint, Fault, FaultKind, Model, Mutation, Refusal, SandboxConfig, Webhook};

use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, endpoint_of, status, status_of, world_for};
use crate::program::wait_until;
use crate::world::{API_KEY, World};

on_both_databases!(
    a_rejected_key_stops_everything_until_it_is_accepted,
    a_refusal_of_one_integration_closes_nothing,
    bad_answers_cost_seconds
);

fn rename_a_user(world: &World, integration: &str, name: &str) {
    let user = world.sandbox.ids(integration, Model::Users).unwrap()[0];
    world.sandbox.mutate(integration, Mutation::update(Model::Users, user, "first_name", name)).unwrap();
}

fn accept(world: &World, key: &str) {
    world.sandbox.edit(|state| key.clone_into(&mut state.api_key));
}

fn a_rejected_key_stops_everything_until_it_is_accepted(backend: Backend) {
    let place = Place::new();
    let world = world_for(backend, SandboxConfig { integrations: 3, ..SandboxConfig::default() }, place);
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    let integrations = world.sandbox.integrations();

    accept(&world, "another key");
    rename_a_user(&world, &integrations[0], "Unseen");
    wait_until("it is not ready", || !daemon.is_ready());
    let why = daemon.readyz().unwrap();
    assert!(why.text.contains("Kombo rejects the key"), "{why:?}");
    let shown = status(&world);
    assert_eq!(endpoint_of(&shown, &integrations[0], "lms/users")["state"], "failed");
    assert!(
        endpoint_of(&shown, &integrations[0], "lms/users")["reason"].as_str().unwrap().contains("kombo.api_key"),
        "{shown}"
    );
    // Webhooks are still accepted, and nothing is requested from Kombo.
    world.sandbox.clear_requests();
    for integration in &integrations {
        rename_a_user(&world, integration, "Unseen as well");
    }
    wait_until("the webhooks are answered", || world.sandbox.deliveries().len() == 4);
    assert!(world.sandbox.deliveries().iter().all(|delivery| delivery.status == Some(200)));
    assert_eq!(world.sandbox.request_count(Endpoint::LmsUsers), 0);

    // SIGHUP checks at once whether the key is accepted again. Without it, a check follows every few seconds.
    accept(&world, API_KEY);
    if backend == Backend::Sqlite {
        daemon.process.signal("HUP");
    }
    wait_until("it is ready", || daemon.is_ready());
    look.assert_faithful_in_the_end(&world);
    assert_eq!(endpoint_of(&status(&world), &integrations[0], "lms/users")["state"], "ok");
    daemon.stop();
}

#[test]
fn a_restart_mends_a_rejected_key() {
    let place = Place::new();
    let world = world_for(Backend::Sqlite, SandboxConfig::default(), place);
    accept(&world, "another key");
    let daemon = Daemon::launch(&world, place);
    wait_until("it says why it is not ready", || {
        daemon.readyz().is_some_and(|answer| answer.text.contains("Kombo rejects the key"))
    });
    daemon.stop();
    accept(&world, API_KEY);
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    look.assert_faithful_in_the_end(&world);
    daemon.stop();
}

/// A 401 or 403 without a reason, while Kombo accepts the key.
fn a_refusal_of_one_integration_closes_nothing(backend: Backend) {
    let place = Place::new();
    let world = world_for(backend, SandboxConfig { integrations: 3, ..SandboxConfig::default() }, place);
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    let integrations = world.sandbox.integrations();
    let html = FaultKind::Foreign { status: 403, content_type: "text/html".to_owned(), body: "<html>".to_owned() };
    for (integration, fault) in integrations.iter().zip([FaultKind::error_without_code(401), html]) {
        world.sandbox.inject(Fault::always(fault).at(Endpoint::LmsUsers).of(integration));
        rename_a_user(&world, integration, "Refused");
    }
    wait_until("the refusals show", || {
        let shown = status(&world);
        integrations[..2].iter().all(|refused| endpoint_of(&shown, refused, "lms/users")["state"] == "failed")
    });
    assert!(daemon.is_ready(), "{:?}", daemon.readyz());
    assert_eq!(daemon.metric("syncd_kombo_key_accepted", ""), Some(1.0));
    rename_a_user(&world, &integrations[2], "Goes on");
    wait_until("the user is renamed", || {
        world.database.query("SELECT id AS value FROM lms_users WHERE first_name = 'Goes on'").len() == 1
    });
    assert!(daemon.is_ready());
    // It is retried automatically.
    world.sandbox.clear_faults();
    look.assert_faithful_in_the_end(&world);
    daemon.stop();
}

fn bad_answers_cost_seconds(backend: Backend) {
    let place = Place::new();
    let world = world_for(backend, SandboxConfig { integrations: 3, ..SandboxConfig::default() }, place);
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    let html = FaultKind::Foreign { status: 404, content_type: "text/html".to_owned(), body: "<html>".to_owned() };
    // Each ends an attempt, after one or two requests of the client.
    let faults = [(html, 1), (FaultKind::ForeignJson, 2), (FaultKind::error(409, "ADDED.LATER"), 1)];
    for (integration, (fault, times)) in world.sandbox.integrations().iter().zip(faults) {
        world.sandbox.inject(Fault::once(fault).at(Endpoint::LmsUsers).of(integration).times(times));
        rename_a_user(&world, integration, "Grace");
    }
    wait_until("each fetch has failed", || world.sandbox.faults().is_empty());
    look.assert_faithful_in_the_end(&world);
    daemon.stop();
}

#[test]
fn each_failure_shows_and_passes() {
    let place = Place::new();
    let mut world = world_for(Backend::Sqlite, SandboxConfig { integrations: 5, ..SandboxConfig::default() }, place);
    world.set("sync.blind_full_min_interval", "0s");
    let integrations = world.sandbox.integrations();
    let [pending, inactive, missing, partial, failing] = integrations.as_slice() else { panic!("five of them") };
    let refuse = |integration: &str, refusal: Option<Refusal>| {
        world.sandbox.edit(|state| state.integration_mut(integration).unwrap().refusal = refusal);
    };
    refuse(pending, Some(Refusal::setup_sync_pending()));
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    wait_until("four are loaded", || {
        let loaded = look.read(|tx| tx.endpoints(None)).iter().filter(|state| state.loaded_at.is_some()).count();
        loaded == 12
    });

    // All of these failures at the same time.
    refuse(inactive, Some(Refusal::inactive()));
    let absent = world.sandbox.edit(|state| state.integrations.remove(missing)).unwrap();
    world.sandbox.edit(|state| {
        let known = state.integration_mut(partial).unwrap();
        known.endpoint_refusals.insert(Endpoint::LmsCourses, Refusal::model_not_available());
    });
    // The client gives up at once if it has to wait this long.
    let unavailable = FaultKind::Error { status: 503, code: None, retry_after: Some("3000".to_owned()) };
    world.sandbox.inject(Fault::always(unavailable).of(failing));
    let models: Vec<&str> = Model::all().map(Model::as_str).collect();
    let tell = |integration: &str, id: &str| {
        assert_eq!(daemon.webhook(&crate::deployment::data_changed(id, integration, &models)).status, 200);
    };
    for integration in [inactive, missing, partial, failing] {
        tell(integration, &format!("wrong {integration}"));
    }
    let states = [
        (pending, "active", "waiting_for_setup", "waiting_for_setup"),
        (inactive, "paused", "failed", "failed"),
        (missing, "not_found", "failed", "failed"),
        (partial, "active", "ok", "model_unavailable"),
        (failing, "active", "retrying", "retrying"),
    ];
    let mut shown = serde_json::Value::Null;
    wait_until("every failure shows", || {
        shown = status(&world);
        states.iter().all(|(integration, state, users, courses)| {
            status_of(&shown, integration)["state"] == *state
                && endpoint_of(&shown, integration, "lms/users")["state"] == *users
                && endpoint_of(&shown, integration, "lms/courses")["state"] == *courses
        })
    });
    // The status shows reason and time, and nothing is requested repeatedly.
    for (integration, ..) in states {
        assert!(endpoint_of(&shown, integration, "lms/courses")["reason"].is_string(), "{integration}: {shown}");
    }
    let waiting = look.requests();
    assert!(waiting.iter().all(|request| request.lease.is_none() && request.attempts == 1), "{waiting:?}");
    assert!(daemon.is_ready(), "the trouble of some is not the daemon's");
    // The other endpoints of the integration that lacks a model continue.
    rename_a_user(&world, partial, "Goes on");
    wait_until("the user is renamed", || {
        let sql =
            format!("SELECT id AS value FROM lms_users WHERE integration_id = '{partial}' AND first_name = 'Goes on'");
        world.database.query(&sql).len() == 1
    });

    // All failures are gone, and a webhook from Kombo ends every wait.
    refuse(pending, None);
    refuse(inactive, None);
    world.sandbox.edit(|state| {
        state.integrations.insert(missing.clone(), absent);
        state.integration_mut(partial).unwrap().endpoint_refusals.clear();
    });
    world.sandbox.clear_faults();
    for integration in [pending, missing, partial] {
        tell(integration, &format!("right {integration}"));
    }
    // An integration with a requested wait keeps waiting despite changes, until Kombo reports that it works.
    tell(failing, "changed");
    for integration in [inactive, failing] {
        world.sandbox.send_webhook(integration, &Webhook::IntegrationStateChanged).unwrap();
    }
    look.assert_faithful_in_the_end(&world);
    let shown = status(&world);
    for (integration, ..) in states {
        assert_eq!(status_of(&shown, integration)["state"], "active", "{shown}");
        for endpoint in ["lms/users", "lms/courses", "lms/course-progressions"] {
            assert_eq!(endpoint_of(&shown, integration, endpoint)["state"], "ok", "{integration} {endpoint}: {shown}");
        }
    }
    daemon.stop();
}
