use std::sync::{Arc, Mutex};
use std::time::Duration;

use kombo_model::Endpoint;
use sync_core::jobs::SyncKind;
use sync_core::jobs::dispatch;
use sync_core::outbox::{self, Content, Failure, Sending};
use sync_core::ports::Clock;
use sync_runtime::{DeliveryPolicy, Receiver, RuntimePolicy};
use sync_testkit::bench::{Bench, USUAL, id};
use sync_testkit::lms;

use crate::host::{Running, TestHost};

/// A receiver that remembers the bodies it received.
#[derive(Default)]
struct Remembering {
    sent: Mutex<Vec<String>>,
    failures: Mutex<Vec<Failure>>,
}

impl Receiver for Remembering {
    fn policy(&self) -> DeliveryPolicy {
        DeliveryPolicy { batch_entries: 1, timeout: Duration::from_secs(10), give_up_after: Duration::from_secs(3_600) }
    }

    fn body(&self, sending: &Sending) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        match &sending.content {
            Content::Body(body) => Ok(body.clone()),
            Content::Entries(entries) => Ok(entries.iter().map(|entry| entry.record_id.as_str()).collect()),
        }
    }

    async fn send(&self, body: &str) -> Result<(), Failure> {
        self.sent.lock().unwrap().push(body.to_owned());
        self.failures.lock().unwrap().pop().map_or(Ok(()), Err)
    }
}

/// Returns a loaded bench in which two users change after delivery began.
async fn bench() -> Bench {
    let bench = Bench::new(&USUAL);
    bench.furnish();
    bench.load().await;
    let now = bench.clock.now();
    bench.store.edit(|tx| dispatch::register(tx, &lms([id()]), now)).unwrap();
    bench.store.edit(|tx| outbox::begin(tx, now)).unwrap();
    bench.pass(60);
    bench.kombo.edit(|lms| lms.rename_user("u1", "Grace"));
    bench.kombo.edit(|lms| lms.rename_user("u2", "Hedy"));
    bench
}

fn run(
    bench: &Bench,
    receiver: &Arc<Remembering>,
) -> Running<sync_testkit::MemoryStore, sync_testkit::FakeKombo, sync_testkit::ManualClock> {
    let policy = RuntimePolicy::new("runtime".to_owned(), 1);
    Running::with(bench.engine(), TestHost::default(), policy, Some(Arc::clone(receiver)))
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn changes_are_delivered_in_order_once_they_are_committed() {
    let (bench, receiver) = (bench().await, Arc::new(Remembering::default()));
    let running = run(&bench, &receiver);
    seconds(10).await;
    assert!(receiver.sent.lock().unwrap().is_empty());
    bench.ask(Endpoint::LmsUsers, SyncKind::Delta);
    running.runtime.wakers().work.notify_one();
    // Earlier than the dispatcher's next regular check.
    seconds(1).await;
    assert_eq!(*receiver.sent.lock().unwrap(), ["u1", "u2"]);
    assert_eq!(bench.store.look(|tx| tx.undelivered()).unwrap(), []);
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_fails_is_sent_again_before_the_next() {
    let (bench, receiver) = (bench().await, Arc::new(Remembering::default()));
    receiver.failures.lock().unwrap().push(Failure { error: "HTTP 503".to_owned(), retry_after: None });
    bench.ask(Endpoint::LmsUsers, SyncKind::Delta);
    let running = run(&bench, &receiver);
    seconds(10).await;
    assert_eq!(*receiver.sent.lock().unwrap(), ["u1"]);
    bench.pass(120);
    seconds(10).await;
    assert_eq!(*receiver.sent.lock().unwrap(), ["u1", "u1", "u2"]);
    running.end().await;
}
