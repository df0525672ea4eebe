//! All metrics with name, kind and meaning. The table in docs/operations.md must match.

use metrics::{describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// The kind of a metric. A histogram has upper bounds in seconds.
enum Kind {
    Counter,
    Gauge,
    Histogram(&'static [f64]),
}

use Kind::{Counter, Gauge, Histogram};

/// Durations of answers over the network.
const ANSWERS: &[f64] = &[0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Durations of fetches: a small delta takes a fraction of a second, a first load may take hours.
const FETCHES: &[f64] = &[0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 28_800.0];
/// Durations of webhooks: each waits for one commit.
const WEBHOOKS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

const METRICS: &[(&str, Kind, &str)] = &[
    ("syncd_build_info", Gauge, "The running version, as a label; always 1."),
    ("syncd_runs_total", Counter, "Finished attempts by kind and outcome."),
    ("syncd_run_seconds", Histogram(FETCHES), "Duration of finished attempts, by kind."),
    ("syncd_records_total", Counter, "Records by their effect on the mirror."),
    ("syncd_pages_total", Counter, "Pages fetched."),
    ("syncd_leases_lost_total", Counter, "Leases that other workers took over."),
    ("syncd_kombo_requests_total", Counter, "Requests to Kombo by HTTP status; none without an answer."),
    ("syncd_kombo_request_seconds", Histogram(ANSWERS), "Time until Kombo answered a request."),
    ("syncd_kombo_ratelimit_remaining", Gauge, "Remainder of the rate limit in Kombo's last answer."),
    ("syncd_kombo_key_accepted", Gauge, "1 if Kombo accepted the key at the last check, otherwise 0."),
    ("syncd_webhooks_total", Counter, "Webhooks by result."),
    ("syncd_webhook_seconds", Histogram(WEBHOOKS), "Time until a webhook was answered."),
    (
        "syncd_webhooks_unplanned_seconds",
        Gauge,
        "Age of the oldest stored webhook whose fetches are not requested yet.",
    ),
    ("syncd_deliveries_total", Counter, "Delivery attempts by result, and deliveries given up."),
    ("syncd_delivery_seconds", Histogram(ANSWERS), "Duration of delivery attempts."),
    ("syncd_deliveries_failing", Gauge, "Integrations with a next delivery that failed or cannot be read."),
    ("syncd_delivery_lag", Gauge, "Undelivered entries of the change log, without dead letters."),
    ("syncd_delivery_lag_seconds", Gauge, "Age of the oldest undelivered entry."),
    ("syncd_dead_letters", Gauge, "Deliveries that were given up and neither retried successfully nor dropped."),
    ("syncd_log_lines_dropped_total", Counter, "Log lines that could not be written in time."),
    ("syncd_database_up", Gauge, "1 if the database answered during this scrape, otherwise 0."),
    ("syncd_database_connections", Gauge, "Connections to the database by state."),
    ("syncd_database_waiting", Gauge, "Transactions that wait for a connection."),
    ("syncd_integrations", Gauge, "Integrations by state."),
    ("syncd_integrations_behind", Gauge, "Integrations whose freshness lag is longer than a bound."),
    ("syncd_freshness_lag_max_seconds", Gauge, "Longest freshness lag of an integration that is not paused."),
    ("syncd_freshness_lag_seconds", Gauge, "Freshness lag of the integrations that are furthest behind."),
    ("syncd_integration_held", Gauge, "1 while a person's pause keeps the integration from being fetched."),
    ("syncd_watermark_age_max_seconds", Gauge, "Age of the oldest watermark of an integration that is not paused."),
    ("syncd_watermark_age_seconds", Gauge, "Age of an endpoint's watermark, for the same integrations."),
    ("syncd_endpoints", Gauge, "Endpoints of all integrations by state."),
    ("syncd_queue_depth", Gauge, "Queued and running fetches."),
    ("syncd_queue_oldest_seconds", Gauge, "How long the oldest fetch has been due that nobody works on."),
    ("syncd_quarantined_records", Gauge, "Records in quarantine."),
];

/// Installs the recorder of the process.
pub(super) fn install() -> anyhow::Result<PrometheusHandle> {
    let mut builder = PrometheusBuilder::new();
    for (name, kind, _) in METRICS {
        if let Histogram(bounds) = kind {
            builder = builder.set_buckets_for_metric(Matcher::Full((*name).to_owned()), bounds)?;
        }
    }
    let handle = builder.install_recorder()?;
    for (name, kind, help) in METRICS {
        match kind {
            Counter => describe_counter!(*name, *help),
            Gauge => describe_gauge!(*name, *help),
            Histogram(_) => describe_histogram!(*name, *help),
        }
    }
    gauge!("syncd_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    crate::stderr::describe();
    Ok(handle)
}

/// Returns the meaning of a metric, for its `# HELP` line.
pub(super) fn help(name: &str) -> &'static str {
    METRICS.iter().find(|(known, ..)| *known == name).map_or("", |(.., help)| help)
}
