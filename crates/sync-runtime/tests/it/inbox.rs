use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kombo_model::{Endpoint, Webhook};
use serde_json::json;
use sync_core::jobs::IntegrationStatus;
use sync_core::ports::{Clock as _, Scope, Silent, Store, StoreError, Tx};
use sync_core::webhooks::planner::{PlanMode, PlanPolicy};
use sync_core::webhooks::{self, WebhookPolicy, read};
use sync_runtime::inbox::{self, InboxHandle};
use sync_testkit::bench::id;
use sync_testkit::{ManualClock, MemoryStore};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

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

type Answer = Result<bool, Arc<StoreError>>;

fn open<S: Store>(store: S) -> (InboxHandle, JoinHandle<()>) {
    let plan = PlanPolicy {
        endpoints: BTreeSet::from([Endpoint::LmsUsers]),
        mode: PlanMode::Planned,
        blind_full_min_interval: HOUR,
    };
    let policy = WebhookPolicy { plan, accept_unknown: true, look_at_paused_every: HOUR };
    let store = Arc::new(store);
    let clock = ManualClock::default();
    let (handle, inbox) = inbox::open(Arc::clone(&store), store, clock, Silent, policy, Arc::default());
    (handle, tokio::spawn(inbox.work()))
}

/// Passes webhooks to the inbox without waiting in between.
fn hand_in(handle: &InboxHandle, webhooks: impl IntoIterator<Item = Webhook>) -> JoinSet<Answer> {
    let hand_in = |webhook| {
        let handle = handle.clone();
        async move { handle.receive(webhook).await }
    };
    webhooks.into_iter().map(hand_in).collect()
}

async fn all_are_new(answers: JoinSet<Answer>) -> bool {
    answers.join_all().await.iter().all(is_new)
}

fn is_new(answer: &Answer) -> bool {
    matches!(answer, Ok(true))
}

fn away() -> StoreError {
    StoreError::Unavailable { message: "it is away".to_owned(), source: None }
}

fn fault() -> StoreError {
    StoreError::Failed { message: "a fault".to_owned(), source: None }
}

/// Ends the inbox once everything is planned.
async fn finish((handle, work): (InboxHandle, JoinHandle<()>)) {
    drop(handle);
    work.await.unwrap();
}

fn results(store: &MemoryStore) -> Vec<(String, String)> {
    store.webhooks().into_iter().map(|webhook| (webhook.id, webhook.result)).collect()
}

fn is_requested(store: &MemoryStore, integration: &str) -> bool {
    let requests = store.look(|tx| tx.requests()).unwrap();
    requests.iter().any(|request| request.target.integration_id.as_str() == integration)
}

/// A memory store whose transactions in a scope wait for a permit, and may fail then.
#[derive(Clone)]
struct Slow {
    store: MemoryStore,
    waits: Scope,
    came: Arc<Semaphore>,
    may: Arc<Semaphore>,
    /// Errors with which the next transactions in the scope end. Other transactions and reads do not meet them.
    fails: Arc<Mutex<VecDeque<StoreError>>>,
}

impl Slow {
    fn new(waits: Scope) -> Self {
        let none = || Arc::new(Semaphore::new(0));
        Self { store: MemoryStore::new(), waits, came: none(), may: none(), fails: Arc::default() }
    }

    /// Returns when one more transaction waits.
    async fn a_transaction_waits(&self) {
        self.came.acquire().await.unwrap().forget();
    }

    /// Lets the next transaction in the scope fail.
    fn fail_next(&self, error: StoreError) {
        self.fails.lock().unwrap().push_back(error);
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
            let fails = self.fails.lock().unwrap().pop_front();
            if let Some(error) = fails {
                return self.store.transact(scope, |tx| work(tx).and(Err(error.into()))).await;
            }
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
    let store = Slow::new(Scope::Shared);
    let inbox = open(store.clone());
    let first = hand_in(&inbox.0, [changed("first")]);
    store.a_transaction_waits().await;
    let of = |number: usize| webhook(&number.to_string(), "data-changed", &format!("sandbox:{}", number % 10));
    let later = hand_in(&inbox.0, (0..50).map(of));
    tokio::task::yield_now().await;
    store.may.add_permits(1);
    assert!(all_are_new(first).await && all_are_new(later).await, "they all arrived before the transaction began");
    assert_eq!(store.store.webhooks().len(), 51);
    finish(inbox).await;
    assert!((0..10).all(|number| is_requested(&store.store, &format!("sandbox:{number}"))));
}

#[tokio::test]
async fn nobody_waits_for_the_fetches_of_an_integration() {
    let store = Slow::new(Scope::Integration(id()));
    let inbox = open(store.clone());
    assert!(all_are_new(hand_in(&inbox.0, [changed("stored, though its integration is busy")])).await);
    store.a_transaction_waits().await;
    let names_nobody = read(json!({ "id": "noted", "type": "of-tomorrow", "data": {} }).to_string().as_bytes());
    let others = [webhook("other", "data-changed", "sandbox:b"), names_nobody, changed("the next")];
    assert!(all_are_new(hand_in(&inbox.0, others)).await);
    while !is_requested(&store.store, "sandbox:b") {
        tokio::task::yield_now().await;
    }
    assert!(!is_requested(&store.store, "sandbox:a"));
    store.may.add_permits(9);
    finish(inbox).await;
    assert!(is_requested(&store.store, "sandbox:a"));
    let waiting = store.store.look(|tx| tx.integrations_with_pending_webhooks(9)).unwrap();
    assert_eq!(waiting, []);
}

#[tokio::test]
async fn what_webhooks_say_takes_effect_in_their_order() {
    for (kinds, status, ignored) in [
        (["integration-created", "data-changed", "integration-deleted"], IntegrationStatus::Deleted, 0),
        (["integration-deleted", "integration-created", "data-changed"], IntegrationStatus::Deleted, 2),
    ] {
        let store = Slow::new(Scope::Shared);
        let inbox = open(store.clone());
        let first = hand_in(&inbox.0, [webhook("first", "integration-created", "sandbox:a")]);
        store.a_transaction_waits().await;
        let mut later = JoinSet::new();
        for (number, kind) in kinds.into_iter().enumerate() {
            let (handle, webhook) = (inbox.0.clone(), webhook(&number.to_string(), kind, "sandbox:a"));
            later.spawn(async move { handle.receive(webhook).await });
        }
        tokio::task::yield_now().await;
        store.may.add_permits(2);
        assert!(all_are_new(first).await && all_are_new(later).await);
        finish(inbox).await;
        let known = store.store.look(|tx| tx.integration(&id())).unwrap().unwrap();
        assert_eq!(known.status, status);
        let results = results(&store.store);
        let is_ignored = |result: &&(String, String)| result.1 == "ignored: the integration was deleted";
        assert_eq!(results.iter().filter(is_ignored).count(), ignored, "{results:?}");
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
    assert_eq!(answers.iter().filter(|answer| is_new(answer)).count(), 2, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Ok(false))).count(), 1, "{answers:?}");
    let stored: Vec<String> = store.webhooks().into_iter().map(|webhook| webhook.id).collect();
    assert_eq!(stored, ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_passing_failure_is_outlived_and_another_one_is_answered() {
    let store = Slow::new(Scope::Shared);
    store.may.add_permits(100);
    let (handle, _work) = open(store.clone());
    store.fail_next(away());
    assert!(all_are_new(hand_in(&handle, ["a", "b"].map(changed))).await);
    store.fail_next(fault());
    assert!(all_are_new(hand_in(&handle, ["c", "d"].map(changed))).await, "they are tried one by one");
    store.fail_next(fault());
    assert!(handle.receive(changed("e")).await.is_err());
    assert!(is_new(&handle.receive(changed("e")).await));
}

/// No webhook overtakes one that is tried again.
#[tokio::test(start_paused = true)]
async fn a_failure_does_not_change_their_order() {
    let store = Slow::new(Scope::Shared);
    store.fail_next(away());
    let inbox = open(store.clone());
    let first = hand_in(&inbox.0, [webhook("first", "integration-created", "sandbox:a")]);
    store.a_transaction_waits().await;
    store.may.add_permits(100);
    let second = hand_in(&inbox.0, [webhook("second", "integration-deleted", "sandbox:a")]);
    assert!(all_are_new(first).await && all_are_new(second).await);
    finish(inbox).await;
    assert_eq!(results(&store.store)[0], ("first".to_owned(), "registered".to_owned()));
    let known = store.store.look(|tx| tx.integration(&id())).unwrap().unwrap();
    assert_eq!(known.status, IntegrationStatus::Deleted);
}

#[tokio::test]
async fn whoever_stopped_waiting_is_not_stored() {
    let store = Slow::new(Scope::Shared);
    let (handle, _work) = open(store.clone());
    let first = hand_in(&handle, [changed("first")]);
    store.a_transaction_waits().await;
    let mut gone = hand_in(&handle, [changed("gone")]);
    tokio::task::yield_now().await;
    gone.shutdown().await;
    let later = hand_in(&handle, [changed("later")]);
    tokio::task::yield_now().await;
    store.may.add_permits(2);
    assert!(all_are_new(first).await && all_are_new(later).await);
    let stored: Vec<String> = store.store.webhooks().into_iter().map(|webhook| webhook.id).collect();
    assert_eq!(stored, ["first", "later"]);
}

#[tokio::test]
async fn it_ends_when_all_is_planned_and_nobody_can_hand_in_more() {
    let store = Slow::new(Scope::Shared);
    let (handle, work) = open(store.clone());
    let first = hand_in(&handle, [changed("first")]);
    store.a_transaction_waits().await;
    let later = hand_in(&handle, (0..1_200).map(|number| changed(&number.to_string())));
    drop(handle);
    tokio::task::yield_now().await;
    assert!(!work.is_finished());
    store.may.add_permits(10);
    assert!(all_are_new(first).await && all_are_new(later).await);
    work.await.unwrap();
    assert!(results(&store.store).iter().all(|(_, result)| result == "planned"));
}

#[tokio::test]
async fn what_an_ended_process_stored_is_planned_by_another() {
    let store = MemoryStore::new();
    webhooks::append(&store, || vec![Arc::new(changed("left"))], ManualClock::default().now()).await.unwrap();
    assert!(!is_requested(&store, "sandbox:a"));
    let (_handle, _work) = open(store.clone());
    while !is_requested(&store, "sandbox:a") {
        tokio::task::yield_now().await;
    }
    assert_eq!(results(&store), [("left".to_owned(), "planned".to_owned())]);
}

/// A process that ends in the middle of a plan leaves its webhooks to a replica that was up all the time. The transaction
/// of the first is rolled back, so everything is planned once.
#[tokio::test(start_paused = true)]
async fn a_replica_plans_what_another_left_in_the_middle_of_a_plan() {
    let store = Slow::new(Scope::Integration(id()));
    let (_handle, _replica) = open(store.store.clone());
    // Its first search finds nothing.
    sleep(Duration::from_secs(1)).await;
    let (handle, work) = open(store.clone());
    assert!(all_are_new(hand_in(&handle, [changed("a"), changed("b")])).await);
    store.a_transaction_waits().await;
    work.abort();
    assert!(work.await.unwrap_err().is_cancelled());
    assert!(!is_requested(&store.store, "sandbox:a"));
    sleep(Duration::from_secs(10)).await;
    assert_eq!(results(&store.store), ["a", "b"].map(|event| (event.to_owned(), "planned".to_owned())));
    let requests = store.store.look(|tx| tx.requests()).unwrap();
    assert_eq!(requests.iter().map(|request| request.generation).collect::<Vec<_>>(), [1]);
}

/// The search of one replica may find what another plans at that moment.
#[tokio::test(start_paused = true)]
async fn two_replicas_that_plan_the_same_webhooks_plan_them_once() {
    let store = Slow::new(Scope::Integration(id()));
    let first = open(store.clone());
    assert!(all_are_new(hand_in(&first.0, [changed("a"), changed("b")])).await);
    store.a_transaction_waits().await;
    // Its first search finds them.
    let second = open(store.clone());
    store.a_transaction_waits().await;
    store.may.add_permits(9);
    finish(first).await;
    finish(second).await;
    assert_eq!(results(&store.store), ["a", "b"].map(|event| (event.to_owned(), "planned".to_owned())));
    let requests = store.store.look(|tx| tx.requests()).unwrap();
    assert_eq!(requests.iter().map(|request| request.generation).collect::<Vec<_>>(), [1]);
}

/// A failure leaves webhooks pending, and the next search plans them.
#[tokio::test(start_paused = true)]
async fn a_store_that_was_away_delays_plans() {
    let store = Slow::new(Scope::Integration(id()));
    let (handle, _work) = open(store.clone());
    assert!(is_new(&handle.receive(changed("a")).await));
    for _ in 0..3 {
        store.a_transaction_waits().await;
        store.fail_next(away());
        store.may.add_permits(1);
    }
    store.a_transaction_waits().await;
    assert_eq!(results(&store.store), [("a".to_owned(), "waiting to be planned".to_owned())]);
    store.may.add_permits(1);
    while !is_requested(&store.store, "sandbox:a") {
        tokio::task::yield_now().await;
    }
}

/// If the store refuses what one webhook leads to, everything is fetched instead, and the others are planned.
#[tokio::test]
async fn a_plan_that_is_refused_stops_no_other() {
    let store = Slow::new(Scope::Integration(id()));
    let inbox = open(store.clone());
    assert!(all_are_new(hand_in(&inbox.0, [changed("a"), changed("b")])).await);
    // The plan of both, and that of the first alone.
    store.fail_next(fault());
    store.fail_next(fault());
    store.may.add_permits(9);
    finish(inbox).await;
    let outcome = ["not planned: everything is fetched instead", "planned"].map(str::to_owned);
    assert_eq!(results(&store.store).into_iter().map(|(_, result)| result).collect::<Vec<_>>(), outcome);
    assert!(is_requested(&store.store, "sandbox:a"));
}
