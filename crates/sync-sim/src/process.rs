use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use kombo_client::webhook::WebhookSecrets;
use kombo_model::{Category, Endpoint, IntegrationId, ModelName, Timestamp, Webhook, WebhookEvent};
use secrecy::SecretString;
use sync_core::jobs::Lease;
use sync_core::jobs::dispatch::SchedulePolicy;
use sync_core::outbox::Undelivered;
use sync_core::ports::{Clock as _, Event, Observer};
use sync_core::pull::Engine;
use sync_core::rows::Model;
use sync_core::rows::compare::Tombstones;
use sync_core::webhooks::WebhookPolicy;
use sync_runtime::inbox::{self, InboxHandle};
use sync_runtime::{Host, KeyState, Notice, RateLimiter, Runtime, RuntimeObserver, RuntimePolicy, Wakers};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::mutant::Mutant;
use crate::receiver::SimReceiver;
use crate::source::SimSource;
use crate::store::{LEASE, SimStore};
use crate::tally::Fault;
use crate::world::{SimClock, World, locked};

/// The secret with which Kombo signs webhooks.
pub(crate) const SECRET: &str = "a secret of ours and Kombo's";
/// Interval at which paused integrations are tried.
const LOOK_AT_PAUSED_EVERY: Duration = Duration::from_secs(600);

/// The rate limiter of a process.
pub(crate) type SimLimiter = RateLimiter<SimStore, SimClock, Hand>;

/// One process of a daemon from start to end: the parts of `syncd run`, with store, Kombo and clock of the simulation.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) world: Arc<World>,
    pub(crate) owner: String,
    pub(crate) clock: SimClock,
    pub(crate) dead: CancellationToken,
    stop: CancellationToken,
    frozen_until: Mutex<Instant>,
    secrets: WebhookSecrets,
    /// The configured endpoints at its start.
    endpoints: BTreeSet<Endpoint>,
    /// Set once the process is ready.
    inbox: OnceLock<InboxHandle>,
}

/// The answer to a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Stored,
    Refused,
    TryAgain,
}

impl Process {
    fn new(world: &Arc<World>, replica: usize, incarnation: u64, stop: CancellationToken) -> Option<Arc<Self>> {
        let mut skew = 0;
        if world.manner.wild_clocks && !world.clocks_agree.load(Ordering::SeqCst) {
            skew = world.dice().i64(-5_000..5_000);
            world.count(Fault::ReplicaSkewed);
        }
        Some(Arc::new(Self {
            world: Arc::clone(world),
            owner: format!("replica {replica}/{incarnation}"),
            clock: SimClock { world: Arc::clone(world), skew, far_off: Arc::default() },
            dead: CancellationToken::new(),
            stop,
            frozen_until: Mutex::new(Instant::now()),
            endpoints: world.endpoints(),
            secrets: WebhookSecrets::new([SecretString::from(SECRET)]).ok()?,
            inbox: OnceLock::new(),
        }))
    }

    /// Stops the process. Its supervisor starts another.
    pub(crate) fn restart(&self) {
        self.stop.cancel();
    }

    /// Whether it is neither frozen nor stopping.
    pub(crate) fn is_awake(&self) -> bool {
        *locked(&self.frozen_until) <= Instant::now() && !self.stop.is_cancelled()
    }

    /// Waits while the process is frozen.
    pub(crate) async fn thaw(&self) {
        loop {
            let until = *locked(&self.frozen_until);
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }

    /// Ends the process. The future never completes.
    pub(crate) async fn die(&self) {
        self.dead.cancel();
        std::future::pending::<()>().await;
    }

    fn store(self: &Arc<Self>) -> Arc<SimStore> {
        Arc::new(SimStore(Arc::clone(self)))
    }

    async fn live(self: Arc<Self>) {
        let (world, wakers) = (&self.world, Arc::<Wakers>::default());
        let hand = Hand(Arc::clone(&self));
        let limiter = Arc::new(SimLimiter::new(world.manner.per_minute, self.clock.clone(), hand.clone()));
        limiter.share(&self.store());
        let source = Arc::new(SimSource { process: Arc::clone(&self), limiter: Arc::clone(&limiter) });
        let mut sync = world.manner.policy.clone();
        sync.plan.endpoints.clone_from(&self.endpoints);
        if world.mutant == Some(Mutant::TombstonesMirrored) {
            sync.tombstones = Tombstones::Mirror;
        }
        let plan = sync.plan.clone();
        let engine = Engine::new(self.store(), source, self.clock.clone(), hand.clone(), sync);
        let policy = RuntimePolicy {
            schedule: SchedulePolicy {
                endpoints: self.endpoints.clone(),
                poll_every: world.manner.poll_every,
                full_every: world.manner.policy.full_every,
                look_at_paused_every: LOOK_AT_PAUSED_EVERY,
            },
            keep_for: world.manner.keep_for,
            undelivered: if world.manner.delivers { Undelivered::Keep } else { Undelivered::Remove },
            ..RuntimePolicy::new(self.owner.clone(), world.manner.workers)
        };
        let (gate, host) = (Arc::default(), Arc::new(hand.clone()));
        let runtime = Arc::new(Runtime::new(engine, host, policy, gate, Arc::clone(&wakers), self.stop.clone()));
        self.begin(&runtime).await;
        let policy = WebhookPolicy { plan, accept_unknown: true, look_at_paused_every: LOOK_AT_PAUSED_EVERY };
        let (handle, inbox) = inbox::open(self.store(), self.store(), self.clock.clone(), hand, policy, wakers);
        self.inbox.get_or_init(|| handle);
        world.log(format_args!("{} is up", self.owner));
        world.processes().push(Arc::clone(&self));
        // The end of this function, for any reason, also ends the tasks.
        let mut tasks = JoinSet::new();
        let receiver = world.manner.delivers.then(|| Arc::new(SimReceiver(Arc::clone(&self))));
        tasks.spawn(runtime.run(receiver));
        let stop = self.stop.clone();
        tasks.spawn(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = inbox.work() => {}
            }
        });
        tasks.spawn(Arc::clone(&self).suffer());
        while tasks.join_next().await.is_some() {}
        limiter.give_back().await;
    }

    async fn begin(&self, runtime: &Runtime<SimStore, SimSource, SimClock, Hand, Hand>) {
        let tenants = self.world.tenants.iter();
        let ids: BTreeMap<IntegrationId, Option<Category>> =
            tenants.map(|tenant| (tenant.id.clone(), Some(Category::Lms))).collect();
        let before = self.owner.split_once('/').map(|(replica, _)| format!("{replica}/"));
        let before = before.filter(|_| self.world.manner.same_machine);
        while !self.stop.is_cancelled() {
            let (before, owner) = (before.clone(), self.owner.clone());
            let is_gone =
                move |of: &str| before.as_ref().is_some_and(|before| of.starts_with(before)) && of != owner.as_str();
            if runtime.begin(ids.clone(), self.world.manner.delivers, is_gone).await.is_ok() {
                return;
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Injects faults into the process.
    async fn suffer(self: Arc<Self>) {
        let (world, rates) = (&self.world, &self.world.manner.rates);
        while !self.stop.is_cancelled() {
            self.pause(world.between(Duration::from_millis(1), Duration::from_secs(10))).await;
            if world.meets(Fault::CrashAnywhere, rates.crash) {
                self.die().await;
            }
            if world.meets(Fault::Restart, rates.restart) {
                self.stop.cancel();
            }
            if world.manner.wild_clocks && world.strikes(rates.far_off) {
                self.be_far_off().await;
            }
            if world.meets(Fault::ProcessFrozen, rates.freeze) {
                let ttl = world.manner.policy.lease_ttl;
                *locked(&self.frozen_until) = Instant::now() + world.between(ttl, ttl * 5);
            }
        }
    }

    /// Sets the clock wrong by hours or days, and corrects it after a while.
    async fn be_far_off(&self) {
        let world = &self.world;
        let off = world.between(Duration::from_secs(3_600), Duration::from_secs(40 * 86_400));
        let ahead = world.dice().bool();
        world.count(if ahead { Fault::ClockFarAhead } else { Fault::ClockFarBehind });
        let millis = i64::try_from(off.as_millis()).unwrap_or_default();
        self.clock.far_off.store(if ahead { millis } else { -millis }, Ordering::SeqCst);
        self.pause(world.between(Duration::from_secs(1), Duration::from_secs(300))).await;
        self.clock.far_off.store(0, Ordering::SeqCst);
    }

    async fn pause(&self, time: Duration) {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            () = sleep(time) => {}
        }
    }

    /// Receives a webhook.
    pub(crate) async fn receive(self: &Arc<Self>, body: &[u8], signature: Option<&[u8]>) -> Answer {
        self.thaw().await;
        if self.secrets.verify(body, signature).is_err() {
            return Answer::Refused;
        }
        let Ok(webhook) = serde_json::from_slice::<Webhook>(body) else { return Answer::Refused };
        let Some(inbox) = self.inbox.get() else { return Answer::TryAgain };
        let (id, event, began) = (webhook.id.clone(), webhook.event.clone(), self.world.elapsed());
        match inbox.receive(webhook).await {
            Ok(true) => {
                self.world.log(format_args!("{} stores webhook {id}", self.owner));
                if let WebhookEvent::DataChanged(data) = &event {
                    let models = data.changed_models.iter().map(|model| model.name.clone());
                    let models: Vec<_> = models.filter(|name| self.fetches(name)).collect();
                    self.world.checks().note_announced(&data.integration_id, &models, began);
                }
                Answer::Stored
            }
            Ok(false) => Answer::Stored,
            Err(_) => Answer::TryAgain,
        }
    }
}

impl Process {
    /// Whether it fetches the list of a model. Of other models it only has copies.
    fn fetches(&self, name: &ModelName) -> bool {
        let model = Model::from_name(name.as_str());
        let is_off = |model: &Model| !self.endpoints.contains(&model.owner());
        let is_known = self.world.manner.policy.plan.endpoints == self.endpoints;
        is_known || !model.is_some_and(|model| is_off(&model))
    }
}

/// The process as the runtime's host, and the observer of everything that the runtime does.
#[derive(Debug, Clone)]
pub(crate) struct Hand(Arc<Process>);

impl Host for Hand {
    fn random(&self) -> u128 {
        self.0.world.dice().u128(..)
    }

    async fn check_key(&self) -> KeyState {
        let (process, world) = (&self.0, &self.0.world);
        process.thaw().await;
        sleep(world.between(Duration::from_millis(5), Duration::from_secs(2))).await;
        match (world.strikes(world.manner.rates.server_error), world.key_rejected.load(Ordering::SeqCst)) {
            (true, _) => KeyState::Unknown,
            (false, true) => KeyState::Rejected,
            (false, false) => KeyState::Accepted,
        }
    }

    fn certain_now(&self) -> Option<Timestamp> {
        Some(self.0.clock.now().min(self.0.world.kombo_now()))
    }

    fn run<F: Future + Send>(&self, lease: &Lease, work: F) -> impl Future<Output = F::Output> + Send {
        self.0.world.log(format_args!("{} leases {}", self.0.owner, lease.request.target));
        LEASE.scope(lease.clone(), work)
    }
}

impl Observer for Hand {
    fn event(&self, event: Event<'_>) {
        let (world, owner) = (&self.0.world, &self.0.owner);
        match event {
            Event::Ended { run, .. } => {
                world.log(format_args!("{owner} ends {} as {}: {:?}", run.target, run.outcome, run.error));
                let mut tally = world.tally();
                tally.runs += 1;
                tally.completed += u64::from(run.outcome.is_complete());
            }
            Event::LeaseLost { target } => {
                world.tally().leases_lost += 1;
                world.log(format_args!("{owner} lost {target}"));
            }
            Event::Started { run, resumed } => {
                world.log(format_args!("{owner} begins {}, run {}, resumed {resumed}", run.target, run.id));
            }
            Event::Committed { .. } | _ => {}
        }
    }
}

impl RuntimeObserver for Hand {
    fn notice(&self, notice: Notice<'_>) {
        let world = &self.0.world;
        if let Notice::Trimmed { trimmed } = &notice {
            world.count(Fault::EntriesTrimmed);
            world.log(format_args!("{} {trimmed:?}", self.0.owner));
        } else if let Notice::Delivery { failed: Some(_), .. } = &notice {
            world.count(Fault::DeliveryFailed);
        }
        if let Notice::Key { accepted: false, changed: true } = &notice
            && !world.key_was_rejected()
        {
            world.fail(format!("{} holds the key for rejected, which it was not", self.0.owner));
        }
        world.log(format_args!("{} {notice:?}", self.0.owner));
    }
}

/// The running replicas.
pub(crate) struct Fleet {
    stop: CancellationToken,
    replicas: JoinSet<()>,
}

impl Fleet {
    pub(crate) fn start(world: &Arc<World>) -> Self {
        let mut fleet = Self { stop: CancellationToken::new(), replicas: JoinSet::new() };
        for replica in 0..world.manner.replicas {
            fleet.replicas.spawn(keep_running(Arc::clone(world), replica, fleet.stop.clone()));
        }
        fleet
    }

    /// Stops all replicas. Fails if they do not end in time.
    pub(crate) async fn stop(mut self) -> Result<(), String> {
        self.stop.cancel();
        let ended = async { while self.replicas.join_next().await.is_some() {} };
        tokio::time::timeout(Duration::from_secs(600), ended).await.map_err(|_| "the workers do not stop".to_owned())
    }
}

/// Starts one process after the other, like a supervisor.
async fn keep_running(world: Arc<World>, replica: usize, stop: CancellationToken) {
    let mut incarnation = u64::try_from(world.elapsed().as_millis()).unwrap_or_default();
    while !stop.is_cancelled() {
        incarnation += 1;
        let Some(process) = Process::new(&world, replica, incarnation, stop.child_token()) else { return };
        tokio::select! {
            biased;
            () = process.dead.cancelled() => {}
            () = Arc::clone(&process).live() => {}
        }
        world.log(format_args!("{} is down", process.owner));
        world.processes().retain(|known| known.owner != process.owner);
        let downtime = world.between(Duration::ZERO, Duration::from_secs(60));
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = sleep(downtime) => {}
        }
    }
}
