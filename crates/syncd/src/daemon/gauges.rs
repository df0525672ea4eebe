//! Gauges that are read from the store for scrapes: queue, freshness, states, deliveries.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use metrics::gauge;
use store_diesel::DieselStore;
use sync_core::jobs::{
    EndpointState, EndpointStatus, IntegrationRecord, IntegrationStatus, QueuedRequest, RequestCause,
};
use sync_core::ports::{Clock as _, QuarantinePart, Store as _, StoreError};

use super::last_read::LastRead;
use super::series::Series;
use crate::clock::SystemClock;

/// Thresholds of `syncd_integrations_behind`.
const BEHIND: &[(&str, u64)] = &[("1m", 60), ("10m", 600), ("1h", 3_600), ("6h", 21_600), ("1d", 86_400)];

/// Data of one scrape.
struct Snapshot {
    integrations: Vec<IntegrationRecord>,
    requests: Vec<QueuedRequest>,
    endpoints: Vec<EndpointState>,
    quarantined: u64,
    /// The integrations with webhooks that are not planned yet, and when the oldest of each was received.
    unplanned: Vec<(IntegrationId, Timestamp)>,
}

/// Maximum number of integrations with unplanned webhooks that a scrape reads.
const MOST_UNPLANNED: usize = 10_000;

/// Lag of one integration.
struct Lag<'a> {
    integration: &'a IntegrationRecord,
    freshness: Duration,
    /// One entry for each loaded endpoint.
    watermark_ages: Vec<(Endpoint, Duration)>,
}

impl Lag<'_> {
    fn oldest(&self) -> Duration {
        self.watermark_ages.iter().map(|(_, age)| *age).max().unwrap_or_default()
    }

    fn is_paused(&self) -> bool {
        self.integration.status == IntegrationStatus::Held
    }
}

/// The gauges of the store.
pub(super) struct Gauges {
    /// Number of integrations with their own series.
    most: usize,
    delivers: bool,
    /// The series of the integrations that are furthest behind. They are rendered, so that no series of a deleted
    /// integration remains.
    worst: LastRead<String>,
}

impl Gauges {
    pub(super) fn new(most: usize, delivers: bool) -> Self {
        Self { most, delivers, worst: LastRead::default() }
    }

    /// Sets the gauges, and returns the series of the integrations that are furthest behind. Rows of the whole fleet are
    /// read, so recent results are reused.
    pub(super) async fn update(&self, store: &DieselStore) -> String {
        let pool = store.load();
        for (state, number) in [("idle", pool.idle), ("busy", pool.open.saturating_sub(pool.idle))] {
            gauge!("syncd_database_connections", "state" => state).set(count(number));
        }
        gauge!("syncd_database_waiting").set(count(pool.waiting));
        let answers = async { store.read(|tx| tx.delivery_start()).await.is_ok() };
        let read = async {
            let worst = state(store, self.most).await?;
            if self.delivers {
                deliveries(store).await?;
            }
            Some(worst)
        };
        let worst = self.worst.get(answers, read).await;
        gauge!("syncd_database_up").set(if worst.is_some() { 1.0 } else { 0.0 });
        worst.unwrap_or_default()
    }
}

/// Sets the gauges of fetches, and returns the series of the `most` integrations that are furthest behind.
async fn state(store: &DieselStore, most: usize) -> Option<String> {
    let read = store.read(|tx| {
        Ok::<_, StoreError>(Snapshot {
            integrations: tx.integrations()?,
            requests: tx.requests()?,
            endpoints: tx.endpoints(None)?,
            quarantined: tx.quarantine_size(QuarantinePart::All)?,
            unplanned: tx.integrations_with_pending_webhooks(MOST_UNPLANNED)?,
        })
    });
    let snapshot = read.await.ok()?;
    let now = SystemClock.now();
    queue(&snapshot, now);
    states(&snapshot);
    let mut lags = lags(&snapshot, now);
    bounds(&lags);
    lags.sort_by_key(|lag| (Reverse(lag.freshness), Reverse(lag.oldest()), lag.integration.id.clone()));
    lags.truncate(most);
    Some(worst(&lags))
}

fn queue(snapshot: &Snapshot, now: Timestamp) {
    let statuses = statuses(snapshot);
    let is_paused = |id: &IntegrationId| statuses.get(id) == Some(&IntegrationStatus::Held);
    // Requests that wait for a retry or for their due time are not late.
    let due = snapshot.requests.iter().filter(|request| request.lease.is_none() && request.not_before <= now);
    let due = due.filter(|request| !is_paused(&request.target.integration_id));
    let oldest = due.map(|request| now.since(request.requested_at.max(request.not_before))).max();
    gauge!("syncd_queue_depth").set(count(snapshot.requests.len()));
    gauge!("syncd_queue_oldest_seconds").set(oldest.unwrap_or_default().as_secs_f64());
    let unplanned = snapshot.unplanned.iter().map(|(_, received_at)| now.since(*received_at)).max();
    gauge!("syncd_webhooks_unplanned_seconds").set(unplanned.unwrap_or_default().as_secs_f64());
    gauge!("syncd_quarantined_records").set(float(snapshot.quarantined));
}

fn states(snapshot: &Snapshot) {
    for status in IntegrationStatus::ALL {
        let number = snapshot.integrations.iter().filter(|integration| integration.status == *status).count();
        gauge!("syncd_integrations", "state" => status.as_str()).set(count(number));
    }
    let statuses = statuses(snapshot);
    let mut states: BTreeMap<&'static str, usize> =
        EndpointStatus::ALL.iter().map(|status| (status.as_str(), 0)).collect();
    for endpoint in &snapshot.endpoints {
        if statuses.get(&endpoint.integration_id) != Some(&IntegrationStatus::Deleted) {
            *states.entry(endpoint.status.as_str()).or_default() += 1;
        }
    }
    for (status, number) in states {
        gauge!("syncd_endpoints", "state" => status).set(count(number));
    }
}

/// One entry for each integration that is not deleted.
fn lags(snapshot: &Snapshot, now: Timestamp) -> Vec<Lag<'_>> {
    let mut watermarks: BTreeMap<&IntegrationId, BTreeMap<Endpoint, Timestamp>> = BTreeMap::new();
    for state in &snapshot.endpoints {
        if let Some(watermark) = state.watermark {
            watermarks.entry(&state.integration_id).or_default().insert(state.endpoint, watermark);
        }
    }
    let mut freshness: BTreeMap<&IntegrationId, Duration> = BTreeMap::new();
    for request in &snapshot.requests {
        let id = &request.target.integration_id;
        let watermark = watermarks.get(id).and_then(|of| of.get(&request.target.endpoint)).copied();
        let lag = freshness.entry(id).or_default();
        *lag = (*lag).max(now.since(behind_since(request, watermark)));
    }
    for (id, received_at) in &snapshot.unplanned {
        let lag = freshness.entry(id).or_default();
        *lag = (*lag).max(now.since(*received_at));
    }
    let kept = snapshot.integrations.iter().filter(|integration| integration.status != IntegrationStatus::Deleted);
    kept.map(|integration| {
        let watermarks = watermarks.remove(&integration.id).unwrap_or_default().into_iter();
        let watermark_ages = watermarks.map(|(endpoint, watermark)| (endpoint, now.since(watermark))).collect();
        Lag { integration, freshness: freshness.get(&integration.id).copied().unwrap_or_default(), watermark_ages }
    })
    .collect()
}

/// The time since which there may be changes that the requested fetch has not stored.
fn behind_since(request: &QueuedRequest, watermark: Option<Timestamp>) -> Timestamp {
    match request.cause {
        // Everything since the last fetch may have been missed.
        RequestCause::CatchUp => watermark.map_or(request.requested_at, |it| it.min(request.requested_at)),
        RequestCause::Command
        | RequestCause::Webhook
        | RequestCause::Load
        | RequestCause::Schedule
        | RequestCause::Poll => request.requested_at,
    }
}

/// Aggregates over the integrations that no person paused.
fn bounds(lags: &[Lag<'_>]) {
    let active = || lags.iter().filter(|lag| !lag.is_paused());
    let longest = active().map(|lag| lag.freshness).max().unwrap_or_default();
    let oldest = active().map(Lag::oldest).max().unwrap_or_default();
    gauge!("syncd_freshness_lag_max_seconds").set(longest.as_secs_f64());
    gauge!("syncd_watermark_age_max_seconds").set(oldest.as_secs_f64());
    for (bound, seconds) in BEHIND {
        let number = active().filter(|lag| lag.freshness > Duration::from_secs(*seconds)).count();
        gauge!("syncd_integrations_behind", "longer_than" => *bound).set(count(number));
    }
}

fn worst(lags: &[Lag<'_>]) -> String {
    let mut series = Series::default();
    for lag in lags {
        let integration = ("integration", lag.integration.id.as_str());
        series.add("syncd_freshness_lag_seconds", &[integration], lag.freshness.as_secs_f64());
        series.add("syncd_integration_held", &[integration], if lag.is_paused() { 1.0 } else { 0.0 });
        for (endpoint, age) in &lag.watermark_ages {
            let labels = [integration, ("endpoint", endpoint.as_str())];
            series.add("syncd_watermark_age_seconds", &labels, age.as_secs_f64());
        }
    }
    series.render()
}

fn statuses(snapshot: &Snapshot) -> BTreeMap<&IntegrationId, IntegrationStatus> {
    snapshot.integrations.iter().map(|integration| (&integration.id, integration.status)).collect()
}

/// Sets the gauges of deliveries.
async fn deliveries(store: &DieselStore) -> Option<()> {
    let read = store.read(|tx| Ok::<_, StoreError>((tx.undelivered()?, tx.dead_letters(None)?, tx.deliveries()?)));
    let (backlogs, letters, deliveries) = read.await.ok()?;
    let now = SystemClock.now();
    let entries = backlogs.iter().map(|backlog| backlog.entries).sum();
    let oldest = backlogs.iter().map(|backlog| now.since(backlog.oldest_at)).max().unwrap_or_default();
    gauge!("syncd_delivery_lag").set(float(entries));
    gauge!("syncd_delivery_lag_seconds").set(oldest.as_secs_f64());
    gauge!("syncd_dead_letters").set(count(letters.len()));
    let failing = deliveries.iter().filter(|delivery| delivery.batch.as_ref().is_some_and(|batch| batch.attempts > 0));
    gauge!("syncd_deliveries_failing").set(count(failing.count()));
    Some(())
}

fn count(number: usize) -> f64 {
    float(u64::try_from(number).unwrap_or(u64::MAX))
}

/// Prometheus has floating-point numbers only. Counts beyond 2^32 are cut off there.
pub(super) fn float(number: u64) -> f64 {
    u32::try_from(number).map_or(f64::from(u32::MAX), f64::from)
}
