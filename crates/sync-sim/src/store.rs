mod spy;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kombo_model::IntegrationId;
use sync_core::changes::Change;
use sync_core::jobs::{EndpointState, Lease};
use sync_core::ports::{Clock, LockMode, Scope, Store, StoreError, Tx, TxResult};
use sync_core::pull::Run;
use sync_core::rows::{Model, StoredRow};
use tokio::time::sleep;

use crate::mutant::Mutant;
use crate::process::Process;
use crate::tally::Fault;

use spy::Spy;

tokio::task_local! {
    /// The lease of the current worker.
    pub(crate) static LEASE: Lease;
}

/// The store as a process sees it: over a connection that may break, from a process that may die.
#[derive(Debug)]
pub(crate) struct SimStore(pub(crate) Arc<Process>);

/// The faults of a transaction.
struct Outcome {
    before: Duration,
    after: Duration,
    dies: Option<Death>,
    fails_at: Option<u64>,
    answer_is_lost: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Death {
    BeforeCommit,
    AfterCommit,
}

impl SimStore {
    fn outcome(&self) -> Outcome {
        let world = &self.0.world;
        let rates = &world.manner.rates;
        let quick = || world.between(Duration::from_millis(1), Duration::from_millis(20));
        let mut outcome =
            Outcome { before: quick(), after: quick(), dies: None, fails_at: None, answer_is_lost: false };
        let weight = if LEASE.try_with(|_| ()).is_ok() { 4 } else { 1 };
        if world.meets(Fault::TransactionStalled, rates.stall * weight) {
            let ttl = world.manner.policy.lease_ttl;
            let long = world.between(ttl, ttl * 4);
            if world.dice().bool() { outcome.before += long } else { outcome.after += long }
        }
        if world.strikes(rates.statement * weight) {
            outcome.fails_at = Some(world.dice().u64(1..12));
        } else if world.strikes(rates.answer * weight) {
            outcome.answer_is_lost = true;
        } else if world.strikes(rates.crash_before * weight) {
            outcome.dies = Some(Death::BeforeCommit);
        } else if world.strikes(rates.crash_after * weight) {
            outcome.dies = Some(Death::AfterCommit);
        }
        outcome
    }

    async fn transaction<T, E, F>(&self, work: F, writes: bool) -> Result<T, E>
    where
        E: From<StoreError>,
        F: FnOnce(&mut dyn Tx) -> Result<T, E>,
    {
        let world = Arc::clone(&self.0.world);
        let outcome = self.outcome();
        self.0.thaw().await;
        let _busy = Busy::new(&world.in_transactions);
        sleep(outcome.before).await;
        self.0.thaw().await;
        // With this mutant the watermark is stored regardless.
        let is_doomed = outcome.dies == Some(Death::BeforeCommit) && world.mutant == Some(Mutant::WatermarkFirst);
        if outcome.dies == Some(Death::BeforeCommit) && !is_doomed {
            world.count(Fault::CrashBeforeCommit);
            self.0.die().await;
        }
        world.tally().transactions += 1;
        let held = LEASE.try_with(Clone::clone).ok();
        let mut seen = Seen::default();
        let run = |tx: &mut dyn Tx| {
            let (mutant, lease, now) = (world.mutant, held.as_ref(), self.0.clock.now());
            let mut spy = Spy {
                tx,
                seen: &mut seen,
                fails_at: outcome.fails_at,
                broken: false,
                mutant,
                lease,
                now,
                world: &world,
                refusal: world.refusal(),
            };
            if writes && let Some(lease) = &held {
                let request = spy.tx.request(&lease.request.target, LockMode::Wait)?.locked();
                let token = request.and_then(|request| request.lease).map(|held| held.token);
                spy.seen.lease_holds = token.as_ref() == Some(&lease.token);
            }
            let value = work(&mut spy)?;
            if spy.broken || is_doomed {
                Err(unavailable("a statement of the transaction failed").into())
            } else {
                Ok(value)
            }
        };
        let result = if writes { world.store.edit(run) } else { world.store.look(run) };
        if seen.failed {
            world.count(Fault::StatementFailed);
        }
        if result.is_err() && world.mutant == Some(Mutant::WatermarkFirst) {
            let kept = world.store.edit(|tx| seen.endpoints.iter().try_for_each(|state| tx.put_endpoint(state)));
            drop::<TxResult<()>>(kept);
        }
        if is_doomed {
            self.0.die().await;
        }
        if result.is_ok() && writes {
            let wrong = world.checks().after_transaction(&world, &self.0.owner, &seen, held.as_ref());
            if let Err(wrong) = wrong {
                world.fail(wrong);
            }
        }
        if let Err(stuck) = world.checks().waits(&world) {
            world.fail(stuck);
        }
        if outcome.dies == Some(Death::AfterCommit) {
            world.count(Fault::CrashAfterCommit);
            self.0.die().await;
        }
        sleep(outcome.after).await;
        self.0.thaw().await;
        if outcome.answer_is_lost && result.is_ok() {
            world.count(Fault::AnswerLost);
            return Err(unavailable("the connection broke").into());
        }
        result
    }
}

impl Store for SimStore {
    async fn transact<T, E, F>(&self, _scope: Scope, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    {
        self.transaction(work, true).await
    }

    async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    {
        self.transaction(work, false).await
    }
}

fn unavailable(message: &str) -> StoreError {
    StoreError::Unavailable { message: message.to_owned(), source: None }
}

/// Counts running operations.
pub(crate) struct Busy<'a>(&'a AtomicUsize);

impl<'a> Busy<'a> {
    pub(crate) fn new(under_way: &'a AtomicUsize) -> Self {
        under_way.fetch_add(1, Ordering::SeqCst);
        Self(under_way)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The writes of a transaction.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) rows: Vec<(Model, IntegrationId, Vec<StoredRow>)>,
    pub(crate) changes: Vec<Change>,
    pub(crate) runs: Vec<Run>,
    /// Number of requests that were written.
    pub(crate) requests: usize,
    /// The states of endpoints that were written.
    pub(crate) endpoints: Vec<EndpointState>,
    /// Whether it made a promise: it moved a watermark, or ended a request.
    pub(crate) promises: bool,
    /// Whether the worker still had its lease when the transaction began.
    pub(crate) lease_holds: bool,
    pub(crate) failed: bool,
    /// A forbidden action, if there was one.
    pub(crate) wrong: Option<String>,
}
