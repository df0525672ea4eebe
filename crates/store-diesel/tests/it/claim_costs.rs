//! Costs of a claim in PostgreSQL, counted by the server: they do not depend on the number of integrations and
//! requests.

use std::time::Duration;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use store_diesel::DieselStore;
use sync_core::SyncError;
use sync_core::jobs::queue::{self, Claim};
use sync_core::jobs::{Eligible, LeaseToken, SyncKind};
use sync_core::ports::{Scope, Store as _, Tx};
use sync_testkit::postgres::{Options, PrivatePostgres};
use tokio_postgres::{Client, NoTls};

/// `$1` integrations with a request for each endpoint. A tenth are paused, a fifth have failed, most others wait, and a
/// few are leased.
const FLEET: &str = "
INSERT INTO kombo.sync_integrations (id, status, status_since, registered_at)
SELECT 'sandbox:' || i, CASE i % 10 WHEN 3 THEN 'held' ELSE 'active' END, now(), now() FROM generate_series(1, $) AS i;
INSERT INTO kombo.sync_requests (integration_id, endpoint, kind, cause, requested_at, not_before, generation, attempts)
SELECT 'sandbox:' || i, endpoint, kind, 'poll', '2026-01-01', '2026-01-01'::timestamptz
           + CASE WHEN i % 3 = 0 OR i <= 40 THEN i * interval '1 ms' ELSE interval '30 minutes' END,
       1, CASE WHEN i % 5 = 0 THEN 3 ELSE 0 END
FROM generate_series(1, $) AS i, (VALUES ('users', 'delta'), ('courses', 'delta'), ('course-progressions', 'full'))
    AS targets (endpoint, kind);
UPDATE kombo.sync_requests SET lease_token = integration_id, lease_owner = 'w', lease_expires_at = '2026-01-01 00:10:30',
    lease_generation = 1 WHERE integration_id IN ('sandbox:1', 'sandbox:2', 'sandbox:4', 'sandbox:6') AND endpoint = 'users';
";

/// Work that the server did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    statements: i64,
    blocks: i64,
    rows: i64,
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn number(client: &Client, query: &str) -> i64 {
    client.query_one(query, &[]).await.unwrap().get(0)
}

/// Makes `claims` claims one after the other, and returns their total cost.
///
/// The session planned its statements, and statistics were gathered, while the queue was empty.
async fn claims(server: &PrivatePostgres, integrations: u32, claims: usize) -> Cost {
    let url = server.create_database("fleet").unwrap();
    let address = url.parse().unwrap();
    DieselStore::open(&address).await.unwrap().migrate().await.unwrap();
    let client = connect(&url).await;
    client.batch_execute("CREATE EXTENSION pg_stat_statements").await.unwrap();
    client.batch_execute("VACUUM ANALYZE").await.unwrap();
    let store = DieselStore::open_with(&address, 1).await.unwrap();
    let now: Timestamp = "2026-01-01T00:10:00.000Z".parse().unwrap();
    let eligible = Eligible {
        retries: false,
        at_share: [(SyncKind::Delta, IntegrationId::from("sandbox:7"))].into(),
        ..Eligible::all(Endpoint::ALL.into())
    };
    let lease = async |number: usize| {
        let claim = Claim {
            owner: "worker".to_owned(),
            token: LeaseToken(number.to_string()),
            ttl: Duration::from_secs(30),
            longest_wait: Duration::from_secs(3_600),
        };
        let eligible = eligible.clone();
        let unit = move |tx: &mut dyn Tx| queue::lease_next(tx, &claim, &eligible, now).map_err(SyncError::from);
        store.transact(Scope::Shared, unit).await.unwrap()
    };
    assert!(lease(0).await.is_none());
    client.batch_execute(&FLEET.replace('$', &integrations.to_string())).await.unwrap();
    client.batch_execute("SELECT pg_stat_statements_reset(), pg_stat_reset()").await.unwrap();
    for number in 1..=claims {
        assert!(lease(number).await.is_some(), "claim {number}");
    }
    drop(store);
    // The counts of a session are complete only after its end.
    let sessions =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    while number(&client, sessions).await > 0 {
        tokio::task::yield_now().await;
    }
    let of = |sum: &str| {
        format!(
            "SELECT ({sum})::bigint FROM pg_stat_statements JOIN pg_database AS d ON d.oid = dbid \
             WHERE datname = current_database() AND query ~ 'sync_'"
        )
    };
    let rows = "SELECT sum(seq_tup_read + idx_tup_fetch)::bigint FROM pg_stat_user_tables WHERE relname ~ '^sync_'";
    Cost {
        statements: number(&client, &of("sum(calls)")).await,
        blocks: number(&client, &of("sum(shared_blks_hit + shared_blks_read)")).await,
        rows: number(&client, rows).await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_costs_the_same_for_a_hundred_and_for_ten_thousand_integrations() {
    const CLAIMS: usize = 8;
    let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let settings = vec![setting("shared_preload_libraries", "pg_stat_statements"), setting("autovacuum", "off")];
    let options = Options { settings, ..Options::default() };
    let server = tokio::task::spawn_blocking(|| PrivatePostgres::start_with(options).unwrap()).await.unwrap();
    let small = claims(&server, 100, CLAIMS).await;
    let large = claims(&server, 10_000, CLAIMS).await;
    eprintln!("{CLAIMS} claims: {small:?} of 100 integrations, {large:?} of 10,000");
    assert_eq!(small.statements, large.statements);
    assert!(large.rows * 10 <= small.rows * 13, "{small:?}, {large:?}");
    assert!(large.blocks * 10 <= small.blocks * 15, "{small:?}, {large:?}");
}
