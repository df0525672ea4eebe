use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use sync_core::port::{Scope, Store as _, StoreError};
use sync_core::queue;
use sync_core::types::{RequestCause, SyncKind, Target};

/// A worker of another process hears of a request once it is committed.
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
    store
        .transact(Scope::Shared, move |tx| {
            let integration_id = IntegrationId::from("sandbox:a");
            let target = Target { integration_id, endpoint: Endpoint::Users, kind: SyncKind::Full };
            queue::request(tx, target, RequestCause::Webhook, now, now)?;
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
    tell.recv().await.unwrap();
    assert_eq!(heard.load(Ordering::SeqCst), 2);
    listening.abort();
}
