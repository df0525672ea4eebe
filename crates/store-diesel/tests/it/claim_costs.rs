//! Costs of a claim in PostgreSQL, counted by the server: they do not depend on the number of integrations and
//! requests.

use std::time::Duration;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use store_diesel::DieselStore;
use sync_core::SyncError;
use sync_core::jobs::queue::{self, Claim};
use sync_core::jobs::{Eligible, LeaseToken, SyncKind};
use sync_core::ports::{Scope, Store as _, Tx};
use sync_testkit::postgres::PrivatePostgres;

use crate::costs::{Cost, cost, counting_server};

/// `$1` integrations with a request for each endpoint. A tenth are paused, a fifth have failed, most others wait, and a
/// few are leased.
const FLEET: &str = "
INSERT INTO kombo.sync_integrations (id, status, status_since, registered_at)
SELECT 'sandbox:' || i, CASE i % 10 WHEN 3 THEN 'held' ELSE 'active' END, now(), now() FROM generate_series(1, $) AS i;
INSERT INTO kombo.sync_requests (integration_id, endpoint, kind, cause, requested_at, not_before, generation, attempts)
SELECT 'sandbox:' || i, endpoint, kind, 'poll', '2026-01-01', '2026-01-01'::timestamptz
           + CASE WHEN i % 3 = 0 OR i <= 40 THEN i * interval '1 ms' ELSE interval '30 minutes' END,
       1, CASE WHEN i % 5 = 0 THEN 3 ELSE 0 END
FROM generate_series(1, $) AS i, (VALUES ('lms/users', 'delta'), ('lms/courses', 'delta'), ('lms/course-progressions', 'full'))
    AS targets (endpoint, kind);
UPDATE kombo.sync_requests SET lease_token = integration_id, lease_owner = 'w', lease_expires_at = '2026-01-01 00:10:30',
    lease_generation = 1 WHERE integration_id IN ('sandbox:1', 'sandbox:2', 'sandbox:4', 'sandbox:6') AND endpoint = 'lms/users';
";

/// Leases the next request; returns whether there is one.
async fn lease(store: &DieselStore, number: usize) -> bool {
    let now: Timestamp = "2026-01-01T00:10:00.000Z".parse().unwrap();
    let claim = Claim {
        owner: "worker".to_owned(),
        token: LeaseToken(number.to_string()),
        ttl: Duration::from_secs(30),
        longest_wait: Duration::from_secs(3_600),
    };
    let eligible = Eligible {
        retries: false,
        at_share: [(SyncKind::Delta, IntegrationId::from("sandbox:7"))].into(),
        ..Eligible::all(Endpoint::LMS.into())
    };
    let transaction = move |tx: &mut dyn Tx| queue::lease_next(tx, &claim, &eligible, now).map_err(SyncError::from);
    store.transact(Scope::Shared, transaction).await.unwrap().is_some()
}

/// Returns what `claims` claims cost, one after the other.
async fn claims(server: &PrivatePostgres, integrations: u32, claims: usize) -> Cost {
    let fleet = FLEET.replace('$', &integrations.to_string());
    let warm_up = async |store: &DieselStore| assert!(!lease(store, 0).await);
    cost(server, &fleet, warm_up, async |store| {
        for number in 1..=claims {
            assert!(lease(store, number).await, "claim {number}");
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_costs_the_same_for_a_hundred_and_for_ten_thousand_integrations() {
    const CLAIMS: usize = 8;
    let server = counting_server().await;
    let small = claims(&server, 100, CLAIMS).await;
    let large = claims(&server, 10_000, CLAIMS).await;
    small.assert_flat(&large, "eight claims");
}
