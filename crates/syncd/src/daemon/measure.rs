//! What is measured, for Prometheus. Labels are ids and words of closed sets, never data of customers.

use std::collections::BTreeMap;
use std::time::Duration;

use kombo_client::{Outcome, ResponseEvent};
use kombo_model::{IntegrationId, Timestamp};
use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use store_diesel::DieselStore;
use sync_core::jobs::{EndpointState, EndpointStatus, IntegrationStatus, QueuedRequest, RequestCause};
use sync_core::ports::{Clock as _, Event, Observer, QuarantinePart, Store as _, StoreError};
use sync_core::pull::RunCounts;
use sync_runtime::{Notice, RuntimeObserver};

use super::series::Series;
use crate::clock::SystemClock;
use crate::notices::Notices;

/// Begins to measure.
pub(super) fn install() -> anyhow::Result<PrometheusHandle> {
    let metrics = PrometheusBuilder::new().install_recorder()?;
    crate::stderr::describe();
    Ok(metrics)
}

/// Counts an answer of Kombo's, or that there was none.
pub(super) fn answer(event: &ResponseEvent) {
    let status = match &event.outcome {
        Outcome::Status(status) => status.to_string(),
        Outcome::Fault(_) => "none".to_owned(),
    };
    counter!("syncd_kombo_requests_total", "status" => status).increment(1);
    histogram!("syncd_kombo_request_seconds").record(event.elapsed.as_secs_f64());
    if let Some(remaining) = event.rate_limit.remaining {
        gauge!("syncd_kombo_ratelimit_remaining").set(float(remaining));
    }
}

/// Counts a webhook.
pub(super) fn webhook(result: &'static str, took: Duration) {
    counter!("syncd_webhooks_total", "result" => result).increment(1);
    histogram!("syncd_webhook_seconds").record(took.as_secs_f64());
}

/// Counts and logs what the runtime does.
pub(crate) struct Meter;

impl Observer for Meter {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Committed { batch, .. } => count(batch),
            Event::Ended { run, took, .. } => {
                let labels = [("kind", run.target.kind.as_str()), ("outcome", run.outcome.as_str())];
                counter!("syncd_runs_total", &labels).increment(1);
                histogram!("syncd_run_seconds", "kind" => run.target.kind.as_str()).record(took.as_secs_f64());
                tracing::info!(
                    run.id = run.id.0,
                    integration.id = run.target.integration_id.as_str(),
                    endpoint = run.target.endpoint.as_str(),
                    sync.kind = run.target.kind.as_str(),
                    outcome = run.outcome.as_str(),
                    pages = run.counts.pages,
                    records = run.counts.records,
                    error = run.error,
                    duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                    "run ended"
                );
            }
            Event::LeaseLost { target } => {
                counter!("syncd_leases_lost_total").increment(1);
                let id = target.integration_id.as_str();
                tracing::warn!(integration.id = id, endpoint = target.endpoint.as_str(), "lease lost");
            }
            Event::Started { .. } | _ => {}
        }
    }
}

impl RuntimeObserver for Meter {
    fn notice(&self, notice: Notice<'_>) {
        Notices.notice(notice);
    }
}

fn count(batch: &RunCounts) {
    for (change, number) in [
        ("created", batch.created),
        ("updated", batch.updated),
        ("deleted", batch.deleted),
        ("restored", batch.restored),
        ("unchanged", batch.unchanged),
        ("indirect", batch.indirect),
        ("stale", batch.stale),
        ("quarantined", batch.quarantined),
    ] {
        counter!("syncd_records_total", "change" => change).increment(number);
    }
    counter!("syncd_pages_total").increment(batch.pages);
}

/// Reads from the store what is a state and no event: the queue, freshness, what is out of order. Returns the series of
/// single integrations and endpoints: they are written anew each time, so that none stays that has ceased to be.
pub(super) async fn state(store: &DieselStore) -> String {
    let read = store.read(|tx| {
        Ok::<_, StoreError>((
            tx.integrations()?,
            tx.requests()?,
            tx.endpoints(None)?,
            tx.quarantine_size(QuarantinePart::All)?,
        ))
    });
    let read = read.await;
    let up = if read.is_ok() { 1.0 } else { 0.0 };
    gauge!("syncd_database_up").set(up);
    let load = store.load();
    for (state, number) in [("idle", load.idle), ("busy", load.open.saturating_sub(load.idle))] {
        gauge!("syncd_database_connections", "state" => state).set(float(u64::try_from(number).unwrap_or(u64::MAX)));
    }
    gauge!("syncd_database_waiting").set(float(u64::try_from(load.waiting).unwrap_or(u64::MAX)));
    let mut series = Series::default();
    let Ok((integrations, requests, endpoints, quarantined)) = read else { return String::new() };
    let now = SystemClock.now();
    // What waits on purpose, for a failure to pass or its time to come, is not late.
    let held = |id: &IntegrationId| {
        integrations.iter().any(|known| known.id == *id && known.status == IntegrationStatus::Held)
    };
    let due = requests.iter().filter(|request| request.lease.is_none() && request.not_before <= now);
    let due = due.filter(|request| !held(&request.target.integration_id));
    let oldest = due.map(|request| now.since(request.requested_at.max(request.not_before)));
    gauge!("syncd_quarantined_records").set(float(quarantined));
    for status in IntegrationStatus::ALL {
        let number = integrations.iter().filter(|integration| integration.status == *status).count();
        gauge!("syncd_integrations", "state" => status.as_str()).set(float(u64::try_from(number).unwrap_or(u64::MAX)));
    }
    let deleted = |id: &IntegrationId| {
        integrations.iter().any(|known| known.id == *id && known.status == IntegrationStatus::Deleted)
    };
    for integration in integrations.iter().filter(|known| known.status != IntegrationStatus::Deleted) {
        let wishes = requests.iter().filter(|request| request.target.integration_id == integration.id);
        let lag = wishes.map(|request| now.since(behind_since(request, &endpoints))).max().unwrap_or_default();
        let labels = [("integration", integration.id.as_str())];
        series.add("syncd_freshness_lag_seconds", &labels, lag.as_secs_f64());
        let paused = if integration.status == IntegrationStatus::Held { 1.0 } else { 0.0 };
        series.add("syncd_integration_held", &labels, paused);
    }
    gauge!("syncd_queue_depth").set(float(u64::try_from(requests.len()).unwrap_or(u64::MAX)));
    gauge!("syncd_queue_oldest_seconds").set(oldest.max().unwrap_or_default().as_secs_f64());
    let mut states: BTreeMap<&'static str, u64> =
        EndpointStatus::ALL.iter().map(|status| (status.as_str(), 0)).collect();
    for endpoint in endpoints.iter().filter(|endpoint| !deleted(&endpoint.integration_id)) {
        *states.entry(endpoint.status.as_str()).or_default() += 1;
        if let Some(watermark) = endpoint.watermark {
            let labels = [("integration", endpoint.integration_id.as_str()), ("endpoint", endpoint.endpoint.as_str())];
            series.add("syncd_watermark_age_seconds", &labels, now.since(watermark).as_secs_f64());
        }
    }
    for (status, number) in states {
        gauge!("syncd_endpoints", "state" => status).set(float(number));
    }
    series.render()
}

/// Since when a requested fetch may show changes that are not stored.
fn behind_since(request: &QueuedRequest, endpoints: &[EndpointState]) -> Timestamp {
    let is_its = |state: &&EndpointState| {
        state.endpoint == request.target.endpoint && state.integration_id == request.target.integration_id
    };
    match request.cause {
        // Whatever happened since the last fetch may have been missed.
        RequestCause::CatchUp => {
            let watermark = endpoints.iter().find(is_its).and_then(|state| state.watermark);
            watermark.map_or(request.requested_at, |watermark| watermark.min(request.requested_at))
        }
        RequestCause::Command
        | RequestCause::Webhook
        | RequestCause::Load
        | RequestCause::Schedule
        | RequestCause::Poll => request.requested_at,
    }
}

/// Reads how far changes are delivered.
pub(super) async fn deliveries(store: &DieselStore) {
    let read = store.read(|tx| Ok::<_, StoreError>((tx.undelivered()?, tx.dead_letters(None)?)));
    let Ok((backlogs, letters)) = read.await else { return };
    let now = SystemClock.now();
    let entries = backlogs.iter().map(|backlog| backlog.entries).sum();
    let oldest = backlogs.iter().map(|backlog| now.since(backlog.oldest_at)).max().unwrap_or_default();
    gauge!("syncd_delivery_lag").set(float(entries));
    gauge!("syncd_delivery_lag_seconds").set(oldest.as_secs_f64());
    gauge!("syncd_dead_letters").set(float(u64::try_from(letters.len()).unwrap_or(u64::MAX)));
}

/// Prometheus knows floating point only; counts beyond 2^32 are rounded, which no dashboard shows.
fn float(number: u64) -> f64 {
    u32::try_from(number).map_or(f64::from(u32::MAX), f64::from)
}
