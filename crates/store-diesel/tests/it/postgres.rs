use store_diesel::{DieselStore, StoreUrl};
use sync_testkit::conformance_suite;
use sync_testkit::postgres::{TestDatabase, test_database};

pub(crate) async fn fresh() -> (DieselStore, TestDatabase) {
    let database = tokio::task::spawn_blocking(|| test_database().unwrap()).await.unwrap();
    let url: StoreUrl = database.url().parse().unwrap();
    let store = DieselStore::open(&url).await.unwrap();
    store.migrate().await.unwrap();
    (store, database)
}

conformance_suite!(fresh);
