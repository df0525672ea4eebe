mod admission;
mod dispatcher;
mod jobs;
mod upkeep;
mod workers;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kombo_model::IntegrationId;
use sync_core::jobs::Target;
use sync_core::jobs::dispatch::{self, SchedulePolicy};
use sync_core::jobs::queue;
use sync_core::outbox::{self, Undelivered};
use sync_core::ports::{Clock, Scope, Source, Store, StoreError};
use sync_core::pull::Engine;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::host::Host;
use crate::key_gate::KeyGate;
use crate::missed::{Behind, Missed};
use crate::observer::{Notice, RuntimeObserver};

use admission::Admission;
use dispatcher::Dispatcher;

pub use dispatcher::{DeliveryPolicy, Receiver};
pub use jobs::FinishedRun;

/// How a runtime works, besides the engine's own policy.
#[derive(Debug, Clone)]
pub struct RuntimePolicy {
    /// The name of this process in leases.
    pub owner: String,
    /// How many requests are worked on side by side.
    pub workers: usize,
    /// Which fetches are due without a webhook.
    pub schedule: SchedulePolicy,
    /// How long old entries are kept; zero for ever.
    pub keep_for: Duration,
    /// Whether old entries that are not delivered yet are kept all the same.
    pub undelivered: Undelivered,
}

impl RuntimePolicy {
    /// Nothing is scheduled, and old entries are kept for ever.
    pub fn new(owner: String, workers: usize) -> Self {
        let schedule = SchedulePolicy {
            endpoints: BTreeSet::new(),
            poll_every: None,
            full_every: Duration::MAX,
            look_at_paused_every: Duration::MAX,
        };
        Self { owner, workers, schedule, keep_for: Duration::ZERO, undelivered: Undelivered::Keep }
    }
}

/// Wakes the loops of a runtime before their next regular look.
#[derive(Debug, Default)]
pub struct Wakers {
    /// There may be requests to work on. One notification wakes one worker, which wakes the next.
    pub work: Notify,
    /// Fetches may be due.
    pub schedule: Notify,
    /// There may be changes to deliver.
    pub deliveries: Notify,
}

/// Runs an engine unattended.
#[derive(Debug)]
pub struct Runtime<St, So, C, O, H> {
    pub(crate) engine: Engine<St, So, C, O>,
    pub(crate) host: Arc<H>,
    pub(crate) policy: RuntimePolicy,
    pub(crate) gate: Arc<KeyGate>,
    pub(crate) wakers: Arc<Wakers>,
    pub(crate) stop: CancellationToken,
    pub(crate) admission: Admission,
    missed: Missed,
}

impl<St: Store, So: Source, C: Clock, O: RuntimeObserver, H: Host> Runtime<St, So, C, O, H> {
    /// A runtime that works until `stop` is cancelled.
    pub fn new(
        engine: Engine<St, So, C, O>,
        host: Arc<H>,
        policy: RuntimePolicy,
        gate: Arc<KeyGate>,
        wakers: Arc<Wakers>,
        stop: CancellationToken,
    ) -> Self {
        let admission = Admission::new(policy.workers);
        let missed = Missed::default();
        Self { engine, host, policy, gate, wakers, stop, admission, missed }
    }

    /// Registers the configured integrations, releases the leases of processes that `is_gone` knows to have ended, makes
    /// all failed work due, and requests a delta of all that is loaded: webhooks may have been missed. Returns the targets whose leases were released. To be called at the start, and again whenever the
    /// store has become another database.
    ///
    /// # Errors
    ///
    /// The store failed; nothing was done.
    pub async fn begin(
        &self,
        integrations: BTreeSet<IntegrationId>,
        delivers: bool,
        is_gone: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<Vec<Target>, StoreError> {
        let (now, endpoints) = (self.engine.clock().now(), self.policy.schedule.endpoints.clone());
        let begun = self.engine.store().transact(Scope::Shared, move |tx| {
            if delivers {
                outbox::begin(tx)?;
                outbox::release_abandoned(tx, &is_gone)?;
            }
            dispatch::register(tx, &integrations, now)?;
            // The policy may be another one than that of the last process.
            tx.look_at_all_integrations()?;
            dispatch::retry_failed(tx, now)?;
            let released = queue::release_abandoned(tx, &is_gone)?;
            Ok::<_, StoreError>((released, dispatch::catch_up(tx, &endpoints, None, now)?))
        });
        let (released, requests) = begun.await?;
        self.report_catch_up(requests);
        Ok(released)
    }

    /// Requests soon what an integration has to tell: a webhook of it was not stored.
    pub fn note_missed(&self, integration: IntegrationId) {
        self.missed.note(integration);
        self.wakers.schedule.notify_one();
    }

    /// The integrations whose webhooks were missed since the last call; all of them if `all`.
    pub(crate) fn take_missed(&self, all: bool) -> Behind {
        self.missed.take(all)
    }

    pub(crate) fn report_catch_up(&self, requests: usize) {
        if requests > 0 {
            self.observer().notice(Notice::CaughtUp { requests });
        }
    }

    /// Works on requests, schedules fetches, deletes old entries, watches the key, and delivers changes to `receiver`.
    /// Returns after a stop, when the running batches have ended. Dropping the future ends everything at once.
    pub async fn run<R: Receiver>(self: Arc<Self>, receiver: Option<Arc<R>>) {
        let mut tasks = JoinSet::new();
        for _ in 0..self.policy.workers {
            let runtime = Arc::clone(&self);
            tasks.spawn(async move { runtime.work().await });
        }
        let runtime = Arc::clone(&self);
        tasks.spawn(async move { runtime.schedule().await });
        let runtime = Arc::clone(&self);
        tasks.spawn(async move { runtime.trim_regularly().await });
        let runtime = Arc::clone(&self);
        tasks.spawn(async move { runtime.watch_key().await });
        if let Some(receiver) = receiver {
            tasks.spawn(Arc::new(Dispatcher::new(self, receiver)).run());
        }
        while tasks.join_next().await.is_some() {}
    }

    /// The gate that closes while Kombo rejects the key.
    pub fn gate(&self) -> &Arc<KeyGate> {
        &self.gate
    }

    /// What wakes the loops.
    pub fn wakers(&self) -> &Arc<Wakers> {
        &self.wakers
    }

    pub(crate) fn observer(&self) -> &O {
        self.engine.observer()
    }

    /// Waits; a stop ends the wait.
    pub(crate) async fn pause(&self, time: Duration) {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(time) => {}
        }
    }
}
