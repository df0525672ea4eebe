//! What deliveries, the schedule and a start cost PostgreSQL, counted by the server, for small and large fleets.

use std::time::Duration;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use store_diesel::DieselStore;
use sync_core::changes::Change;
use sync_core::horizon::Horizon;
use sync_core::jobs::dispatch::{self, SchedulePolicy};
use sync_core::jobs::queue::{self, Claim};
use sync_core::jobs::{LeaseToken, QueuedRequest};
use sync_core::outbox::{self, DeliveryId};
use sync_core::ports::{Scope, Store as _, StoreError, Tx};
use sync_core::pull::RunId;
use sync_core::rows::{ChangeCause, ChangeKind, Model};
use sync_testkit::postgres::PrivatePostgres;

use crate::costs::{Cost, cost, counting_server};

/// `$` integrations that are loaded. Everything of theirs is delivered, but for half of them, which wait after a failure.
const FLEET: &str = "
INSERT INTO kombo.sync_integrations (id, status, status_since, registered_at, next_look_at)
SELECT 'sandbox:' || i, 'active', '2026-01-01', '2026-01-01', '2026-01-01 05:00' FROM generate_series(1, $) AS i;
INSERT INTO kombo.sync_watermarks (integration_id, endpoint, loaded_at, last_full_at, next_full_at, status)
SELECT 'sandbox:' || i, endpoint, '2026-01-01', '2026-01-01', '2026-01-08', 'ok' FROM generate_series(1, $) AS i,
    (VALUES ('lms/users'), ('lms/courses'), ('lms/course-progressions')) AS endpoints (endpoint);
INSERT INTO kombo.sync_delivery_start (id, seq) VALUES (1, 0);
INSERT INTO kombo.sync_changes (integration_id, model, record_id, kind, cause, fields, run_id, at)
SELECT 'sandbox:' || i, 'lms_users', 'u', 'updated', 'direct', '[]', 1, '2026-01-01' FROM generate_series(1, $) AS i;
INSERT INTO kombo.sync_deliveries (integration_id, delivered_seq, not_before, is_pending, parcel_id, parcel_first_seq,
    parcel_last_seq, parcel_entries, parcel_first_tried_at, parcel_attempts)
SELECT integration_id, CASE WHEN fails THEN 0 ELSE seq END, CASE WHEN fails THEN '2026-01-01 00:15'::timestamptz
           ELSE '2026-01-01' END, fails, CASE WHEN fails THEN 'parcel' END, CASE WHEN fails THEN seq END,
       CASE WHEN fails THEN seq END, CASE WHEN fails THEN 1 END, CASE WHEN fails THEN '2026-01-01'::timestamptz END,
       CASE WHEN fails THEN 3 END
FROM (SELECT integration_id, seq, seq % 2 = 0 AS fails FROM kombo.sync_changes) AS entries;
";

fn now() -> Timestamp {
    "2026-01-01T00:10:00.000Z".parse().unwrap()
}

fn claim() -> Claim {
    Claim {
        owner: "dispatcher".to_owned(),
        token: LeaseToken("token".to_owned()),
        ttl: Duration::from_secs(30),
        longest_wait: Duration::from_secs(86_400),
    }
}

async fn transact<T: Send + 'static>(
    store: &DieselStore,
    transaction: impl FnOnce(&mut dyn Tx) -> Result<T, StoreError> + Send + 'static,
) -> T {
    store.transact(Scope::Shared, transaction).await.unwrap()
}

async fn is_due(store: &DieselStore) -> bool {
    let horizon: Horizon = claim().horizon(now());
    store.read(move |tx| outbox::is_due(tx, &horizon)).await.unwrap()
}

/// Appends an entry of an integration, and delivers it.
async fn deliver(store: &DieselStore, integration: &str) {
    let change = Change {
        seq: 0,
        integration_id: IntegrationId::from(integration),
        model: Model::LmsUsers,
        record_id: "u".to_owned(),
        kind: ChangeKind::Updated,
        cause: ChangeCause::Direct,
        fields: serde_json::json!([]),
        run_id: RunId(1),
        at: now(),
    };
    transact(store, move |tx| tx.append_changes(&[change])).await;
    assert!(is_due(store).await);
    let fresh = DeliveryId("fresh".to_owned());
    let sending = transact(store, move |tx| outbox::take_next(tx, &claim(), &fresh, 100, now())).await.unwrap();
    assert_eq!(sending.integration_id.as_str(), integration);
    let done = move |tx: &mut dyn Tx| outbox::delivered(tx, &sending, now());
    store.transact(Scope::Shared, done).await.unwrap();
}

async fn at_size<W: AsyncFnOnce(&DieselStore)>(
    server: &PrivatePostgres,
    integrations: u32,
    warm_up: impl AsyncFnOnce(&DieselStore),
    work: W,
) -> Cost {
    cost(server, &FLEET.replace('$', &integrations.to_string()), warm_up, work).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_and_the_schedule_cost_the_same_for_a_hundred_and_for_ten_thousand_integrations() {
    let server = counting_server().await;
    let warm_up = async |store: &DieselStore| assert!(!is_due(store).await);
    let idle = async |store: &DieselStore| {
        for _ in 0..10 {
            assert!(!is_due(store).await);
        }
    };
    let small = at_size(&server, 100, warm_up, idle).await;
    small.assert_flat(&at_size(&server, 10_000, warm_up, idle).await, "ten looks for due deliveries");

    let deliveries = async |store: &DieselStore| {
        for integration in ["sandbox:1", "sandbox:31", "sandbox:71"] {
            deliver(store, integration).await;
        }
        assert!(!is_due(store).await);
    };
    let small = at_size(&server, 100, warm_up, deliveries).await;
    small.assert_flat(&at_size(&server, 10_000, warm_up, deliveries).await, "three deliveries");

    let schedule = async |store: &DieselStore| {
        for _ in 0..10 {
            let policy = SchedulePolicy {
                endpoints: [Endpoint::LmsUsers, Endpoint::LmsCourses, Endpoint::LmsCourseProgressions].into(),
                poll_every: Some(Duration::from_secs(6 * 3_600)),
                full_every: Duration::from_secs(7 * 86_400),
                look_at_paused_every: Duration::from_secs(3_600),
            };
            assert_eq!(transact(store, move |tx| dispatch::schedule(tx, &policy, now())).await.requests, 0);
        }
    };
    let none = async |_: &DieselStore| {};
    let small = at_size(&server, 100, none, schedule).await;
    small.assert_flat(&at_size(&server, 10_000, none, schedule).await, "ten looks of the schedule");
}

/// The rows are linear in the fleet; statements are not one for each of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_takes_few_statements_for_ten_thousand_integrations() {
    let server = counting_server().await;
    let start = async |store: &DieselStore| {
        let requests = transact(store, |tx| {
            outbox::begin(tx, now())?;
            let known = tx.integrations()?.into_iter().map(|known| (known.id, known.category)).collect();
            dispatch::register(tx, &known, now())?;
            dispatch::retry_failed(tx, now())?;
            queue::release_abandoned(tx, |_| true)?;
            let endpoints = Endpoint::LMS.into();
            let requests = dispatch::catch_up(tx, &endpoints, None, now())?;
            // As after another start soon after.
            assert_eq!(dispatch::catch_up(tx, &endpoints, None, now())?, requests);
            outbox::release_abandoned(tx, |_| true)?;
            Ok(requests)
        })
        .await;
        assert_eq!(requests, 30_000);
        let queued: Vec<QueuedRequest> = transact(store, |tx| tx.requests()).await;
        assert_eq!(queued.len(), 30_000);
    };
    let cost = at_size(&server, 10_000, async |_: &DieselStore| {}, start).await;
    eprintln!("a start: {cost:?}");
    assert!(cost.statements < 60, "{cost:?}");
}
