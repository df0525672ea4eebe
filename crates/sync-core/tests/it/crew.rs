use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kombo_model::Endpoint;
use sync_core::crew::{Crew, Host};
use sync_core::dispatch;
use sync_core::port::{Clock, Silent, StoreError};
use sync_core::types::{LeaseToken, SyncKind};
use sync_testkit::{FakeKombo, ManualClock, MemoryStore};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, USUAL, id, target};

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

type TestCrew = Crew<MemoryStore, FakeKombo, ManualClock, Silent, Gate>;

/// A crew at work.
struct AtWork {
    wake: Arc<Notify>,
    stop: CancellationToken,
    workers: tokio::task::JoinSet<()>,
}

impl AtWork {
    fn begin(bench: &Bench, gate: &Gate, workers: usize) -> Self {
        let (wake, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let (told, asked) = (Arc::clone(&wake), stop.clone());
        let crew: Arc<TestCrew> =
            Arc::new(Crew::new(bench.engine(), gate.clone(), "crew".to_owned(), workers, told, asked));
        let mut at_work = Self { wake, stop, workers: tokio::task::JoinSet::new() };
        for _ in 0..workers {
            let crew = Arc::clone(&crew);
            at_work.workers.spawn(async move { crew.work().await });
        }
        at_work
    }

    async fn end(mut self) {
        self.stop.cancel();
        while self.workers.join_next().await.is_some() {}
    }
}

/// A bench with everything that is enabled asked for.
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
async fn a_crew_does_all_that_is_asked_for_and_then_what_it_is_told_of() {
    let bench = bench();
    let crew = AtWork::begin(&bench, &Gate::default(), 2);
    seconds(60).await;
    bench.assert_mirrors();

    bench.pass(60);
    bench.kombo.edit(|lms| lms.rename_user("u1", "Grace"));
    bench.ask(Endpoint::Users, SyncKind::Delta);
    crew.wake.notify_one();
    // Sooner than an idle worker would look by itself.
    seconds(1).await;
    bench.assert_mirrors();
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_keeps_work_from_beginning() {
    let (bench, gate) = (bench(), Gate::default());
    gate.closed.store(true, Ordering::SeqCst);
    let crew = AtWork::begin(&bench, &gate, 2);
    seconds(3_600).await;
    assert_eq!(bench.kombo.pages(), 0);
    gate.closed.store(false, Ordering::SeqCst);
    seconds(60).await;
    bench.assert_mirrors();
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn half_of_the_workers_are_kept_for_deltas() {
    let bench = bench();
    let asleep = Arc::new(Notify::new());
    let source = Arc::new(Sleepy(Arc::clone(&asleep)));
    let engine = sync_core::engine::Engine::new(
        Arc::new(bench.store.clone()),
        source,
        bench.clock.clone(),
        Silent,
        bench.policy.clone(),
    );
    let stop = CancellationToken::new();
    let crew = Arc::new(Crew::new(engine, Gate::default(), "crew".to_owned(), 4, Arc::default(), stop.clone()));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let crew = Arc::clone(&crew);
        workers.spawn(async move { crew.work().await });
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

impl sync_core::port::Source for Sleepy {
    type Pages = Asleep;

    fn open(&self, _spec: sync_core::port::FetchSpec) -> Asleep {
        Asleep(Arc::clone(&self.0))
    }
}

struct Asleep(Arc<Notify>);

impl sync_core::port::Pages for Asleep {
    async fn next_page(&mut self) -> Result<Option<sync_core::port::RecordPage>, sync_core::port::SourceError> {
        self.0.notified().await;
        Ok(None)
    }
}

#[tokio::test(start_paused = true)]
async fn work_that_broke_off_with_the_store_is_let_go_of() {
    let bench = bench();
    let crew = AtWork::begin(&bench, &Gate::default(), 1);
    let users = target(Endpoint::Users, SyncKind::Full);
    let is_held = |bench: &Bench| {
        let request = bench.store.look(|tx| tx.request(&users)).unwrap();
        request.is_some_and(|request| request.lease.is_some())
    };
    while !is_held(&bench) {
        tokio::task::yield_now().await;
    }
    let leased_at = bench.clock.now();
    bench.store.fail_statement(1, StoreError::Unavailable { message: "gone".to_owned(), source: None });
    seconds(20).await;
    // Our clock moves with Kombo's answers alone: the lease did not have to expire.
    assert!(bench.clock.now() < leased_at.saturating_add(bench.policy.lease_ttl));
    bench.assert_mirrors();
    crew.end().await;
}
