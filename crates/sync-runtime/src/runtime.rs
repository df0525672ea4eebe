mod admission;
mod categories;
mod dispatcher;
mod jobs;
mod upkeep;
mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kombo_model::{Category, IntegrationId};
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
use categories::Categories;
use dispatcher::Dispatcher;

pub use dispatcher::{DeliveryPolicy, Receiver};
pub use jobs::FinishedRun;

/// The settings of a runtime, in addition to the engine's policy.
#[derive(Debug, Clone)]
pub struct RuntimePolicy {
    /// Name of this process in leases.
    pub owner: String,
    /// Number of workers.
    pub workers: usize,
    /// Settings of the schedule.
    pub schedule: SchedulePolicy,
    /// Retention of old entries; zero keeps them permanently.
    pub keep_for: Duration,
    /// Treatment of old entries that are not delivered yet.
    pub undelivered: Undelivered,
}

impl RuntimePolicy {
    /// Returns a policy that schedules nothing and deletes nothing.
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

/// Wakes the loops of a runtime before their next regular check.
#[derive(Debug, Default)]
pub struct Wakers {
    /// Requests may be due. One notification wakes one worker, which wakes the next.
    pub work: Notify,
    /// Fetches may be due.
    pub schedule: Notify,
    /// Changes may be ready for delivery.
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
    pub(crate) categories: Categories,
    missed: Missed,
}

impl<St: Store, So: Source, C: Clock, O: RuntimeObserver, H: Host> Runtime<St, So, C, O, H> {
    /// Creates a runtime that works until `stop` is cancelled.
    pub fn new(
        engine: Engine<St, So, C, O>,
        host: Arc<H>,
        policy: RuntimePolicy,
        gate: Arc<KeyGate>,
        wakers: Arc<Wakers>,
        stop: CancellationToken,
    ) -> Self {
        let admission = Admission::new(policy.workers);
        let (categories, missed) = (Categories::default(), Missed::default());
        Self { engine, host, policy, gate, wakers, stop, admission, categories, missed }
    }

    /// Registers the configured integrations, with their categories if these are known, releases the leases of processes
    /// that have ended according to `is_gone`, makes all failed work due, and requests a delta of every loaded endpoint, because webhooks may have been missed.
    /// Returns the targets of the released leases. Must be called at the start, and again whenever the store has become
    /// another database.
    ///
    /// # Errors
    ///
    /// The store failed; nothing was done.
    pub async fn begin(
        &self,
        integrations: BTreeMap<IntegrationId, Option<Category>>,
        delivers: bool,
        is_gone: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<Vec<Target>, StoreError> {
        let (now, endpoints) = (self.engine.clock().now(), self.policy.schedule.endpoints.clone());
        let begun = self.engine.store().transact(Scope::Shared, move |tx| {
            if delivers {
                outbox::begin(tx, now)?;
            }
            dispatch::register(tx, &integrations, now)?;
            // The policy may differ from that of the previous process.
            tx.look_at_all_integrations()?;
            dispatch::retry_failed(tx, now)?;
            let released = queue::release_abandoned(tx, &is_gone)?;
            let requests = dispatch::catch_up(tx, &endpoints, None, now)?;
            // Last: a worker that appends changes waits for a delivery while it holds its request.
            if delivers {
                outbox::release_abandoned(tx, &is_gone)?;
            }
            Ok::<_, StoreError>((released, requests))
        });
        let (released, requests) = begun.await?;
        self.report_catch_up(requests);
        Ok(released)
    }

    /// Requests the changes of an integration soon, because one of its webhooks was not stored.
    pub fn note_missed(&self, integration: IntegrationId) {
        self.missed.note(integration);
        self.wakers.schedule.notify_one();
    }

    /// Returns the integrations that missed webhooks since the last call, or all integrations if `all`.
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
        tasks.spawn(runtime.schedule());
        let runtime = Arc::clone(&self);
        tasks.spawn(async move { runtime.trim_regularly().await });
        let runtime = Arc::clone(&self);
        tasks.spawn(async move { runtime.watch_key().await });
        if let Some(receiver) = receiver {
            tasks.spawn(Arc::new(Dispatcher::new(self, receiver)).run());
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Returns the store.
    pub fn store(&self) -> &Arc<St> {
        self.engine.store()
    }

    /// Returns the gate that closes while Kombo rejects the key.
    pub fn gate(&self) -> &Arc<KeyGate> {
        &self.gate
    }

    /// Returns the wakers of the loops.
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
