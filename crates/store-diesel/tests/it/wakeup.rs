use std::sync::Arc;
use std::time::Duration;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use store_diesel::{DieselStore, Notification};
use sync_core::SyncError;
use sync_core::changes::Change;
use sync_core::jobs::queue::{self, Claim};
use sync_core::jobs::{LeaseToken, RequestCause, SyncKind, Target};
use sync_core::ports::{Scope, Store as _, StoreError, Tx};
use sync_core::pull::RunId;
use sync_core::rows::Model;
use sync_core::rows::{ChangeCause, ChangeKind};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

/// Listens, and returns the notifications.
fn listen(store: &Arc<DieselStore>) -> (JoinHandle<()>, UnboundedReceiver<Notification>) {
    let (told, heard) = tokio::sync::mpsc::unbounded_channel();
    let store = Arc::clone(store);
    let listening = tokio::spawn(async move {
        // Listening ends when the receiver is dropped.
        drop(store.listen(move |news| told.send(news).unwrap_or_default()).await);
    });
    (listening, heard)
}

/// A worker of another process is notified of a request once it is committed, but not of requests that workers already
/// expect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_reported() {
    let (store, _database) = crate::postgres::fresh().await;
    let store = Arc::new(store);
    let (listening, mut heard) = listen(&store);
    assert_eq!(heard.recv().await, Some(Notification::Request), "it listens");
    assert_eq!(heard.recv().await, Some(Notification::Change));
    let now: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
    let target = |name: &str| {
        let integration_id = IntegrationId::from(name);
        Target { integration_id, endpoint: Endpoint::LmsUsers, kind: SyncKind::Full }
    };
    let ask = async |name: &str| {
        let target = target(name);
        let transaction = move |tx: &mut dyn Tx| queue::request(tx, target, RequestCause::Webhook, now, now);
        store.transact::<_, StoreError, _>(Scope::Shared, transaction).await.unwrap()
    };
    ask("sandbox:a").await;
    assert_eq!(heard.recv().await, Some(Notification::Request));

    // A request that is due later sends no notification.
    let waits = target("sandbox:later");
    let transaction = move |tx: &mut dyn Tx| queue::request(tx, waits, RequestCause::CatchUp, Timestamp::MAX, now);
    store.transact::<_, StoreError, _>(Scope::Shared, transaction).await.unwrap();

    // A request that is requested again while it waits or is leased sends no notification.
    assert_eq!(ask("sandbox:a").await.generation, 2);
    let claim = Claim {
        owner: "a".to_owned(),
        token: LeaseToken("1".to_owned()),
        ttl: Duration::from_secs(30),
        longest_wait: Duration::from_secs(3_600),
    };
    let wanted = target("sandbox:a");
    let transaction = move |tx: &mut dyn Tx| queue::lease_target(tx, &wanted, &claim, now);
    let lease = store.transact::<_, StoreError, _>(Scope::Shared, transaction).await.unwrap().unwrap();
    assert_eq!(ask("sandbox:a").await.generation, 3);
    // Notifications arrive in order, so this one would come after any earlier one.
    ask("sandbox:b").await;
    assert_eq!(heard.recv().await, Some(Notification::Request));
    assert!(heard.try_recv().is_err());

    // It is released, and then becomes due earlier.
    let later = now.saturating_add(Duration::from_secs(60));
    let transaction = move |tx: &mut dyn Tx| queue::release(tx, &lease, later, false, now).map(drop);
    store.transact::<_, SyncError, _>(Scope::Shared, transaction).await.unwrap();
    assert_eq!(heard.recv().await, Some(Notification::Request));
    ask("sandbox:a").await;
    assert_eq!(heard.recv().await, Some(Notification::Request));
    assert!(heard.try_recv().is_err());
    listening.abort();
}

/// A follower of the change log is notified once for each transaction, when its entries can be read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_reported_once_for_each_transaction() {
    let (store, _database) = crate::postgres::fresh().await;
    let store = Arc::new(store);
    let (listening, mut heard) = listen(&store);
    assert_eq!(heard.recv().await, Some(Notification::Request), "it listens");
    assert_eq!(heard.recv().await, Some(Notification::Change));
    for transactions in 1..=3_usize {
        store
            .transact(Scope::Shared, move |tx| {
                // More than fits into one statement, and in two appends.
                tx.append_changes(&vec![change(); 6_000])?;
                tx.append_changes(&[change()])
            })
            .await
            .unwrap();
        assert_eq!(heard.recv().await, Some(Notification::Change));
        let found = store.read(|tx| tx.changes(None, 0, 100_000)).await.unwrap();
        assert_eq!(found.len(), transactions * 6_001);
    }
    let undone = store.transact(Scope::Shared, |tx| {
        tx.append_changes(&[change()])?;
        Err::<(), _>(StoreError::Refused { message: "on purpose".to_owned() })
    });
    undone.await.unwrap_err();
    assert!(heard.try_recv().is_err());
    listening.abort();
}

fn change() -> Change {
    Change {
        seq: 0,
        integration_id: IntegrationId::from("sandbox:a"),
        model: Model::LmsUsers,
        record_id: "u".to_owned(),
        kind: ChangeKind::Updated,
        cause: ChangeCause::Direct,
        fields: serde_json::json!(["status"]),
        run_id: RunId(1),
        at: "2026-01-01T00:00:00.000Z".parse().unwrap(),
    }
}
