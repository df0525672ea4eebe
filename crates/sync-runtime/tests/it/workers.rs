use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kombo_model::Endpoint;
use sync_core::jobs::dispatch;
use sync_core::jobs::{LeaseToken, SyncKind};
use sync_core::ports::{Clock, Lock, LockMode, Silent, StoreError};
use sync_runtime::workers::{Host, WorkerPool};
use sync_testkit::bench::{Bench, USUAL, id, target};
use sync_testkit::{FakeKombo, ManualClock, MemoryStore};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

#[derive(Clone, Default)]
struct Gate {
    closed: Arc<AtomicBool>,
    tokens: Arc<AtomicU64>,
}

impl Host for Gate {
    fn is_open(&self) -> bool {
        !self.closed.load(Ordering::SeqCst)
    }

    fn token(&self) -> LeaseToken {
        LeaseToken(format!("token {}", self.tokens.fetch_add(1, Ordering::SeqCst)))
    }
}

type TestPool = WorkerPool<MemoryStore, FakeKombo, ManualClock, Silent, Gate>;

/// A running pool.
struct Running {
    wake: Arc<Notify>,
    stop: CancellationToken,
    workers: tokio::task::JoinSet<()>,
}

impl Running {
    fn start(bench: &Bench, gate: &Gate, workers: usize) -> Self {
        let (wake, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let (told, asked) = (Arc::clone(&wake), stop.clone());
        let pool: Arc<TestPool> =
            Arc::new(WorkerPool::new(bench.engine(), gate.clone(), "pool".to_owned(), workers, told, asked));
        let mut running = Self { wake, stop, workers: tokio::task::JoinSet::new() };
        for _ in 0..workers {
            let pool = Arc::clone(&pool);
            running.workers.spawn(async move { pool.work().await });
        }
        running
    }

    async fn end(mut self) {
        self.stop.cancel();
        while self.workers.join_next().await.is_some() {}
    }
}

/// A bench with a full fetch of every enabled endpoint requested.
fn bench() -> Bench {
    let bench = Bench::new(&USUAL);
    bench.furnish();
    let now = bench.clock.now();
    bench.store.edit(|tx| dispatch::register(tx, &[id()].into(), now)).unwrap();
    for endpoint in bench.endpoints() {
        bench.ask(endpoint, SyncKind::Full);
    }
    bench
}

/// Lets virtual time run.
async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_works_on_all_requests_and_wakes_for_new_ones() {
    let bench = bench();
    let pool = Running::start(&bench, &Gate::default(), 2);
    seconds(60).await;
    bench.assert_mirrors();

    bench.pass(60);
    bench.kombo.edit(|lms| lms.rename_user("u1", "Grace"));
    bench.ask(Endpoint::Users, SyncKind::Delta);
    pool.wake.notify_one();
    // Sooner than an idle worker polls.
    seconds(1).await;
    bench.assert_mirrors();
    pool.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_keeps_work_from_beginning() {
    let (bench, gate) = (bench(), Gate::default());
    gate.closed.store(true, Ordering::SeqCst);
    let pool = Running::start(&bench, &gate, 2);
    seconds(3_600).await;
    assert_eq!(bench.kombo.pages(), 0);
    gate.closed.store(false, Ordering::SeqCst);
    seconds(60).await;
    bench.assert_mirrors();
    pool.end().await;
}

#[tokio::test(start_paused = true)]
async fn half_of_the_workers_are_kept_for_deltas() {
    let bench = bench();
    let asleep = Arc::new(Notify::new());
    let source = Arc::new(Sleepy(Arc::clone(&asleep)));
    let engine = sync_core::pull::Engine::new(
        Arc::new(bench.store.clone()),
        source,
        bench.clock.clone(),
        Silent,
        bench.policy.clone(),
    );
    let stop = CancellationToken::new();
    let pool = Arc::new(WorkerPool::new(engine, Gate::default(), "pool".to_owned(), 4, Arc::default(), stop.clone()));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let pool = Arc::clone(&pool);
        workers.spawn(async move { pool.work().await });
    }
    seconds(10).await;
    let requests = bench.store.look(|tx| tx.requests()).unwrap();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests.iter().filter(|request| request.lease.is_some()).count(), 2);
    stop.cancel();
    while workers.join_next().await.is_some() {}
}

/// A Kombo that never answers.
struct Sleepy(Arc<Notify>);

impl sync_core::ports::Source for Sleepy {
    type Pages = Asleep;

    fn open(&self, _spec: sync_core::ports::FetchSpec) -> Asleep {
        Asleep(Arc::clone(&self.0))
    }
}

struct Asleep(Arc<Notify>);

impl sync_core::ports::Pages for Asleep {
    async fn next_page(&mut self) -> Result<Option<sync_core::ports::RecordPage>, sync_core::ports::SourceError> {
        self.0.notified().await;
        Ok(None)
    }
}

#[tokio::test(start_paused = true)]
async fn work_that_breaks_off_with_the_store_is_released() {
    let bench = bench();
    let pool = Running::start(&bench, &Gate::default(), 1);
    let users = target(Endpoint::Users, SyncKind::Full);
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
