//! The engine: works on one leased request from the first page to the end, over the ports.

mod clock_lead;
mod commit;
mod delta_priority;
pub(crate) mod fail;
mod pages;
mod quarantine;
mod sweep;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::error::SyncError;
use crate::horizon::Horizon;
use crate::jobs::lease::LeasedTx;
use crate::jobs::queue;
use crate::jobs::request::{Lease, SyncKind, Target};
use crate::ports::clock::Clock;
use crate::ports::error::TxResult;
use crate::ports::observer::{Event, Observer};
use crate::ports::source::Source;
use crate::ports::store::{Scope, Store, Tx};
use crate::pull::run::{Run, RunId, RunOutcome, RunPhase};
use crate::pull::watermark;
use crate::rows::Model;
use crate::rows::compare::Tombstones;
use crate::rows::counts::RunCounts;
use crate::webhooks::planner::PlanPolicy;

use clock_lead::ClockLead;
use delta_priority::DeltaPriority;

pub use fail::Backoff;

/// The settings of the engine.
///
/// ```
/// use std::time::Duration;
///
/// use kombo_model::Endpoint;
/// use sync_core::pull::SyncPolicy;
///
/// let policy = SyncPolicy {
///     full_every: Duration::from_secs(86_400),
///     change_values: true,
///     ..SyncPolicy::new([Endpoint::LmsUsers, Endpoint::LmsCourseProgressions].into())
/// };
/// ```
#[derive(Debug, Clone)]
pub struct SyncPolicy {
    /// The enabled endpoints, and how changes are planned.
    pub plan: PlanPolicy,
    /// Time between a watermark and the later start of its fetch.
    pub overlap: Duration,
    /// Interval between full fetches of an endpoint.
    pub full_every: Duration,
    /// Treatment of the values of deleted records.
    pub tombstones: Tombstones,
    /// Whether the change log contains old and new values.
    pub change_values: bool,
    /// Duration of a lease without an extension.
    pub lease_ttl: Duration,
    /// Maximum number of records in a transaction, give or take a page.
    pub batch_records: usize,
    /// Maximum number of ids in a look-up.
    pub ids_per_lookup: usize,
    /// Waiting times after failures.
    pub backoff: Backoff,
}

impl SyncPolicy {
    /// Returns the default policy for a set of endpoints.
    pub fn new(endpoints: BTreeSet<Endpoint>) -> Self {
        Self {
            plan: PlanPolicy {
                endpoints,
                mode: crate::webhooks::planner::PlanMode::default(),
                blind_full_min_interval: Duration::from_secs(3_600),
            },
            overlap: Duration::from_secs(120),
            full_every: Duration::from_secs(7 * 86_400),
            tombstones: Tombstones::Mirror,
            change_values: false,
            lease_ttl: Duration::from_secs(30),
            batch_records: 5_000,
            ids_per_lookup: 100,
            backoff: Backoff::default(),
        }
    }

    /// Returns the longest possible wait of a request: see [`crate::horizon`].
    pub fn longest_wait(&self) -> Duration {
        self.backoff.longest().max(self.plan.blind_full_min_interval)
    }

    /// Returns the limits for stored times.
    pub(crate) fn horizon(&self, now: Timestamp) -> Horizon {
        Horizon { now, longest_wait: self.longest_wait(), lease_ttl: self.lease_ttl }
    }

    /// Returns the policy with another plan policy.
    #[must_use]
    pub fn with_plan(mut self, plan: PlanPolicy) -> Self {
        self.plan = plan;
        self
    }
}

/// The result of an attempt at a run.
#[derive(Debug)]
pub struct Attempt {
    /// The run as stored.
    pub run: Run,
    /// The error, if the attempt failed. The run contains its text.
    pub failure: Option<SyncError>,
}

/// Works on leased requests.
///
/// It is built from ports; this example uses those of `sync-testkit`. The example `embed_engine` is a complete program.
///
/// ```
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// # use kombo_model::{Endpoint, IntegrationId};
/// # use sync_core::SyncError;
/// # use sync_core::ports::{Clock, Silent};
/// # use sync_core::jobs::queue::{self, Claim};
/// # use sync_core::jobs::{LeaseToken, RequestCause, SyncKind, Target};
/// # use sync_testkit::{FakeKombo, ManualClock, MemoryStore};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), SyncError> {
/// # let (clock, store) = (ManualClock::default(), MemoryStore::new());
/// # let kombo = FakeKombo::new(clock.clone());
/// # kombo.edit(|lms| lms.add_user("u"));
/// # clock.advance(Duration::from_secs(3_600));
/// # let target = Target {
/// #     integration_id: IntegrationId::from("sandbox:a"),
/// #     endpoint: Endpoint::LmsUsers,
/// #     kind: SyncKind::Full,
/// # };
/// # let claim = Claim {
/// #     owner: "test".to_owned(),
/// #     token: LeaseToken("1".to_owned()),
/// #     ttl: Duration::from_secs(30),
/// #     longest_wait: Duration::from_secs(3_600),
/// # };
/// # let lease = store.edit(|tx| {
/// #     queue::request(tx, target.clone(), RequestCause::Load, clock.now(), clock.now())?;
/// #     queue::lease_target(tx, &target, &claim, clock.now()).map_err(SyncError::from)
/// # })?.expect("nobody else works here");
/// use sync_core::pull::{Engine, SyncPolicy};
/// use tokio_util::sync::CancellationToken;
///
/// let policy = SyncPolicy::new([Endpoint::LmsUsers].into());
/// let engine = Engine::new(Arc::new(store), Arc::new(kombo), clock, Silent, policy);
/// let attempt = engine.work(&lease, &CancellationToken::new()).await?;
/// assert!(attempt.run.outcome.is_complete());
/// assert_eq!(attempt.run.counts.created, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Engine<St, So, C, O> {
    store: Arc<St>,
    source: Arc<So>,
    clock: C,
    observer: O,
    policy: Arc<SyncPolicy>,
    delta_priority: DeltaPriority,
    clock_lead: ClockLead,
}

impl<St: Store, So: Source, C: Clock, O: Observer> Engine<St, So, C, O> {
    /// Creates an engine over these ports.
    pub fn new(store: Arc<St>, source: Arc<So>, clock: C, observer: O, policy: SyncPolicy) -> Self {
        Self {
            store,
            source,
            clock,
            observer,
            policy: Arc::new(policy),
            delta_priority: DeltaPriority::default(),
            clock_lead: ClockLead::default(),
        }
    }

    /// Returns the source.
    pub fn source(&self) -> &Arc<So> {
        &self.source
    }

    /// Returns the store.
    pub fn store(&self) -> &Arc<St> {
        &self.store
    }

    /// Returns the clock.
    pub fn clock(&self) -> &C {
        &self.clock
    }

    /// Returns the observer.
    pub fn observer(&self) -> &O {
        &self.observer
    }

    /// Returns the policy.
    pub fn policy(&self) -> &SyncPolicy {
        &self.policy
    }

    /// Works on a leased request until it is done or fails, or until `stop` ends it after the current batch.
    ///
    /// Committed batches always stay, and the next attempt continues after them.
    ///
    /// # Errors
    ///
    /// The lease was lost, or the state of the run could not be stored. A failed fetch is not an error: see
    /// [`Attempt::failure`].
    pub async fn work(&self, lease: &Lease, stop: &CancellationToken) -> Result<Attempt, SyncError> {
        let result = self.lead(lease, stop).await;
        if let Err(SyncError::LeaseLost(_)) = &result {
            self.observer.event(Event::LeaseLost { target: &lease.request.target });
        }
        result
    }

    async fn lead(&self, lease: &Lease, stop: &CancellationToken) -> Result<Attempt, SyncError> {
        let began = self.clock.now();
        let _delta = (lease.request.target.kind == SyncKind::Delta).then(|| self.delta_priority.begin());
        let (mut run, resumed) = self.begin(lease).await?;
        self.observer.event(Event::Started { run: &run, resumed });
        let result = self.drive(lease, &mut run, stop).await;
        let (run, failure) = match result {
            Ok(()) => (run, None),
            Err(error @ SyncError::LeaseLost(_)) => return Err(error),
            Err(error) => (self.fail(lease, run, &error).await?, Some(error)),
        };
        let took = self.clock.now().since(began);
        self.observer.event(Event::Ended { run: &run, took, failure: failure.as_ref() });
        Ok(Attempt { run, failure })
    }

    async fn drive(&self, lease: &Lease, run: &mut Run, stop: &CancellationToken) -> Result<(), SyncError> {
        if run.phase == RunPhase::Pages {
            self.pages(lease, run, stop).await?;
        }
        if run.phase == RunPhase::Sweep && !stop.is_cancelled() {
            self.sweep(lease, run, stop).await?;
        }
        if run.phase != RunPhase::Done {
            self.interrupt(lease, run).await?;
        }
        Ok(())
    }

    /// Returns the disabled endpoints that list rows of which `endpoint` shows copies.
    fn disabled_owners(&self, endpoint: Endpoint) -> BTreeSet<Endpoint> {
        let enabled = &self.policy.plan.endpoints;
        let copied = endpoint.category().models().filter(|model| model.embedded_by().contains(&endpoint));
        copied.map(Model::owner).filter(|owner| !enabled.contains(owner)).collect()
    }

    /// Resumes the latest run of the target, or starts one.
    async fn begin(&self, lease: &Lease) -> Result<(Run, bool), SyncError> {
        let (lease, now, ttl) = (lease.clone(), self.clock.now(), self.policy.lease_ttl);
        let target = lease.request.target.clone();
        let disabled = self.disabled_owners(target.endpoint);
        self.store
            .transact(Scope::Integration(target.integration_id.clone()), move |tx| {
                let tx = &mut LeasedTx::assert_lease(tx, &lease, now, ttl)?;
                tx.assert_alone(now, ttl)?;
                for owner in disabled {
                    supersede_first_load(&mut **tx, &target.integration_id, owner, now)?;
                }
                let mut state = queue::state(&mut **tx, &target.integration_id, target.endpoint)?;
                if state.watermark.is_some() && watermark::plausible(state.watermark, now).is_none() {
                    tracing::warn!(
                        integration.id = target.integration_id.as_str(),
                        endpoint = target.endpoint.as_str(),
                        "the watermark lies in the future: the next delta lists everything"
                    );
                    state.watermark = None;
                    tx.put_endpoint(&state)?;
                }
                if let Some(mut run) = tx.latest_run(&target)?
                    && run.outcome.is_resumable()
                {
                    // If a full fetch has moved the watermark, the old delta would request more than necessary.
                    let current = target.kind == SyncKind::Full || run.updated_after == state.watermark;
                    run.outcome = if current { RunOutcome::Running } else { RunOutcome::Superseded };
                    run.finished_at = if current { None } else { Some(now) };
                    run.error = None;
                    tx.put_run(&run)?;
                    if current {
                        tx.go_on()?;
                        return Ok((run, true));
                    }
                }
                tx.begin()?;
                let mut run = Run {
                    id: RunId(0),
                    outcome: RunOutcome::Running,
                    started_at: now,
                    finished_at: None,
                    updated_after: match target.kind {
                        SyncKind::Delta => state.watermark,
                        SyncKind::Full => None,
                    },
                    fetch_started_at: None,
                    first_load: state.loaded_at.is_none(),
                    phase: RunPhase::Pages,
                    page_cursor: None,
                    batches: 0,
                    counts: RunCounts::default(),
                    error: None,
                    target,
                };
                run.id = tx.insert_run(&run)?;
                Ok((run, false))
            })
            .await
    }

    /// Extends the lease between commits.
    async fn heartbeat(&self, lease: &Lease) -> Result<(), SyncError> {
        let (lease, now, ttl) = (lease.clone(), self.clock.now(), self.policy.lease_ttl);
        self.store.transact(Scope::Shared, move |tx| LeasedTx::assert_lease(tx, &lease, now, ttl).map(drop)).await
    }

    /// Waits for `slow` and extends the lease meanwhile.
    async fn while_holding<T>(&self, lease: &Lease, slow: impl Future<Output = T>) -> Result<T, SyncError> {
        let mut slow = std::pin::pin!(slow);
        loop {
            match tokio::time::timeout(self.policy.lease_ttl / 3, slow.as_mut()).await {
                Ok(done) => return Ok(done),
                Err(_) => self.heartbeat(lease).await?,
            }
        }
    }

    /// Releases a run that was stopped.
    async fn interrupt(&self, lease: &Lease, run: &mut Run) -> Result<(), SyncError> {
        let (lease, now, stopped) = (lease.clone(), self.clock.now(), run.clone());
        *run = self
            .store
            .transact(Scope::Shared, move |tx| {
                let tx = &mut LeasedTx::assert_lease(tx, &lease, now, Duration::ZERO)?;
                let mut stopped = commit::checkpoint(tx, &stopped)?;
                stopped.outcome = RunOutcome::Interrupted;
                stopped.finished_at = Some(now);
                tx.release(now, false)?;
                tx.put_run(&stopped)?;
                Ok::<_, SyncError>(stopped)
            })
            .await?;
        Ok(())
    }
}

/// Ends an interrupted first load of a disabled endpoint. While the endpoint is disabled, copies alone decide on its rows,
/// also on those that the pages of that load have shown, so it could not continue where it stopped.
fn supersede_first_load(
    tx: &mut dyn Tx,
    integration: &IntegrationId,
    endpoint: Endpoint,
    now: Timestamp,
) -> TxResult<()> {
    let target = Target { integration_id: integration.clone(), endpoint, kind: SyncKind::Full };
    let Some(run) = tx.latest_run(&target)?.filter(|run| run.first_load && run.outcome.is_resumable()) else {
        return Ok(());
    };
    tx.put_run(&Run { outcome: RunOutcome::Superseded, finished_at: Some(now), error: None, ..run })
}
