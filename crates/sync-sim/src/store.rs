use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use sync_core::changes::Change;
use sync_core::horizon::Horizon;
use sync_core::jobs::{EndpointState, IntegrationRecord, Lease, Request, Target};
use sync_core::outbox::{Backlog, DeadLetter, Delivery, DeliveryId, Undelivered};
use sync_core::ports::{Scope, Store, StoreError, TryRequest, Tx, TxResult};
use sync_core::pull::{Quarantined, Run, RunId};
use sync_core::ratelimit::Pacing;
use sync_core::rows::{Key, Model, StoredRow};
use sync_core::webhooks::WebhookRecord;
use tokio::time::sleep;

use crate::process::Process;
use crate::tally::Fault;

tokio::task_local! {
    /// What the worker works on that runs now.
    pub(crate) static LEASE: Lease;
}

/// The store as a process sees it: over a connection that may break, from a process that may die.
#[derive(Debug)]
pub(crate) struct SimStore(pub(crate) Arc<Process>);

/// What becomes of a unit.
struct Fate {
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
    fn fate(&self) -> Fate {
        let world = &self.0.world;
        let rates = &world.manner.rates;
        let quick = || world.between(Duration::from_millis(1), Duration::from_millis(20));
        let mut fate = Fate { before: quick(), after: quick(), dies: None, fails_at: None, answer_is_lost: false };
        let weight = if LEASE.try_with(|_| ()).is_ok() { 4 } else { 1 };
        if world.meets(Fault::UnitStalled, rates.stall * weight) {
            let ttl = world.manner.policy.lease_ttl;
            let long = world.between(ttl, ttl * 4);
            if world.dice().bool() { fate.before += long } else { fate.after += long }
        }
        if world.strikes(rates.statement * weight) {
            fate.fails_at = Some(world.dice().u64(1..12));
        } else if world.strikes(rates.answer * weight) {
            fate.answer_is_lost = true;
        } else if world.strikes(rates.crash_before * weight) {
            fate.dies = Some(Death::BeforeCommit);
        } else if world.strikes(rates.crash_after * weight) {
            fate.dies = Some(Death::AfterCommit);
        }
        fate
    }

    async fn unit<T, E, F>(&self, work: F, writes: bool) -> Result<T, E>
    where
        E: From<StoreError>,
        F: FnOnce(&mut dyn Tx) -> Result<T, E>,
    {
        let world = Arc::clone(&self.0.world);
        let fate = self.fate();
        self.0.thaw().await;
        let _busy = Busy::new(&world.in_units);
        sleep(fate.before).await;
        self.0.thaw().await;
        if fate.dies == Some(Death::BeforeCommit) {
            world.count(Fault::CrashBeforeCommit);
            self.0.die().await;
        }
        world.tally().units += 1;
        let held = LEASE.try_with(Clone::clone).ok();
        let mut seen = Seen::default();
        let run = |tx: &mut dyn Tx| {
            let mut spy = Spy { tx, seen: &mut seen, fails_at: fate.fails_at, broken: false };
            if writes && let Some(lease) = &held {
                let request = spy.tx.request(&lease.request.target)?;
                let token = request.and_then(|request| request.lease).map(|held| held.token);
                spy.seen.lease_holds = token.as_ref() == Some(&lease.token);
            }
            let value = work(&mut spy)?;
            if spy.broken { Err(unavailable("a statement of the unit failed").into()) } else { Ok(value) }
        };
        let result = if writes { world.store.edit(run) } else { world.store.look(run) };
        if seen.failed {
            world.count(Fault::StatementFailed);
        }
        if result.is_ok() && writes {
            let wrong = world.checks().after_unit(&world, &self.0.owner, &seen, held.as_ref());
            if let Err(wrong) = wrong {
                world.fail(wrong);
            }
        }
        if fate.dies == Some(Death::AfterCommit) {
            world.count(Fault::CrashAfterCommit);
            self.0.die().await;
        }
        sleep(fate.after).await;
        self.0.thaw().await;
        if fate.answer_is_lost && result.is_ok() {
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
        self.unit(work, true).await
    }

    async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    {
        self.unit(work, false).await
    }
}

fn unavailable(message: &str) -> StoreError {
    StoreError::Unavailable { message: message.to_owned(), source: None }
}

/// Counts what is under way.
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

/// What a unit did.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) rows: Vec<(Model, IntegrationId, Vec<StoredRow>)>,
    pub(crate) changes: Vec<Change>,
    pub(crate) runs: Vec<Run>,
    /// How many requests were written.
    pub(crate) requests: usize,
    /// Whether something was promised: a watermark, or that a request is done.
    pub(crate) promises: bool,
    /// Whether the lease of the worker was still its own as the unit began.
    pub(crate) lease_holds: bool,
    pub(crate) failed: bool,
}

/// A unit of work that is looked at, and may break.
struct Spy<'a> {
    tx: &'a mut dyn Tx,
    seen: &'a mut Seen,
    fails_at: Option<u64>,
    broken: bool,
}

impl Spy<'_> {
    fn statement(&mut self) -> TxResult<()> {
        if self.broken {
            return Err(unavailable("an earlier statement of the unit failed"));
        }
        let left = self.fails_at.map(|left| left.saturating_sub(1));
        self.fails_at = left;
        if left == Some(0) {
            (self.broken, self.seen.failed) = (true, true);
            return Err(unavailable("the statement failed"));
        }
        Ok(())
    }
}

macro_rules! statements {
    ($($name:ident($($arg:ident: $kind:ty),*) -> $value:ty;)*) => {
        $(fn $name(&mut self, $($arg: $kind),*) -> TxResult<$value> {
            self.statement()?;
            self.tx.$name($($arg),*)
        })*
    };
}

impl Tx for Spy<'_> {
    statements! {
        rows(model: Model, integration: &IntegrationId, keys: &[Key]) -> Vec<StoredRow>;
        members(model: Model, integration: &IntegrationId, parents: &[String]) -> Vec<StoredRow>;
        rows_after(model: Model, integration: &IntegrationId, after: Option<&Key>, limit: usize) -> Vec<StoredRow>;
        live_rows(model: Model, integration: &IntegrationId) -> u64;
        put_seen(run: RunId, batch: i64, model: Model, keys: &[Key]) -> ();
        seen_batches(run: RunId) -> i64;
        clear_seen(run: RunId) -> ();
        unseen(
            model: Model, integration: &IntegrationId, run: RunId, after: Option<&Key>, limit: usize
        ) -> Vec<Key>;
        changes(integration: Option<&IntegrationId>, seq: i64, limit: usize) -> Vec<Change>;
        latest_changes(
            integration: &IntegrationId, record_id: Option<&str>, before: i64, limit: usize
        ) -> Vec<Change>;
        last_change() -> i64;
        trim_changes(before: Timestamp, undelivered: Undelivered) -> u64;
        integration(id: &IntegrationId) -> Option<IntegrationRecord>;
        integrations() -> Vec<IntegrationRecord>;
        put_integration(integration: &IntegrationRecord) -> ();
        endpoint(integration: &IntegrationId, endpoint: Endpoint) -> Option<EndpointState>;
        endpoints() -> Vec<EndpointState>;
        endpoints_of(integration: &IntegrationId) -> Vec<EndpointState>;
        request(target: &Target) -> Option<Request>;
        try_request(target: &Target) -> TryRequest;
        requests() -> Vec<Request>;
        due_requests(horizon: &Horizon, limit: usize) -> Vec<Request>;
        insert_run(run: &Run) -> RunId;
        run(id: RunId) -> Option<Run>;
        latest_run(target: &Target) -> Option<Run>;
        recent_runs(integration: Option<&IntegrationId>, limit: usize) -> Vec<Run>;
        runs_before(integration: Option<&IntegrationId>, before: RunId, limit: usize) -> Vec<Run>;
        trim_runs(before: Timestamp) -> u64;
        pacing() -> Pacing;
        put_pacing(pacing: &Pacing) -> ();
        delivery_start() -> Option<i64>;
        insert_delivery_start(seq: i64) -> ();
        undelivered_integrations() -> Vec<IntegrationId>;
        insert_delivery(delivery: &Delivery) -> ();
        put_delivery(delivery: &Delivery) -> ();
        delivery(integration: &IntegrationId) -> Option<Delivery>;
        try_delivery(integration: &IntegrationId) -> Option<Delivery>;
        deliveries() -> Vec<Delivery>;
        due_deliveries(horizon: &Horizon, limit: usize) -> Vec<Delivery>;
        undelivered() -> Vec<Backlog>;
        put_dead_letter(letter: &DeadLetter, body: &str) -> ();
        dead_letters(integration: Option<&IntegrationId>) -> Vec<DeadLetter>;
        dead_letter_body(integration: &IntegrationId, id: &DeliveryId) -> Option<String>;
        mark_dead_letter(integration: &IntegrationId, id: &DeliveryId) -> bool;
        delete_dead_letter(integration: &IntegrationId, id: &DeliveryId) -> bool;
        insert_webhooks(webhooks: &[WebhookRecord]) -> Vec<bool>;
        trim_webhooks(before: Timestamp) -> u64;
        put_quarantined(records: &[Quarantined]) -> ();
        clear_quarantined(integration: &IntegrationId, endpoint: Endpoint, ids: &[String]) -> u64;
        clear_quarantined_before(integration: &IntegrationId, endpoint: Endpoint, run: RunId) -> u64;
        quarantined(integration: Option<&IntegrationId>) -> Vec<Quarantined>;
        first_quarantined(integration: Option<&IntegrationId>, limit: usize) -> Vec<Quarantined>;
        quarantined_from(integration: &IntegrationId, endpoint: Endpoint, from: &str, limit: usize) -> Vec<Quarantined>;
        quarantine_total() -> u64;
        quarantine_size(integration: &IntegrationId, endpoint: Endpoint) -> u64;
    }

    fn put_rows(&mut self, model: Model, integration: &IntegrationId, rows: &[StoredRow]) -> TxResult<()> {
        self.statement()?;
        self.seen.rows.push((model, integration.clone(), rows.to_vec()));
        self.tx.put_rows(model, integration, rows)
    }

    fn append_changes(&mut self, changes: &[Change]) -> TxResult<()> {
        self.statement()?;
        self.seen.changes.extend(changes.iter().cloned());
        self.tx.append_changes(changes)
    }

    fn put_endpoint(&mut self, state: &EndpointState) -> TxResult<()> {
        self.statement()?;
        self.seen.promises = true;
        self.tx.put_endpoint(state)
    }

    fn put_request(&mut self, request: &Request) -> TxResult<()> {
        self.statement()?;
        self.seen.requests += 1;
        self.tx.put_request(request)
    }

    fn insert_request(&mut self, request: &Request) -> TxResult<bool> {
        self.statement()?;
        self.seen.requests += 1;
        self.tx.insert_request(request)
    }

    fn delete_request(&mut self, target: &Target) -> TxResult<()> {
        self.statement()?;
        self.seen.promises = true;
        self.tx.delete_request(target)
    }

    fn put_run(&mut self, run: &Run) -> TxResult<()> {
        self.statement()?;
        self.seen.runs.push(run.clone());
        self.tx.put_run(run)
    }
}
