//! Health and metrics.

use std::collections::BTreeSet;

use kombo_sandbox::{
    FIRST_INTEGRATION, GeneratorConfig, Latency, Model, Mutation, SandboxConfig, Webhook, WebhookMode,
};

use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, data_changed, world_for};
use crate::http;
use crate::program::wait_until;

on_both_databases!(every_metric_is_there_and_moves);

/// Returns the names of metrics in the source code.
fn named() -> BTreeSet<&'static str> {
    let source = include_str!("../../src/daemon/prometheus.rs");
    source.split('"').filter(|text| text.starts_with("syncd_")).collect()
}

fn every_metric_is_there_and_moves(backend: Backend) {
    let place = Place::new();
    let generator = GeneratorConfig { users: 60, ..GeneratorConfig::default() };
    let mut world = world_for(backend, SandboxConfig { integrations: 2, generator, ..SandboxConfig::default() }, place);
    world.sandbox.configure_webhooks(|hooks| hooks.data_changed = WebhookMode::Manual);
    world.set_toml("kombo.page_size", "5");
    // Nobody listens there.
    world.set("delivery.url", &format!("http://{}/", Place::new().webhooks));
    world.set("delivery.secret", "what-deliveries-are-signed-with");
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    for (path, status, text) in [("/healthz", 200, "alive"), ("/readyz", 200, "ready"), ("/webhooks/kombo", 404, "")] {
        let answer = http::get(place.operations, path).unwrap();
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.text.contains(text), "{path}: {answer:?}");
    }
    let before = daemon.metrics();
    let count = |name: &str, label: &str| daemon.metric(name, label).unwrap_or_default();
    assert!(count("syncd_kombo_requests_total", "status=\"200\"") >= 6.0);
    assert!((count("syncd_runs_total", "kind=\"full\"") - 6.0).abs() < 0.5, "two integrations of three endpoints");
    assert!((count("syncd_endpoints", "state=\"ok\"") - 6.0).abs() < 0.5);
    assert!(count("syncd_records_total", "change=\"created\"") > 100.0);

    // Events of every kind: changes, a rejected webhook, and a lost lease.
    let integrations = world.sandbox.integrations();
    let user = world.sandbox.ids(FIRST_INTEGRATION, Model::Users).unwrap()[0];
    world.sandbox.mutate(FIRST_INTEGRATION, Mutation::update(Model::Users, user, "first_name", "Counted")).unwrap();
    assert!(world.sandbox.send_data_changed(FIRST_INTEGRATION).unwrap());
    assert_eq!(http::post(place.webhooks, "/webhooks/kombo", &[], b"{}").unwrap().status, 401);
    look.wait_until_settled(&world);
    let other = integrations.iter().find(|id| *id != FIRST_INTEGRATION).unwrap();
    for user in world.sandbox.ids(other, Model::Users).unwrap() {
        world.sandbox.mutate(other, Mutation::update(Model::Users, user, "first_name", "Counted")).unwrap();
    }
    world.sandbox.edit(|state| state.latency = Latency { fixed_ms: 100, jitter_ms: 0 });
    assert_eq!(daemon.webhook(&data_changed("slow", other, &["lms_users"])).status, 200);
    wait_until("a delivery failed", || count("syncd_deliveries_total", "failed") > 0.5);
    wait_until("its fetch is under way", || look.requests().iter().any(|request| request.lease.is_some()));
    wait_until("the queue shows", || count("syncd_queue_depth", "") > 0.5);
    world.sandbox.send_webhook(other, &Webhook::IntegrationDeleted).unwrap();
    wait_until("the lease is lost", || count("syncd_leases_lost_total", "") > 0.5);
    look.wait_until_settled(&world);

    let after = daemon.metrics();
    let shown = |name: &str| {
        let belongs = |key: &String| {
            let family = key.split('{').next().unwrap();
            family == name || ["_count", "_sum", "_bucket"].iter().any(|part| family == format!("{name}{part}"))
        };
        after.iter().filter(|(key, _)| belongs(key)).map(|(key, value)| (key.clone(), *value)).collect::<Vec<_>>()
    };
    let text = http::get(place.operations, "/metrics").unwrap().text;
    for name in named() {
        for line in [format!("# HELP {name} "), format!("# TYPE {name} ")] {
            assert_eq!(text.matches(&line).count(), 1, "{line}");
        }
        let values = shown(name);
        assert!(!values.is_empty(), "{name} is not shown");
        let moves = values.iter().any(|(key, value)| before.get(key) != Some(value));
        // A state may stay the same. Counts and times must move.
        let counts = values.iter().any(|(key, _)| key.contains("_total") || key.contains("_count"));
        let nothing_dropped = name == "syncd_log_lines_dropped_total";
        assert!(moves || !counts || nothing_dropped, "{name} does not move: {values:?}");
    }
    let labels: Vec<&String> = after.keys().collect();
    let page = format!("{labels:?}");
    for private in ["Counted", "@", crate::deployment::SECRET, crate::world::API_KEY] {
        assert!(!page.contains(private), "{private} is not for metrics");
    }
    daemon.stop();
}

/// Only the integrations that are furthest behind have their own series. The aggregates count all.
#[test]
fn few_integrations_have_series_of_their_own() {
    let place = Place::new();
    let mut world = world_for(Backend::Sqlite, SandboxConfig { integrations: 3, ..SandboxConfig::default() }, place);
    world.set_toml("server.metrics_integrations", "1");
    let daemon = Daemon::start(&world, place);
    Look::new(&world).wait_until_loaded(&world);
    let ids = world.sandbox.integrations();
    let shown = || -> Vec<String> {
        let lags = daemon.metrics().into_keys().filter(|key| key.starts_with("syncd_freshness_lag_seconds"));
        lags.collect()
    };
    assert_eq!(shown().len(), 1, "{:?}", daemon.metrics());
    let look = Look::new(&world);
    look.wait_until_settled(&world);
    wait_until("nothing is behind", || daemon.metric("syncd_freshness_lag_max_seconds", "") == Some(0.0));
    // One integration falls behind, because its fetches hang.
    world.sandbox.edit(|state| state.latency = Latency { fixed_ms: 20_000, jitter_ms: 0 });
    assert_eq!(daemon.webhook(&data_changed("slow", &ids[2], &["lms_users"])).status, 200);
    wait_until("it is behind", || daemon.metric("syncd_freshness_lag_max_seconds", "") > Some(0.0));
    assert_eq!(shown(), [format!("syncd_freshness_lag_seconds{{integration={:?}}}", ids[2])]);
    assert_eq!(daemon.metric("syncd_integrations_behind", "1d"), Some(0.0));
    assert_eq!(daemon.metric("syncd_integrations", "active"), Some(3.0));
    drop(daemon);
}

/// The series of a deleted integration are removed.
#[test]
fn series_of_deleted_integrations_go() {
    let place = Place::new();
    let world = world_for(Backend::Sqlite, SandboxConfig { integrations: 2, ..SandboxConfig::default() }, place);
    let daemon = Daemon::start(&world, place);
    Look::new(&world).wait_until_loaded(&world);
    let integration = world.sandbox.integrations().remove(1);
    let series = || daemon.metrics().keys().filter(|key| key.contains(&format!("integration={integration:?}"))).count();
    assert_eq!(series(), 5, "{:?}", daemon.metrics());
    world.sandbox.send_webhook(&integration, &Webhook::IntegrationDeleted).unwrap();
    wait_until("it is deleted", || daemon.metric("syncd_integrations", "deleted") == Some(1.0));
    assert_eq!(series(), 0, "{:?}", daemon.metrics());
    daemon.stop();
}
