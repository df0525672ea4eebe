use std::sync::{Arc, Mutex};
use std::time::Duration;

use kombo_model::Timestamp;
use sync_core::jobs::SyncKind;
use sync_core::ports::{Clock, Silent};
use sync_runtime::{Answer, RateLimiter};
use sync_testkit::{ManualClock, MemoryStore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// A clock that shows the virtual time.
#[derive(Debug, Clone)]
struct Virtual(Instant);

impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        ManualClock::default().now().saturating_add(self.0.elapsed())
    }
}

type Limiter = RateLimiter<MemoryStore, Virtual, Silent>;

/// Kombo's limit of `limit` requests in each minute.
struct Kombo {
    began: Instant,
    limit: u64,
    used: Mutex<(u64, u64)>,
}

impl Kombo {
    fn answer(&self) -> Answer {
        let (mut used, minute) = (self.used.lock().unwrap(), self.began.elapsed().as_secs() / 60);
        if used.0 != minute {
            *used = (minute, 0);
        }
        used.1 += 1;
        assert!(used.1 <= self.limit, "{} requests in minute {minute}", used.1);
        let (remaining, reset) = (Some(self.limit - used.1), Some(60 - self.began.elapsed().as_secs() % 60));
        Answer {
            status: 200,
            limit: Some(self.limit),
            remaining,
            reset: reset.map(Duration::from_secs),
            ..Answer::default()
        }
    }
}

fn limiters(count: usize, per_minute: u32) -> Vec<Arc<Limiter>> {
    let (store, clock) = (Arc::new(MemoryStore::new()), Virtual(Instant::now()));
    let limiters = (0..count).map(|_| Arc::new(Limiter::new(per_minute, clock.clone(), Silent)));
    limiters.inspect(|limiter| limiter.share(&store)).collect()
}

#[tokio::test(start_paused = true)]
async fn processes_keep_kombos_limit_together() {
    let kombo = Arc::new(Kombo { began: Instant::now(), limit: 60, used: Mutex::default() });
    let (began, mut tasks) = (Instant::now(), JoinSet::new());
    for limiter in limiters(3, 0) {
        for _ in 0..50 {
            let (limiter, kombo) = (Arc::clone(&limiter), Arc::clone(&kombo));
            tasks.spawn(async move {
                limiter.acquire(SyncKind::Delta).await;
                sleep(Duration::from_millis(100)).await;
                limiter.learn(Some(&kombo.answer()), None);
            });
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let took = began.elapsed().as_secs();
    assert!((120..200).contains(&took), "150 requests of 60 a minute took {took} s");
}

#[tokio::test(start_paused = true)]
async fn processes_keep_a_configured_pace_together() {
    let (began, mut tasks) = (Instant::now(), JoinSet::new());
    for limiter in limiters(2, 60) {
        for _ in 0..30 {
            let limiter = Arc::clone(&limiter);
            tasks.spawn(async move {
                limiter.acquire(SyncKind::Delta).await;
                limiter.learn(Some(&Answer { status: 200, ..Answer::default() }), None);
            });
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let took = began.elapsed().as_secs();
    assert!((58..70).contains(&took), "60 requests of 60 a minute took {took} s");
}

/// An answer with a limit of 300 requests a minute.
fn with_remaining(remaining: u64) -> Answer {
    Answer {
        status: 200,
        limit: Some(300),
        remaining: Some(remaining),
        reset: Some(Duration::from_secs(60)),
        ..Answer::default()
    }
}

/// The last requests of a period are reserved for deltas.
#[tokio::test(start_paused = true)]
async fn deltas_go_first_and_have_the_last_of_the_limit() {
    let limiter = limiters(1, 0).pop().unwrap();
    limiter.acquire(SyncKind::Full).await;
    limiter.learn(Some(&with_remaining(6)), None);
    sleep(Duration::from_secs(1)).await;
    let full = tokio::spawn({
        let limiter = Arc::clone(&limiter);
        async move { limiter.acquire(SyncKind::Full).await }
    });
    sleep(Duration::from_secs(5)).await;
    assert!(!full.is_finished(), "a fiftieth is left");
    let began = Instant::now();
    limiter.acquire(SyncKind::Delta).await;
    assert!(began.elapsed() < Duration::from_secs(1));
    full.abort();
}

/// Also of the part that a process took for its deltas.
#[tokio::test(start_paused = true)]
async fn full_fetches_leave_deltas_what_the_process_took_for_them() {
    let limiter = limiters(1, 0).pop().unwrap();
    limiter.acquire(SyncKind::Delta).await;
    limiter.learn(Some(&with_remaining(10)), None);
    // Near the renewal only a fiftieth is reserved.
    sleep(Duration::from_secs(58)).await;
    // It takes all that is left.
    limiter.acquire(SyncKind::Delta).await;
    let full = |limiter: &Arc<Limiter>| {
        let limiter = Arc::clone(limiter);
        tokio::spawn(async move { limiter.acquire(SyncKind::Full).await })
    };
    let sent: Vec<_> = (0..9).map(|_| full(&limiter)).collect();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(sent.iter().filter(|full| full.is_finished()).count(), 3, "six of ten are reserved, and one was sent");
    let began = Instant::now();
    for _ in 0..6 {
        limiter.acquire(SyncKind::Delta).await;
    }
    assert!(began.elapsed() < Duration::from_secs(1));
    sent.iter().for_each(tokio::task::JoinHandle::abort);
}
