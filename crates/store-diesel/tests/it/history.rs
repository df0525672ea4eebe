//! The same end and the same log under both readings of `updated_after`, whatever happens at Kombo.
//!
//! `SYNC_HISTORIES` says how many histories there are, `SYNC_HISTORY_STEPS` how long they are, and `SYNC_HISTORY_SEED`
//! asks for the history of that seed alone.

use std::time::Instant;

use store_diesel::SqliteStore;
use sync_core::port::Store;
use sync_testkit::history::{Asked, check_all};

/// A person asks for more: see `cargo xtask histories`.
const USUAL: u64 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readings_agree_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("mirror.db")).await.unwrap();
    store.migrate().await.unwrap();
    // There is one writer, so histories side by side would wait for each other.
    check("SQLite", store, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readings_agree_on_postgres() {
    let (store, _database) = crate::postgres::fresh().await;
    check("PostgreSQL", store, 3).await;
}

async fn check(name: &str, store: impl Store, lanes: usize) {
    let (asked, began) = (Asked::or(USUAL), Instant::now());
    let size = check_all(store, &asked, lanes).await;
    let (histories, steps, took) = (asked.seeds.len(), asked.steps, began.elapsed().as_secs_f64());
    eprintln!("{name}: {histories} histories of {steps} steps in {took:.1} s: {size:?}");
    assert!(size.compared > 0, "nothing was compared");
}
