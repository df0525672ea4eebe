use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kombo_model::Timestamp;
use sync_core::outbox::{Failure, Sending};
use sync_core::ports::{Clock, Silent, Source, Store};
use sync_core::pull::Engine;
use sync_runtime::{DeliveryPolicy, Host, KeyState, Receiver, Runtime, RuntimePolicy};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The host of a test.
#[derive(Debug, Clone, Default)]
pub(crate) struct TestHost {
    key_rejected: Arc<AtomicBool>,
    drawn: Arc<AtomicU64>,
    now: Option<Timestamp>,
}

impl TestHost {
    pub(crate) fn at(now: Timestamp) -> Self {
        Self { now: Some(now), ..Self::default() }
    }

    pub(crate) fn reject_key(&self, rejected: bool) {
        self.key_rejected.store(rejected, Ordering::SeqCst);
    }
}

impl Host for TestHost {
    fn random(&self) -> u128 {
        u128::from(self.drawn.fetch_add(1, Ordering::SeqCst))
    }

    async fn check_key(&self) -> KeyState {
        if self.key_rejected.load(Ordering::SeqCst) { KeyState::Rejected } else { KeyState::Accepted }
    }

    fn certain_now(&self) -> Option<Timestamp> {
        self.now
    }
}

/// A receiver for tests that deliver nothing.
pub(crate) struct NoReceiver;

impl Receiver for NoReceiver {
    fn policy(&self) -> DeliveryPolicy {
        DeliveryPolicy { batch_entries: 1, timeout: Duration::ZERO, give_up_after: Duration::ZERO }
    }

    fn body(&self, _sending: &Sending) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        Err("nothing is sent".into())
    }

    async fn send(&self, _body: &str) -> Result<(), Failure> {
        Ok(())
    }
}

/// A runtime of a test.
pub(crate) type TestRuntime<St, So, C> = Runtime<St, So, C, Silent, TestHost>;

/// A running runtime.
pub(crate) struct Running<St, So, C> {
    pub(crate) runtime: Arc<TestRuntime<St, So, C>>,
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

impl<St: Store, So: Source, C: Clock> Running<St, So, C> {
    pub(crate) fn start(engine: Engine<St, So, C, Silent>, host: TestHost, workers: usize) -> Self {
        Self::with(engine, host, RuntimePolicy::new("runtime".to_owned(), workers), None::<Arc<NoReceiver>>)
    }

    pub(crate) fn with<R: Receiver>(
        engine: Engine<St, So, C, Silent>,
        host: TestHost,
        policy: RuntimePolicy,
        receiver: Option<Arc<R>>,
    ) -> Self {
        let stop = CancellationToken::new();
        let runtime =
            Arc::new(Runtime::new(engine, Arc::new(host), policy, Arc::default(), Arc::default(), stop.clone()));
        let ended = tokio::spawn(Arc::clone(&runtime).run(receiver));
        Self { runtime, stop, ended }
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.ended.await.unwrap();
    }
}
