//! Counters for Prometheus. Labels are ids and words of closed sets, never customers' data.

use std::time::Duration;

use kombo_client::{Outcome, ResponseEvent};
use metrics::{counter, gauge, histogram};
use sync_core::ports::{Event, Observer};
use sync_core::pull::RunCounts;
use sync_runtime::{Notice, RuntimeObserver};

use super::gauges::float;
use crate::notices::Notices;

/// Counts an answer of Kombo, or the lack of one.
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

/// Counts and logs the events of a runtime.
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
