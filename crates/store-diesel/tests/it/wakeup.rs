use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use sync_core::SyncError;
use sync_core::port::{Scope, Store as _, StoreError, Tx};
use sync_core::queue::{self, Claim};
use sync_core::types::{LeaseToken, RequestCause, SyncKind, Target};

/// A worker of another process hears of a request once it is committed, and of nothing that it knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_told() {
    let (store, _database) = crate::postgres::fresh().await;
    let store = Arc::new(store);
    let heard = Arc::new(AtomicUsize::new(0));
    let (told, mut tell) = tokio::sync::mpsc::unbounded_channel();
    let told = Mutex::new(told);
    let listening = tokio::spawn({
        let (store, heard) = (Arc::clone(&store), Arc::clone(&heard));
        async move {
            store
                .listen(move || {
                    heard.fetch_add(1, Ordering::SeqCst);
                    told.lock().unwrap_or_else(PoisonError::into_inner).send(()).unwrap_or_default();
                })
                .await
        }
    });
    tell.recv().await.unwrap(); // it listens
    let now: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
    let target = |name: &str| {
        let integration_id = IntegrationId::from(name);
        Target { integration_id, endpoint: Endpoint::Users, kind: SyncKind::Full }
    };
    let ask = async |name: &str| {
        let target = target(name);
        let unit = move |tx: &mut dyn Tx| queue::request(tx, target, RequestCause::Webhook, now, now);
        store.transact::<_, StoreError, _>(Scope::Shared, unit).await.unwrap()
    };
    ask("sandbox:a").await;
    tell.recv().await.unwrap();
    assert_eq!(heard.load(Ordering::SeqCst), 2);

    // It is asked for again while it waits, leased, and asked for again: workers know of it.
    assert_eq!(ask("sandbox:a").await.generation, 2);
    let claim = Claim { owner: "a".to_owned(), token: LeaseToken("1".to_owned()), ttl: Duration::from_secs(30) };
    let wanted = target("sandbox:a");
    let unit = move |tx: &mut dyn Tx| queue::lease_target(tx, &wanted, &claim, now);
    let lease = store.transact::<_, StoreError, _>(Scope::Shared, unit).await.unwrap().unwrap();
    assert_eq!(ask("sandbox:a").await.generation, 3);
    // What is told is told in its order, so this would be heard after what was told before.
    ask("sandbox:b").await;
    tell.recv().await.unwrap();
    assert_eq!(heard.load(Ordering::SeqCst), 3);

    // It is let go of, and then due earlier than it was.
    let later = now.saturating_add(Duration::from_secs(60));
    let unit = move |tx: &mut dyn Tx| queue::release(tx, &lease, later, false, now).map(drop);
    store.transact::<_, SyncError, _>(Scope::Shared, unit).await.unwrap();
    tell.recv().await.unwrap();
    ask("sandbox:a").await;
    tell.recv().await.unwrap();
    assert_eq!(heard.load(Ordering::SeqCst), 5);
    listening.abort();
}
