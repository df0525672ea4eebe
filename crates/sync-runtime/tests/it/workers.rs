use std::sync::Arc;
use std::time::Duration;

use kombo_model::{Endpoint, IntegrationCategory, IntegrationId};
use sync_core::jobs::SyncKind;
use sync_core::jobs::dispatch;
use sync_core::ports::{
    Clock, FailureClass, FetchSpec, Lock, LockMode, Pages, RecordPage, Silent, Source, SourceError, StoreError,
};
use sync_core::pull::Engine;
use sync_testkit::bench::{Bench, USUAL, id, target};
use sync_testkit::lms;
use tokio::sync::Notify;

use crate::host::{Running, TestHost};

/// Returns a bench on which a full fetch of every enabled endpoint is requested.
fn bench() -> Bench {
    let bench = Bench::new(&USUAL);
    bench.furnish();
    let now = bench.clock.now();
    bench.store.edit(|tx| dispatch::register(tx, &lms([id()]), now)).unwrap();
    for endpoint in bench.endpoints() {
        bench.ask(endpoint, SyncKind::Full);
    }
    bench
}

/// Advances the virtual time.
async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_works_on_all_requests_and_wakes_for_new_ones() {
    let bench = bench();
    let pool = Running::start(bench.engine(), TestHost::default(), 2);
    seconds(60).await;
    bench.assert_mirrors();

    bench.pass(60);
    bench.kombo.edit(|lms| lms.rename_user("u1", "Grace"));
    bench.ask(Endpoint::LmsUsers, SyncKind::Delta);
    pool.runtime.wakers().work.notify_one();
    // Earlier than an idle worker's next poll.
    seconds(1).await;
    bench.assert_mirrors();
    pool.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_rejected_key_keeps_work_from_beginning_until_it_is_accepted() {
    let (bench, host) = (bench(), TestHost::default());
    host.reject_key(true);
    bench.kombo.refuse(Endpoint::LmsUsers, FailureClass::KeyRejected);
    let pool = Running::start(bench.engine(), host.clone(), 1);
    seconds(3_600).await;
    assert!(!pool.runtime.gate().is_open() && bench.kombo.pages() <= 1, "{}", bench.kombo.pages());

    bench.kombo.allow(Endpoint::LmsUsers);
    host.reject_key(false);
    // Earlier than the failed request is due: the bench's clock stands still.
    seconds(60).await;
    assert!(pool.runtime.gate().is_open());
    bench.assert_mirrors();
    pool.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_failure_of_a_run_closes_the_gate() {
    let (bench, host) = (bench(), TestHost::default());
    for endpoint in bench.endpoints() {
        bench.kombo.refuse(endpoint, FailureClass::KeyRejected);
    }
    let pool = Running::start(bench.engine(), host.clone(), 1);
    seconds(1).await;
    assert!(!pool.runtime.gate().is_open(), "one run failed so");
    assert_eq!(bench.store.look(|tx| tx.requests()).unwrap().iter().filter(|it| it.attempts > 0).count(), 1);
    pool.end().await;
}

/// Returns the number of requests that `workers` workers lease while Kombo does not answer.
async fn leased_while_nothing_is_answered(bench: &Bench, workers: usize) -> usize {
    let source = Arc::new(Sleepy(Arc::default()));
    let (store, clock) = (Arc::new(bench.store.clone()), bench.clock.clone());
    let engine = Engine::new(store, source, clock, Silent, bench.policy.clone());
    let pool = Running::start(engine, TestHost::default(), workers);
    seconds(10).await;
    let requests = bench.store.look(|tx| tx.requests()).unwrap();
    assert_eq!(requests.len(), 3);
    pool.end().await;
    requests.iter().filter(|request| request.lease.is_some()).count()
}

#[tokio::test(start_paused = true)]
async fn half_of_the_workers_are_kept_for_deltas() {
    assert_eq!(leased_while_nothing_is_answered(&bench(), 4).await, 2);
}

#[tokio::test(start_paused = true)]
async fn three_quarters_of_the_workers_are_kept_from_what_failed() {
    let bench = bench();
    bench
        .store
        .edit(|tx| {
            for mut request in tx.requests()? {
                request.attempts = 1;
                tx.put_request(&request)?;
            }
            Ok::<_, StoreError>(())
        })
        .unwrap();
    assert_eq!(leased_while_nothing_is_answered(&bench, 8).await, 2);
}

/// A Kombo that never answers.
struct Sleepy(Arc<Notify>);

impl Source for Sleepy {
    type Pages = Asleep;

    fn open(&self, _spec: FetchSpec) -> Asleep {
        Asleep(Arc::clone(&self.0))
    }

    async fn category(&self, _: &IntegrationId) -> Result<IntegrationCategory, SourceError> {
        Ok(IntegrationCategory::Lms)
    }
}

struct Asleep(Arc<Notify>);

impl Pages for Asleep {
    async fn next_page(&mut self) -> Result<Option<RecordPage>, SourceError> {
        self.0.notified().await;
        Ok(None)
    }
}

#[tokio::test(start_paused = true)]
async fn work_that_breaks_off_with_the_store_is_released() {
    let bench = bench();
    let pool = Running::start(bench.engine(), TestHost::default(), 1);
    let users = target(Endpoint::LmsUsers, SyncKind::Full);
    let is_held = |bench: &Bench| {
        let request = bench.store.look(|tx| tx.request(&users, LockMode::Wait).map(Lock::locked)).unwrap();
        request.is_some_and(|request| request.lease.is_some())
    };
    while !is_held(&bench) {
        tokio::task::yield_now().await;
    }
    let leased_at = bench.clock.now();
    bench.store.fail_statement(1, StoreError::Unavailable { message: "gone".to_owned(), source: None });
    seconds(20).await;
    // The clock moves only with the answers of the source, so the lease has not expired.
    assert!(bench.clock.now() < leased_at.saturating_add(bench.policy.lease_ttl));
    bench.assert_mirrors();
    pool.end().await;
}
