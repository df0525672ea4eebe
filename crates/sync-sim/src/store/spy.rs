use std::collections::BTreeSet;

use kombo_model::{Category, Endpoint, IntegrationId, Timestamp};
use sync_core::changes::{Change, LogPosition};
use sync_core::horizon::Horizon;
use sync_core::jobs::{
    Claimable, Eligible, EndpointState, IntegrationRecord, IntegrationStatus, Lease, QueuedRequest, Target,
};
use sync_core::outbox::{Backlog, DeadLetter, Delivery, DeliveryId, Undelivered};
use sync_core::ports::{
    BulkRows, ChangeLog, DeadLetters, Deliveries, Endpoints, Integrations, Lock, LockMode, MirrorRows, Quarantine,
    QuarantinePart, QuarantineRelease, RateLimit, Requests, Runs, SeenNotes, Tx, TxResult, WebhookEvents,
};
use sync_core::pull::{Quarantined, Run, RunId};
use sync_core::ratelimit::Pacing;
use sync_core::rows::{Key, Model, StoredRow, Value};
use sync_core::webhooks::{PendingWebhook, WebhookRecord};

use super::{Seen, unavailable};
use crate::mutant::Mutant;
use crate::tally::Fault;
use crate::trouble::Refusal;
use crate::world::World;

/// A transaction that is observed, and that may fail.
pub(super) struct Spy<'a> {
    pub(super) tx: &'a mut dyn Tx,
    pub(super) seen: &'a mut Seen,
    pub(super) fails_at: Option<u64>,
    pub(super) broken: bool,
    pub(super) mutant: Option<Mutant>,
    /// The lease of the worker that runs the transaction.
    pub(super) lease: Option<&'a Lease>,
    pub(super) now: Timestamp,
    pub(super) world: &'a World,
    pub(super) refusal: Option<Refusal>,
}

impl Spy<'_> {
    fn statement(&mut self) -> TxResult<()> {
        if self.broken {
            return Err(unavailable("an earlier statement of the transaction failed"));
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

impl Spy<'_> {
    /// Refuses rows, as databases refuse some values.
    fn accept(&mut self, model: Model, integration: &IntegrationId, rows: &[StoredRow]) -> TxResult<()> {
        let Some(refusal) = &self.refusal else { return Ok(()) };
        let mut texts = rows.iter().flat_map(|stored| stored.row.values()).filter_map(Value::text);
        let Some(error) = texts.find_map(|text| refusal.of(text)) else { return Ok(()) };
        self.broken = true;
        self.world.count(Fault::RowRefused);
        let mut checks = self.world.checks();
        checks.excuse(integration, model.owner());
        if let Some(lease) = self.lease {
            checks.excuse(integration, lease.request.target.endpoint);
        }
        Err(error)
    }
}

impl Spy<'_> {
    /// Reports a lease of an integration that a person paused.
    fn look_at_lease(&mut self, request: &QueuedRequest) -> TxResult<()> {
        let (target, token) = (&request.target, request.lease.as_ref().map(|held| &held.token));
        let before = self.tx.request(target, LockMode::Wait)?.locked().and_then(|known| known.lease);
        if token.is_none() || token == before.as_ref().map(|held| &held.token) {
            return Ok(());
        }
        let integration = self.tx.integration(&target.integration_id)?;
        if integration.is_some_and(|known| known.status == IntegrationStatus::Held) {
            self.seen.wrong = Some(format!("leases {target}, which a person paused"));
        }
        Ok(())
    }

    /// Returns rows as the worker reads them.
    fn read(&self, rows: Vec<StoredRow>) -> Vec<StoredRow> {
        match self.mutant {
            Some(mutant) => rows.into_iter().map(|row| mutant.row(row, self.now)).collect(),
            None => rows,
        }
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

impl BulkRows for Spy<'_> {}

impl MirrorRows for Spy<'_> {
    fn rows(&mut self, model: Model, integration: &IntegrationId, keys: &[Key]) -> TxResult<Vec<StoredRow>> {
        self.statement()?;
        let rows = self.tx.rows(model, integration, keys)?;
        Ok(self.read(rows))
    }

    fn members(&mut self, model: Model, integration: &IntegrationId, parents: &[String]) -> TxResult<Vec<StoredRow>> {
        self.statement()?;
        let members = self.tx.members(model, integration, parents)?;
        Ok(self.read(members))
    }

    statements! {
        rows_after(model: Model, integration: &IntegrationId, after: Option<&Key>, limit: usize) -> Vec<StoredRow>;
        keys_after(model: Model, integration: &IntegrationId, after: Option<&Key>, limit: usize) -> Vec<Key>;
        stray_rows(model: Model) -> Vec<(IntegrationId, u64)>;
        live_rows(model: Model, integration: &IntegrationId) -> u64;
    }

    fn put_rows(&mut self, model: Model, integration: &IntegrationId, rows: &[StoredRow]) -> TxResult<()> {
        self.statement()?;
        let accepted = self.accept(model, integration, rows);
        if self.mutant == Some(Mutant::RefusedLeftOut) && accepted.is_err() {
            self.broken = false;
            return Ok(());
        }
        accepted?;
        self.seen.rows.push((model, integration.clone(), rows.to_vec()));
        self.tx.put_rows(model, integration, rows)
    }
}

impl SeenNotes for Spy<'_> {
    fn unseen(&mut self, run: RunId, model: Model, page: i64) -> TxResult<Vec<Key>> {
        self.statement()?;
        let mut unseen = self.tx.unseen(run, model, page)?;
        unseen.retain(|key| self.mutant.is_none_or(|mutant| mutant.is_swept(model, key)));
        Ok(unseen)
    }

    statements! {
        put_seen(run: RunId, batch: i64, model: Model, keys: &[Key]) -> ();
        seen(run: RunId, model: Model, keys: &[Key]) -> BTreeSet<Key>;
        seen_batches(run: RunId) -> i64;
        clear_seen(run: RunId) -> ();
        find_unseen(run: RunId, model: Model, integration: &IntegrationId) -> i64;
    }
}

impl ChangeLog for Spy<'_> {
    statements! {
        trim_changes(before: Timestamp, undelivered: Undelivered) -> u64;
        changes(integration: Option<&IntegrationId>, seq: i64, limit: usize) -> Vec<Change>;
        latest_changes(
            integration: &IntegrationId, record_id: Option<&str>, before: i64, limit: usize
        ) -> Vec<Change>;
        settled_changes(after: LogPosition, limit: usize) -> Vec<(LogPosition, Change)>;
        log_position(seq: i64) -> LogPosition;
        settled_end() -> LogPosition;
        last_change() -> i64;
        last_change_of_all() -> i64;
    }

    fn append_changes(&mut self, changes: &[Change]) -> TxResult<()> {
        self.statement()?;
        self.seen.changes.extend(changes.iter().cloned());
        self.tx.append_changes(changes)
    }
}

impl Integrations for Spy<'_> {
    statements! {
        integration(id: &IntegrationId) -> Option<IntegrationRecord>;
        integrations() -> Vec<IntegrationRecord>;
        integrations_to_look_at(now: Timestamp, latest: Timestamp, limit: usize) -> Vec<IntegrationRecord>;
        put_next_looks(looks: &[(IntegrationId, Timestamp)]) -> ();
        look_at_all_integrations() -> ();
        put_integration(integration: &IntegrationRecord) -> ();
    }

    /// Does not fail: the search for due integrations, which follows it, fails instead.
    fn categories(&mut self) -> TxResult<BTreeSet<Category>> {
        self.tx.categories()
    }
}

impl Endpoints for Spy<'_> {
    statements! {
        endpoint(integration: &IntegrationId, endpoint: Endpoint) -> Option<EndpointState>;
        endpoints(integration: Option<&IntegrationId>) -> Vec<EndpointState>;
        endpoints_of(integrations: &[IntegrationId]) -> Vec<EndpointState>;
    }

    fn put_endpoint(&mut self, state: &EndpointState) -> TxResult<()> {
        self.statement()?;
        self.seen.promises = true;
        let before = self.tx.endpoint(&state.integration_id, state.endpoint)?.and_then(|known| known.watermark);
        let state = self.mutant.map_or_else(|| state.clone(), |mutant| mutant.endpoint(state, before, self.now));
        if let (Some(from), Some(to)) = (before, state.watermark)
            // A watermark ahead of the clock is wrong, and may be moved back.
            && to < from
            && from <= self.now
        {
            self.seen.wrong = Some(format!("moves the watermark of {} from {from} to {to}", state.endpoint));
        }
        self.tx.put_endpoint(&state)?;
        self.seen.endpoints.push(state);
        Ok(())
    }
}

impl Requests for Spy<'_> {
    fn claimable_request(&mut self, horizon: &Horizon, eligible: &Eligible) -> TxResult<Claimable> {
        self.statement()?;
        let horizon = self.mutant.map_or(*horizon, |mutant| mutant.horizon(*horizon));
        let held = self.tx.integrations()?.into_iter().filter(|known| known.status == IntegrationStatus::Held);
        let held: Vec<_> = held.filter(|_| self.mutant == Some(Mutant::NoPause)).collect();
        for known in &held {
            self.tx.put_integration(&IntegrationRecord { status: IntegrationStatus::Active, ..known.clone() })?;
        }
        let eligible = self.mutant.map_or_else(|| eligible.clone(), |mutant| mutant.eligible(eligible));
        let found = self.tx.claimable_request(&horizon, &eligible);
        held.iter().try_for_each(|known| self.tx.put_integration(known))?;
        found
    }

    fn request(&mut self, target: &Target, mode: LockMode) -> TxResult<Lock<QueuedRequest>> {
        self.statement()?;
        Ok(match (self.tx.request(target, mode)?, self.mutant, self.lease) {
            (Lock::Locked(request), Some(mutant), Some(lease)) => Lock::Locked(mutant.request(request, lease)),
            (request, _, _) => request,
        })
    }

    statements! {
        requests() -> Vec<QueuedRequest>;
        leased_requests() -> Vec<QueuedRequest>;
        requests_of(integrations: &[IntegrationId]) -> Vec<QueuedRequest>;
        postpone_idle_requests(horizon: &Horizon, until: Timestamp) -> usize;
    }

    fn put_request(&mut self, request: &QueuedRequest) -> TxResult<()> {
        self.statement()?;
        self.seen.requests += 1;
        self.look_at_lease(request)?;
        self.tx.put_request(request)
    }

    fn insert_request(&mut self, request: &QueuedRequest) -> TxResult<bool> {
        self.statement()?;
        self.seen.requests += 1;
        self.tx.insert_request(request)
    }

    fn insert_requests(&mut self, requests: &[QueuedRequest]) -> TxResult<usize> {
        self.statement()?;
        self.seen.requests += requests.len();
        self.tx.insert_requests(requests)
    }

    fn retry_failed_requests(&mut self, now: Timestamp) -> TxResult<usize> {
        self.statement()?;
        let made_due = self.tx.retry_failed_requests(now)?;
        self.seen.requests += made_due;
        Ok(made_due)
    }

    fn delete_request(&mut self, target: &Target) -> TxResult<()> {
        self.statement()?;
        self.seen.promises = true;
        self.tx.delete_request(target)
    }
}

impl Runs for Spy<'_> {
    statements! {
        insert_run(run: &Run) -> RunId;
        run(id: RunId) -> Option<Run>;
        latest_run(target: &Target) -> Option<Run>;
        trim_runs(before: Timestamp) -> u64;
        runs(integration: Option<&IntegrationId>, before: Option<RunId>, limit: usize) -> Vec<Run>;
    }

    fn put_run(&mut self, run: &Run) -> TxResult<()> {
        self.statement()?;
        self.seen.runs.push(run.clone());
        self.tx.put_run(run)
    }
}

impl RateLimit for Spy<'_> {
    statements! {
        pacing() -> Pacing;
        put_pacing(pacing: &Pacing) -> ();
    }
}

impl Deliveries for Spy<'_> {
    statements! {
        delivery_start() -> Option<i64>;
        insert_delivery_start(seq: i64) -> ();
        undelivered_integrations() -> Vec<IntegrationId>;
        insert_delivery(delivery: &Delivery) -> ();
        put_delivery(delivery: &Delivery) -> ();
        delivery(integration: &IntegrationId, mode: LockMode) -> Lock<Delivery>;
        leased_deliveries() -> Vec<Delivery>;
        deliveries() -> Vec<Delivery>;
        due_deliveries(horizon: &Horizon, limit: usize) -> Vec<Delivery>;
        undelivered() -> Vec<Backlog>;
    }
}

impl DeadLetters for Spy<'_> {
    statements! {
        put_dead_letter(letter: &DeadLetter, body: &str) -> ();
        dead_letters(integration: Option<&IntegrationId>) -> Vec<DeadLetter>;
        dead_letter_body(integration: &IntegrationId, id: &DeliveryId) -> Option<String>;
        mark_dead_letter(integration: &IntegrationId, id: &DeliveryId) -> bool;
        delete_dead_letter(integration: &IntegrationId, id: &DeliveryId) -> bool;
    }
}

impl WebhookEvents for Spy<'_> {
    statements! {
        insert_webhooks(webhooks: &[WebhookRecord]) -> Vec<bool>;
        pending_webhooks(integration: &IntegrationId, limit: usize) -> Vec<PendingWebhook>;
        settle_webhooks(integration: &IntegrationId, results: &[(&str, &str)]) -> ();
        trim_webhooks(before: Timestamp) -> u64;
    }

    fn put_pending_webhooks(&mut self, webhooks: &[PendingWebhook]) -> TxResult<()> {
        self.statement()?;
        if self.mutant == Some(Mutant::StoredNotPlanned) {
            return Ok(());
        }
        self.tx.put_pending_webhooks(webhooks)
    }

    fn integrations_with_pending_webhooks(&mut self, limit: usize) -> TxResult<Vec<(IntegrationId, Timestamp)>> {
        self.statement()?;
        if self.mutant == Some(Mutant::NoSearchForWebhooks) {
            return Ok(Vec::new());
        }
        self.tx.integrations_with_pending_webhooks(limit)
    }
}

impl Quarantine for Spy<'_> {
    statements! {
        put_quarantined(records: &[Quarantined]) -> ();
        clear_quarantined(
            integration: &IntegrationId, endpoint: Endpoint, which: QuarantineRelease<'_>
        ) -> u64;
        quarantined(part: QuarantinePart<'_>, limit: usize) -> Vec<Quarantined>;
        quarantine_size(part: QuarantinePart<'_>) -> u64;
    }
}

impl Tx for Spy<'_> {}
