//! Builds what a command needs from a configuration: Kombo, the store, and a runtime over both.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kombo_client::{Client, ClientBuilder, ErrorKind, Outcome, ResponseEvent, RetryPolicy};
use kombo_model::Timestamp;
use store_diesel::DieselStore;
use sync_core::jobs::dispatch::SchedulePolicy;
use sync_core::ports::Clock as _;
use sync_core::pull::{Engine, SyncPolicy};
use sync_runtime::{Answer, Host, KeyGate, KeyState, Runtime, RuntimeObserver, RuntimePolicy, Wakers};
use tokio_util::sync::CancellationToken;

use crate::clock::SystemClock;
use crate::config::{Config, ConfigError};
use crate::kombo::{KomboSource, Limiter};
use crate::notices::Notices;
use crate::{owner, skew};

/// The runtime of a process.
pub(crate) type ProcessRuntime<O> = Runtime<DieselStore, KomboSource, SystemClock, O, Process>;

/// Called with each answer of Kombo.
pub(crate) type OnAnswer = Arc<dyn Fn(&ResponseEvent) + Send + Sync>;

/// The configured Kombo.
#[derive(Clone)]
pub(crate) struct Kombo {
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) source: Arc<KomboSource>,
    retries: RetryPolicy,
    on_answer: OnAnswer,
}

impl Kombo {
    /// Builds client and source, with a rate limit of this process alone until [`Limiter::share`] is called.
    pub(crate) fn new(config: &Config, retries: RetryPolicy, on_answer: OnAnswer) -> anyhow::Result<Self> {
        let limiter = Arc::new(Limiter::new(config.kombo.max_requests_per_minute, SystemClock, Notices));
        let client = limited_client(config, &limiter, retries, Arc::clone(&on_answer))?;
        let source = Arc::new(KomboSource::new(&client, Some(Arc::clone(&limiter)), config.kombo_name()));
        Ok(Self { limiter, source, retries, on_answer })
    }

    /// Returns a client for a changed configuration, to be passed to [`KomboSource::replace`].
    pub(crate) fn client(&self, config: &Config) -> anyhow::Result<Client> {
        limited_client(config, &self.limiter, self.retries, Arc::clone(&self.on_answer))
    }
}

/// Returns a client that reports its answers to the rate limiter.
fn limited_client(
    config: &Config,
    limiter: &Arc<Limiter>,
    retries: RetryPolicy,
    on_answer: OnAnswer,
) -> anyhow::Result<Client> {
    let learning = Arc::clone(limiter);
    let observe = move |event: &ResponseEvent| {
        on_answer(event);
        learning.learn(answer(event).as_ref(), event.pause);
    };
    build(config.client()?.retry(retries).on_response(Arc::new(observe)))
}

/// Returns a client without retries, to find out whether Kombo answers.
pub(crate) fn probe_client(config: &Config) -> anyhow::Result<Client> {
    build(config.client()?.retry(RetryPolicy::NEVER))
}

fn build(builder: ClientBuilder) -> anyhow::Result<Client> {
    Ok(builder.build().map_err(|error| ConfigError::of_client(&error))?)
}

/// Returns the rate limit observed in a response; `None` if there was no response.
fn answer(event: &ResponseEvent) -> Option<Answer> {
    let Outcome::Status(status) = event.outcome else { return None };
    let (code, limit) = (event.code.clone(), &event.rate_limit);
    Some(Answer {
        status,
        code,
        limit: limit.limit,
        remaining: limit.remaining,
        reset: limit.reset,
        retry_after: event.retry_after,
    })
}

/// Interval at which a paused integration is tried, in case Kombo's webhook about its return was lost.
pub(crate) const LOOK_AT_PAUSED_EVERY: Duration = Duration::from_secs(3_600);

/// Returns the policy of a runtime.
pub(crate) fn policy(config: &Config) -> RuntimePolicy {
    RuntimePolicy {
        schedule: SchedulePolicy {
            endpoints: config.plan_policy().endpoints,
            poll_every: Some(config.sync.poll_every).filter(|every| !every.is_zero()),
            full_every: config.policy().full_every,
            look_at_paused_every: LOOK_AT_PAUSED_EVERY,
        },
        keep_for: config.changes.keep_for,
        undelivered: config.undelivered(),
        ..RuntimePolicy::new(owner::this_process(), config.sync.workers)
    }
}

/// Creates a runtime over Kombo and the store.
pub(crate) fn runtime<O: RuntimeObserver>(
    source: &Arc<KomboSource>,
    store: &Arc<DieselStore>,
    observer: O,
    (engine, policy): (SyncPolicy, RuntimePolicy),
    gate: Arc<KeyGate>,
    stop: &CancellationToken,
) -> Arc<ProcessRuntime<O>> {
    let host = Arc::new(Process { source: Arc::clone(source), compared: AtomicBool::new(false) });
    let engine = Engine::new(Arc::clone(store), Arc::clone(source), SystemClock, observer, engine);
    Arc::new(Runtime::new(engine, host, policy, gate, Arc::new(Wakers::default()), stop.clone()))
}

/// This process, as the runtime's host.
pub(crate) struct Process {
    source: Arc<KomboSource>,
    /// Whether the clock of this machine was compared with Kombo's.
    compared: AtomicBool,
}

impl Host for Process {
    fn random(&self) -> u128 {
        fastrand::u128(..)
    }

    async fn check_key(&self) -> KeyState {
        match self.source.check_api_key().await {
            Ok(()) => {
                if let Some(theirs) = self.source.clock().now()
                    && !self.compared.swap(true, Ordering::SeqCst)
                    && let Some(skew) = skew::compare(SystemClock.now(), "Kombo's", theirs)
                {
                    skew.log();
                }
                KeyState::Accepted
            }
            Err(error) if error.kind() == ErrorKind::KeyRejected => KeyState::Rejected,
            Err(_) => KeyState::Unknown,
        }
    }

    fn certain_now(&self) -> Option<Timestamp> {
        self.source.clock().surely()
    }
}
