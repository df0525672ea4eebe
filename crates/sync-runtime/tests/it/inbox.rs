use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kombo_model::{Endpoint, IntegrationId, Webhook};
use serde_json::json;
use sync_core::jobs::IntegrationStatus;
use sync_core::ports::{Scope, Store, StoreError, Tx};
use sync_core::webhooks::planner::{PlanMode, PlanPolicy};
use sync_core::webhooks::{Intake, IntakePolicy, read};
use sync_runtime::inbox::{self, InboxHandle};
use sync_testkit::bench::id;
use sync_testkit::{ManualClock, MemoryStore};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

const HOUR: Duration = Duration::from_secs(3_600);

fn webhook(event: &str, kind: &str, integration: &str) -> Webhook {
    let data = json!({ "id": integration, "integration_id": integration, "tool": "sandbox",
        "integration_tool": "sandbox", "integration_category": "LMS", "category": "LMS",
        "changed_models": [{ "name": "lms_users" }], "deleted_at": "2026-01-01T00:00:00Z" });
    read(json!({ "id": event, "type": kind, "data": data }).to_string().as_bytes())
}

fn changed(event: &str) -> Webhook {
    webhook(event, "data-changed", "sandbox:a")
}

fn open<S: Store>(store: S) -> (InboxHandle, JoinHandle<()>) {
    let plan = PlanPolicy {
        endpoints: BTreeSet::from([Endpoint::Users]),
        mode: PlanMode::Planned,
        blind_full_min_interval: HOUR,
    };
    let policy = IntakePolicy { plan, accept_unknown: true, look_at_paused_every: HOUR };
    let (handle, inbox) = inbox::open(Arc::new(store), ManualClock::default(), policy, Arc::default());
    (handle, tokio::spawn(inbox.work()))
}

/// Passes webhooks to the inbox without waiting in between.
fn hand_in(
    handle: &InboxHandle,
    webhooks: impl IntoIterator<Item = Webhook>,
) -> JoinSet<Result<Intake, Arc<StoreError>>> {
    let hand_in = |webhook| {
        let handle = handle.clone();
        async move { handle.receive(webhook).await }
    };
    webhooks.into_iter().map(hand_in).collect()
}

fn is_stored(answer: &Result<Intake, Arc<StoreError>>) -> bool {
    matches!(answer, Ok(Intake::Stored(_)))
}

/// A memory store in which transactions in an integration's scope wait for a permit.
#[derive(Clone)]
struct Slow {
    store: MemoryStore,
    waits: Scope,
    came: Arc<Semaphore>,
    may: Arc<Semaphore>,
}

impl Slow {
    fn new(integration: &str) -> Self {
        let waits = Scope::Integration(IntegrationId::from(integration));
        let none = || Arc::new(Semaphore::new(0));
        Self { store: MemoryStore::new(), waits, came: none(), may: none() }
    }

    /// Returns when one more transaction waits.
    async fn a_unit_waits(&self) {
        self.came.acquire().await.unwrap().forget();
    }
}

impl Store for Slow {
    async fn transact<T, E, F>(&self, scope: Scope, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    {
        if scope == self.waits {
            self.came.add_permits(1);
            self.may.acquire().await.unwrap().forget();
        }
        self.store.transact(scope, work).await
    }

    async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    {
        self.store.read(work).await
    }
}

#[tokio::test]
async fn what_waits_is_stored_together() {
    let alone = MemoryStore::new();
    let (handle, _work) = open(alone.clone());
    assert!(is_stored(&handle.receive(changed("the only one")).await));

    let store = Slow::new("sandbox:a");
    let (handle, _work) = open(store.clone());
    let first = hand_in(&handle, [changed("first")]);
    store.a_unit_waits().await;
    let later = hand_in(&handle, (0..50).map(|number| changed(&number.to_string())));
    tokio::task::yield_now().await;
    store.may.add_permits(2);
    assert!(first.join_all().await.iter().all(is_stored));
    assert!(later.join_all().await.iter().all(is_stored));
    assert_eq!(store.store.webhooks().len(), 51);
    // They cost as much as one webhook: all arrived before the first transaction started.
    assert_eq!(store.store.statements(), alone.statements());
}

#[tokio::test]
async fn nobody_waits_for_the_units_of_another_integration() {
    let store = Slow::new("sandbox:a");
    let (handle, _work) = open(store.clone());
    let slow = hand_in(&handle, [changed("slow")]);
    store.a_unit_waits().await;
    assert!(is_stored(&handle.receive(webhook("other", "data-changed", "sandbox:b")).await));
    let names_nobody = read(json!({ "id": "noted", "type": "of-tomorrow", "data": {} }).to_string().as_bytes());
    assert!(is_stored(&handle.receive(names_nobody).await));
    assert_eq!(store.store.webhooks().len(), 2);
    store.may.add_permits(1);
    assert!(slow.join_all().await.iter().all(is_stored));
}

#[tokio::test]
async fn what_webhooks_say_takes_effect_in_their_order() {
    for (kinds, status) in [
        (["integration-created", "data-changed", "integration-deleted"], IntegrationStatus::Deleted),
        (["integration-deleted", "integration-created", "data-changed"], IntegrationStatus::Deleted),
    ] {
        let store = Slow::new("sandbox:a");
        let (handle, _work) = open(store.clone());
        let first = hand_in(&handle, [webhook("first", "integration-created", "sandbox:a")]);
        store.a_unit_waits().await;
        let mut later = JoinSet::new();
        for (number, kind) in kinds.into_iter().enumerate() {
            let (handle, webhook) = (handle.clone(), webhook(&number.to_string(), kind, "sandbox:a"));
            later.spawn(async move { handle.receive(webhook).await });
        }
        tokio::task::yield_now().await;
        store.may.add_permits(2);
        assert!(first.join_all().await.iter().chain(&later.join_all().await).all(is_stored));
        let known = store.store.look(|tx| tx.integration(&id())).unwrap().unwrap();
        assert_eq!(known.status, status);
        let results: Vec<String> = store.store.webhooks().into_iter().map(|webhook| webhook.result).collect();
        let ignored =
            results.iter().filter(|result| result.contains("was deleted") && result.contains("ignored")).count();
        assert_eq!(ignored, if kinds[0] == "integration-deleted" { 2 } else { 0 }, "{results:?}");
        assert_eq!(store.store.look(|tx| tx.requests()).unwrap(), []);
    }
}

#[tokio::test]
async fn one_that_is_refused_takes_no_other_with_it() {
    let store = MemoryStore::new();
    store.refuse_text("unspeakable");
    let (handle, _work) = open(store.clone());
    let answers = hand_in(&handle, ["a", "unspeakable", "b", "a"].map(changed)).join_all().await;
    let refused =
        answers.iter().filter(|answer| matches!(answer, Err(error) if matches!(**error, StoreError::Refused { .. })));
    assert_eq!(refused.count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| is_stored(answer)).count(), 2, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Ok(Intake::Repeated))).count(), 1, "{answers:?}");
    let stored: Vec<String> = store.webhooks().into_iter().map(|webhook| webhook.id).collect();
    assert_eq!(stored, ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_passing_failure_is_outlived_and_another_one_told_to_all() {
    let store = MemoryStore::new();
    let unavailable = || StoreError::Unavailable { message: "it is away".to_owned(), source: None };
    let (handle, _work) = open(store.clone());
    store.fail_statement(1, unavailable());
    assert!(hand_in(&handle, ["a", "b"].map(changed)).join_all().await.iter().all(is_stored));

    store.fail_statement(1, StoreError::Failed { message: "a fault".to_owned(), source: None });
    let answers = hand_in(&handle, ["c", "d"].map(changed)).join_all().await;
    assert!(answers.iter().all(is_stored), "tried one by one: {answers:?}");
    store.fail_statement(1, StoreError::Failed { message: "a fault".to_owned(), source: None });
    assert!(handle.receive(changed("e")).await.is_err());
    assert!(is_stored(&handle.receive(changed("e")).await));
}

/// No webhook overtakes one that is tried again.
#[tokio::test(start_paused = true)]
async fn a_failure_does_not_change_their_order() {
    let store = Slow::new("sandbox:a");
    store.store.fail_statement(1, StoreError::Unavailable { message: "it is away".to_owned(), source: None });
    let (handle, _work) = open(store.clone());
    let first = hand_in(&handle, [webhook("first", "integration-created", "sandbox:a")]);
    store.a_unit_waits().await;
    store.may.add_permits(100);
    let second = hand_in(&handle, [webhook("second", "integration-deleted", "sandbox:a")]);
    assert!(first.join_all().await.iter().chain(&second.join_all().await).all(is_stored));
    let stored = store.store.webhooks().into_iter().map(|webhook| (webhook.id, webhook.result));
    let results: Vec<(String, String)> = stored.collect();
    assert_eq!(results[0], ("first".to_owned(), "registered".to_owned()), "{results:?}");
    let known = store.store.look(|tx| tx.integration(&id())).unwrap().unwrap();
    assert_eq!(known.status, IntegrationStatus::Deleted);
}

#[tokio::test]
async fn whoever_stopped_waiting_is_not_stored() {
    let store = Slow::new("sandbox:a");
    let (handle, _work) = open(store.clone());
    let first = hand_in(&handle, [changed("first")]);
    store.a_unit_waits().await;
    let mut gone = hand_in(&handle, [changed("gone")]);
    tokio::task::yield_now().await;
    gone.shutdown().await;
    let later = hand_in(&handle, [changed("later")]);
    tokio::task::yield_now().await;
    store.may.add_permits(2);
    assert!(first.join_all().await.iter().chain(&later.join_all().await).all(is_stored));
    let stored: Vec<String> = store.store.webhooks().into_iter().map(|webhook| webhook.id).collect();
    assert_eq!(stored, ["first", "later"]);
}

#[tokio::test]
async fn it_ends_when_all_is_stored_and_nobody_can_hand_in_more() {
    let store = Slow::new("sandbox:a");
    let (handle, work) = open(store.clone());
    let first = hand_in(&handle, [changed("first")]);
    store.a_unit_waits().await;
    let later = hand_in(&handle, (0..600).map(|number| changed(&number.to_string())));
    drop(handle);
    tokio::task::yield_now().await;
    assert!(!work.is_finished());
    store.may.add_permits(10);
    assert!(first.join_all().await.iter().chain(&later.join_all().await).all(is_stored));
    work.await.unwrap();
}
