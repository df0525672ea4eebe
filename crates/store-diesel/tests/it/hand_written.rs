//! Values that only a person can have written.

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use store_diesel::{DieselStore, StoreUrl};
use sync_core::ports::{QuarantinePart, Scope, Store as _, StoreError};

use crate::postgres::fresh;

/// A position above all numbers, written by hand.
const WILD: &str = "INSERT INTO sync_delivery_start (id, seq) VALUES (1, 4611686018427387905)";

/// Quarantined records, one of them of an unknown endpoint.
const OF_NO_ENDPOINT: &str = "INSERT INTO sync_quarantine \
    (integration_id, endpoint, record_id, json, path, reason, observed_at, run_id) VALUES \
    ('a', 'quizzes', 'q', '{}', '.', 'by hand', TIME, 1), ('a', 'lms/users', 'u', '{}', '.', 'by hand', TIME, 1)";

async fn the_others_are_read(store: &DieselStore) {
    let records = store.read(|tx| tx.quarantined(QuarantinePart::All, usize::MAX)).await;
    assert_eq!(records.unwrap_or_else(|error: StoreError| panic!("{error:?}")).len(), 1);
}

async fn counting_goes_on(store: &DieselStore) {
    store.migrate().await.unwrap();
    assert_eq!(store.lost_counters().await.unwrap(), [""; 0], "it is no number that was handed out");
}

async fn the_next_number_is_low(store: &DieselStore) {
    let last = store.transact(Scope::Shared, |tx| tx.last_change()).await;
    assert!((1..1_000).contains(&last.unwrap_or_else(|error: StoreError| panic!("{error}"))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_goes_on() {
    let (store, database) = fresh().await;
    let execute = |sql: &str| tokio::task::block_in_place(|| database.execute(sql).unwrap());
    execute(&format!("SET search_path TO kombo; {WILD}"));
    counting_goes_on(&store).await;
    execute(&format!("SET search_path TO kombo; {}", OF_NO_ENDPOINT.replace("TIME", "now()")));
    the_others_are_read(&store).await;
    execute(
        "INSERT INTO kombo.sync_changes (integration_id, model, record_id, kind, cause, fields, run_id, at) \
             VALUES ('a', 'lms_users', 'u', 'created', 'poll', '{}', 1, now())",
    );
    the_next_number_is_low(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mirror.db");
    let store = DieselStore::open(&StoreUrl::Sqlite(path.clone())).await.unwrap();
    store.migrate().await.unwrap();
    let execute = |sql: &str| diesel::SqliteConnection::establish(&path.to_string_lossy()).unwrap().batch_execute(sql);
    execute(WILD).unwrap();
    counting_goes_on(&store).await;
    execute(&OF_NO_ENDPOINT.replace("TIME", "'2026-01-01T00:00:00.000Z'")).unwrap();
    the_others_are_read(&store).await;
    execute(
        "INSERT INTO sync_changes (integration_id, model, record_id, kind, cause, fields, run_id, at) \
             VALUES ('a', 'lms_users', 'u', 'created', 'poll', '{}', 1, '2026-01-01T00:00:00.000Z')",
    )
    .unwrap();
    the_next_number_is_low(&store).await;
}
