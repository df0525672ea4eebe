use kombo_model::Timestamp;
use store_diesel::SqliteStore;
use sync_core::ports::{Scope, Store as _, StoreError, Tx};
use sync_core::webhooks::WebhookRecord;
use sync_testkit::conformance_suite;
use tempfile::TempDir;

async fn fresh() -> (SqliteStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("mirror.db")).await.unwrap();
    store.migrate().await.unwrap();
    (store, folder)
}

conformance_suite!(fresh);

fn webhook(number: i64) -> WebhookRecord {
    WebhookRecord {
        id: number.to_string(),
        kind: "data-changed".to_owned(),
        integration_id: None,
        received_at: Timestamp::MAX,
        models: Vec::new(),
        result: "planned".to_owned(),
    }
}

/// Transactions share a commit. A panic in one affects no other, and the thread continues.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_panics_takes_no_other_with_it() {
    let (store, _folder) = fresh().await;
    let transactions = (0..30).map(|number: i64| {
        let store = store.clone();
        tokio::spawn(async move {
            let transaction = move |tx: &mut dyn Tx| {
                assert_eq!(tx.insert_webhooks(&[webhook(number)])?, [true]);
                assert!(number % 5 != 0, "transaction {number} panics");
                Ok::<_, StoreError>(number)
            };
            store.transact(Scope::Shared, transaction).await
        })
    });
    let mut stored = 0;
    for (number, transaction) in transactions.collect::<Vec<_>>().into_iter().enumerate() {
        match transaction.await.unwrap() {
            Ok(_) => stored += 1,
            Err(error) => assert!(error.to_string().contains(&format!("transaction {number} panics")), "{error}"),
        }
    }
    assert_eq!(stored, 24);
    let there = store.transact(Scope::Shared, |tx| {
        let inserted = tx.insert_webhooks(&(0..30).map(webhook).collect::<Vec<_>>())?;
        Ok::<_, StoreError>(inserted.into_iter().filter(|inserted| !inserted).count())
    });
    assert_eq!(there.await.unwrap(), 24);
}

/// After the program has ended, a copy of the file is complete.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_dropped_leaves_the_file_alone() {
    let (store, folder) = fresh().await;
    store
        .transact(Scope::Shared, |tx| tx.insert_webhooks(&[webhook(1)]))
        .await
        .unwrap_or_else(|error: StoreError| panic!("{error}"));
    store.read(|tx| tx.last_change()).await.unwrap_or_else(|error: StoreError| panic!("{error}"));
    drop(store);
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["mirror.db"]);
}
