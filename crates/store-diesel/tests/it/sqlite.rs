use store_diesel::SqliteStore;
use sync_testkit::conformance_suite;
use tempfile::TempDir;

async fn fresh() -> (SqliteStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("mirror.db")).await.unwrap();
    store.migrate().await.unwrap();
    (store, folder)
}

conformance_suite!(fresh);
