use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use sync_core::changes::Change;
use sync_core::horizon::Horizon;
use sync_core::jobs::{EndpointState, IntegrationRecord, Request, SyncKind, Target};
use sync_core::outbox::{Backlog, DeadLetter, Delivery, DeliveryId, Undelivered};
use sync_core::ports::{StoreError, TryRequest, Tx, TxResult};
use sync_core::pull::{Quarantined, Run, RunId};
use sync_core::ratelimit::Pacing;
use sync_core::rows::{Key, Model, StoredRow, Value};
use sync_core::webhooks::WebhookRecord;

use super::faults::{Faults, Reason};
use super::state::{State, Table};

/// What a unit may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Read,
    Write,
}

/// A unit of work under way, on its own copy of the state.
pub(super) struct MemoryTx<'a> {
    state: State,
    faults: &'a Mutex<Faults>,
    mode: Mode,
    /// A statement failed: as in a database, nothing more can be done and nothing is committed.
    broken: bool,
    may_be_lost: bool,
}

/// What a unit left behind.
pub(super) struct Done {
    pub(super) state: State,
    pub(super) may_be_lost: bool,
}

impl<'a> MemoryTx<'a> {
    pub(super) fn new(state: State, faults: &'a Mutex<Faults>, mode: Mode) -> Self {
        Self { state, faults, mode, broken: false, may_be_lost: false }
    }

    /// Runs `work`; with its value comes what it left behind.
    pub(super) fn run<T, E: From<StoreError>>(
        mut self,
        work: impl FnOnce(&mut dyn Tx) -> Result<T, E>,
    ) -> Result<(T, Done), E> {
        let value = work(&mut self)?;
        if self.broken {
            return Err(failed("a statement of the unit failed").into());
        }
        Ok((value, Done { state: self.state, may_be_lost: self.may_be_lost }))
    }

    fn reading(&mut self) -> TxResult<()> {
        if self.broken {
            return Err(failed("an earlier statement of the unit failed"));
        }
        let result = self.faults.lock().unwrap_or_else(PoisonError::into_inner).statement();
        self.broken = result.is_err();
        result
    }

    fn writing(&mut self) -> TxResult<()> {
        self.reading()?;
        if self.mode == Mode::Read {
            self.broken = true;
            return Err(failed("a unit that reads must not write"));
        }
        Ok(())
    }

    fn accept(&mut self, mut texts: impl Iterator<Item: AsRef<str>>) -> TxResult<()> {
        let refused = self.faults.lock().unwrap_or_else(PoisonError::into_inner).refused.clone();
        let Some((needle, reason)) = refused else { return Ok(()) };
        if texts.any(|text| text.as_ref().contains(&needle)) {
            self.broken = true;
            return Err(match reason {
                Reason::Known => StoreError::Refused { message: "the text may not be stored".to_owned() },
                Reason::Unknown => StoreError::Unexpected { message: "something went wrong".to_owned(), source: None },
            });
        }
        Ok(())
    }
}

impl Tx for MemoryTx<'_> {
    fn may_be_lost(&mut self) -> TxResult<()> {
        self.writing()?;
        self.may_be_lost = true;
        Ok(())
    }

    fn rows(&mut self, model: Model, integration: &IntegrationId, keys: &[Key]) -> TxResult<Vec<StoredRow>> {
        self.reading()?;
        let Some(table) = self.state.table(model, integration) else { return Ok(Vec::new()) };
        let keys: BTreeSet<&Key> = keys.iter().collect();
        Ok(keys.into_iter().filter_map(|key| table.get(key).cloned()).collect())
    }

    fn members(&mut self, model: Model, integration: &IntegrationId, parents: &[String]) -> TxResult<Vec<StoredRow>> {
        self.reading()?;
        let parents: BTreeSet<&str> = parents.iter().map(String::as_str).collect();
        let table = self.state.table(model, integration).into_iter().flat_map(Table::values);
        Ok(table
            .filter(|row| row.removed_at.is_none())
            .filter(|row| parent(model, row).is_some_and(|parent| parents.contains(parent)))
            .cloned()
            .collect())
    }

    fn put_rows(&mut self, model: Model, integration: &IntegrationId, rows: &[StoredRow]) -> TxResult<()> {
        self.writing()?;
        let texts = |row: &'_ StoredRow| {
            let values = row.row.values().iter().filter_map(Value::text);
            values.chain([row.row.key.first()]).map(ToOwned::to_owned).collect::<Vec<_>>()
        };
        self.accept(rows.iter().flat_map(texts))?;
        let keys: BTreeSet<&Key> = rows.iter().map(|row| &row.row.key).collect();
        let absent = rows.iter().flat_map(|row| row.row.values()).any(Value::is_absent);
        if keys.len() < rows.len() || absent {
            self.broken = true;
            return Err(failed("rows to be written have a key twice, or a value that says nothing"));
        }
        let table = self.state.table_mut(model, integration);
        table.extend(rows.iter().map(|row| (row.row.key.clone(), row.clone())));
        Ok(())
    }

    fn rows_after(
        &mut self,
        model: Model,
        integration: &IntegrationId,
        after: Option<&Key>,
        limit: usize,
    ) -> TxResult<Vec<StoredRow>> {
        self.reading()?;
        let Some(table) = self.state.table(model, integration) else { return Ok(Vec::new()) };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(table.range::<Key, _>((from, Bound::Unbounded)).take(limit).map(|(_, row)| row.clone()).collect())
    }

    fn live_rows(&mut self, model: Model, integration: &IntegrationId) -> TxResult<u64> {
        self.reading()?;
        let table = self.state.table(model, integration).into_iter().flat_map(Table::values);
        Ok(count(table.filter(|row| row.is_live()).count()))
    }

    fn put_seen(&mut self, run: RunId, batch: i64, model: Model, keys: &[Key]) -> TxResult<()> {
        self.writing()?;
        let notes = Arc::make_mut(&mut self.state.seen);
        notes.entry(run).or_default().insert((batch, model), keys.iter().cloned().collect());
        Ok(())
    }

    fn seen_batches(&mut self, run: RunId) -> TxResult<i64> {
        self.reading()?;
        let notes = self.state.seen.get(&run).into_iter().flatten();
        let batches: BTreeSet<i64> = notes.map(|((batch, _), _)| *batch).collect();
        Ok(i64::try_from(batches.len()).unwrap_or(i64::MAX))
    }

    fn clear_seen(&mut self, run: RunId) -> TxResult<()> {
        self.writing()?;
        Arc::make_mut(&mut self.state.seen).remove(&run);
        Ok(())
    }

    fn unseen(
        &mut self,
        model: Model,
        integration: &IntegrationId,
        run: RunId,
        after: Option<&Key>,
        limit: usize,
    ) -> TxResult<Vec<Key>> {
        self.reading()?;
        let notes = self.state.seen.get(&run).into_iter().flatten();
        let seen: BTreeSet<&Key> =
            notes.filter(|((_, of), _)| *of == model).flat_map(|(_, keys)| keys.iter()).collect();
        let table = self.state.table(model, integration).into_iter().flat_map(Table::values);
        Ok(table
            .filter(|row| row.removed_at.is_none())
            .map(|row| &row.row.key)
            .filter(|key| !seen.contains(key) && after.is_none_or(|after| *key > after))
            .take(limit)
            .cloned()
            .collect())
    }

    fn append_changes(&mut self, changes: &[Change]) -> TxResult<()> {
        self.writing()?;
        for change in changes {
            self.state.last_change += 1;
            let seq = self.state.last_change;
            Arc::make_mut(&mut self.state.changes).insert(seq, Change { seq, ..change.clone() });
        }
        Ok(())
    }

    fn changes(&mut self, integration: Option<&IntegrationId>, seq: i64, limit: usize) -> TxResult<Vec<Change>> {
        self.reading()?;
        let after = self.state.changes.range((Bound::Excluded(seq), Bound::Unbounded));
        let of =
            after.map(|(_, change)| change).filter(|change| integration.is_none_or(|id| change.integration_id == *id));
        Ok(of.take(limit).cloned().collect())
    }

    fn latest_changes(
        &mut self,
        integration: &IntegrationId,
        record_id: Option<&str>,
        before: i64,
        limit: usize,
    ) -> TxResult<Vec<Change>> {
        self.reading()?;
        let earlier = self.state.changes.range(..before).rev().map(|(_, change)| change);
        let of = earlier.filter(|change| change.integration_id == *integration);
        let of = of.filter(|change| record_id.is_none_or(|id| change.record_id == id));
        Ok(of.take(limit).cloned().collect())
    }

    fn last_change(&mut self) -> TxResult<i64> {
        self.reading()?;
        Ok(self.state.changes.keys().next_back().copied().unwrap_or(0))
    }

    fn trim_changes(&mut self, before: Timestamp, undelivered: Undelivered) -> TxResult<u64> {
        self.writing()?;
        let deliveries = &self.state.deliveries;
        let waits = |change: &Change| {
            undelivered == Undelivered::Keep
                && deliveries.get(&change.integration_id).is_some_and(|delivery| change.seq > delivery.delivered_seq)
        };
        let changes = Arc::make_mut(&mut self.state.changes);
        let held = changes.len();
        changes.retain(|_, change| change.at >= before || waits(change));
        Ok(count(held - changes.len()))
    }

    fn integration(&mut self, id: &IntegrationId) -> TxResult<Option<IntegrationRecord>> {
        self.reading()?;
        Ok(self.state.integrations.get(id).cloned())
    }

    fn integrations(&mut self) -> TxResult<Vec<IntegrationRecord>> {
        self.reading()?;
        Ok(self.state.integrations.values().cloned().collect())
    }

    fn put_integration(&mut self, integration: &IntegrationRecord) -> TxResult<()> {
        self.writing()?;
        self.state.integrations.insert(integration.id.clone(), integration.clone());
        Ok(())
    }

    fn endpoint(&mut self, integration: &IntegrationId, endpoint: Endpoint) -> TxResult<Option<EndpointState>> {
        self.reading()?;
        Ok(self.state.endpoints.get(&(integration.clone(), endpoint)).cloned())
    }

    fn endpoints(&mut self) -> TxResult<Vec<EndpointState>> {
        self.reading()?;
        Ok(self.state.endpoints.values().cloned().collect())
    }

    fn endpoints_of(&mut self, integration: &IntegrationId) -> TxResult<Vec<EndpointState>> {
        let mut states = self.endpoints()?;
        states.retain(|state| state.integration_id == *integration);
        Ok(states)
    }

    fn put_endpoint(&mut self, state: &EndpointState) -> TxResult<()> {
        self.writing()?;
        self.state.endpoints.insert((state.integration_id.clone(), state.endpoint), state.clone());
        Ok(())
    }

    fn request(&mut self, target: &Target) -> TxResult<Option<Request>> {
        self.reading()?;
        Ok(self.state.requests.get(target).cloned())
    }

    fn try_request(&mut self, target: &Target) -> TxResult<TryRequest> {
        // Units run one at a time: nobody else has anything locked.
        Ok(self.request(target)?.map_or(TryRequest::Missing, TryRequest::Locked))
    }

    fn requests(&mut self) -> TxResult<Vec<Request>> {
        self.reading()?;
        let mut requests: Vec<Request> = self.state.requests.values().cloned().collect();
        requests.sort_by_key(|request| request.requested_at);
        Ok(requests)
    }

    fn due_requests(&mut self, horizon: &Horizon, limit: usize) -> TxResult<Vec<Request>> {
        self.reading()?;
        let requests = self.state.requests.values();
        let due = requests.filter(|request| horizon.is_due(request.not_before) && !is_held(request, horizon));
        let mut due: Vec<Request> = due.cloned().collect();
        due.sort_by_key(|request| (request.target.kind != SyncKind::Delta, request.requested_at));
        due.truncate(limit);
        Ok(due)
    }

    fn put_request(&mut self, request: &Request) -> TxResult<()> {
        self.writing()?;
        self.state.requests.insert(request.target.clone(), request.clone());
        Ok(())
    }

    fn insert_request(&mut self, request: &Request) -> TxResult<bool> {
        self.writing()?;
        if self.state.requests.contains_key(&request.target) {
            return Ok(false);
        }
        self.state.requests.insert(request.target.clone(), request.clone());
        Ok(true)
    }

    fn delete_request(&mut self, target: &Target) -> TxResult<()> {
        self.writing()?;
        self.state.requests.remove(target);
        Ok(())
    }

    fn insert_run(&mut self, run: &Run) -> TxResult<RunId> {
        self.writing()?;
        self.state.last_run += 1;
        let id = RunId(self.state.last_run);
        Arc::make_mut(&mut self.state.runs).insert(id, Run { id, ..run.clone() });
        Ok(id)
    }

    fn put_run(&mut self, run: &Run) -> TxResult<()> {
        self.writing()?;
        Arc::make_mut(&mut self.state.runs).insert(run.id, run.clone());
        Ok(())
    }

    fn run(&mut self, id: RunId) -> TxResult<Option<Run>> {
        self.reading()?;
        Ok(self.state.runs.get(&id).cloned())
    }

    fn latest_run(&mut self, target: &Target) -> TxResult<Option<Run>> {
        self.reading()?;
        Ok(self.state.runs.values().rev().find(|run| run.target == *target).cloned())
    }

    fn recent_runs(&mut self, integration: Option<&IntegrationId>, limit: usize) -> TxResult<Vec<Run>> {
        self.reading()?;
        let latest = self.state.runs.values().rev();
        let of = latest.filter(|run| integration.is_none_or(|id| run.target.integration_id == *id));
        Ok(of.take(limit).cloned().collect())
    }

    fn runs_before(&mut self, integration: Option<&IntegrationId>, before: RunId, limit: usize) -> TxResult<Vec<Run>> {
        self.reading()?;
        let earlier = self.state.runs.range(..before).rev().map(|(_, run)| run);
        let of = earlier.filter(|run| integration.is_none_or(|id| run.target.integration_id == *id));
        Ok(of.take(limit).cloned().collect())
    }

    fn trim_runs(&mut self, before: Timestamp) -> TxResult<u64> {
        self.writing()?;
        let runs = Arc::make_mut(&mut self.state.runs);
        let latest: BTreeMap<Target, RunId> = runs.values().map(|run| (run.target.clone(), run.id)).collect();
        let had = runs.len();
        runs.retain(|id, run| {
            run.finished_at.is_none_or(|at| at >= before) || latest.get(&run.target).is_some_and(|latest| latest == id)
        });
        Ok(count(had - runs.len()))
    }

    fn pacing(&mut self) -> TxResult<Pacing> {
        self.reading()?;
        Ok(self.state.pacing.clone())
    }

    fn put_pacing(&mut self, pacing: &Pacing) -> TxResult<()> {
        self.writing()?;
        self.state.pacing = pacing.clone();
        Ok(())
    }

    fn delivery_start(&mut self) -> TxResult<Option<i64>> {
        self.reading()?;
        Ok(self.state.delivery_start)
    }

    fn insert_delivery_start(&mut self, seq: i64) -> TxResult<()> {
        self.writing()?;
        self.state.delivery_start.get_or_insert(seq);
        Ok(())
    }

    fn undelivered_integrations(&mut self) -> TxResult<Vec<IntegrationId>> {
        self.reading()?;
        let registered = self.state.integrations.keys();
        Ok(registered.filter(|id| !self.state.deliveries.contains_key(id)).cloned().collect())
    }

    fn insert_delivery(&mut self, delivery: &Delivery) -> TxResult<()> {
        self.writing()?;
        self.state.deliveries.entry(delivery.integration_id.clone()).or_insert_with(|| delivery.clone());
        Ok(())
    }

    fn put_delivery(&mut self, delivery: &Delivery) -> TxResult<()> {
        self.writing()?;
        self.state.deliveries.insert(delivery.integration_id.clone(), delivery.clone());
        Ok(())
    }

    fn delivery(&mut self, integration: &IntegrationId) -> TxResult<Option<Delivery>> {
        self.reading()?;
        Ok(self.state.deliveries.get(integration).cloned())
    }

    fn try_delivery(&mut self, integration: &IntegrationId) -> TxResult<Option<Delivery>> {
        // Units run one at a time: nobody else has anything locked.
        self.delivery(integration)
    }

    fn deliveries(&mut self) -> TxResult<Vec<Delivery>> {
        self.reading()?;
        Ok(self.state.deliveries.values().cloned().collect())
    }

    fn due_deliveries(&mut self, horizon: &Horizon, limit: usize) -> TxResult<Vec<Delivery>> {
        self.reading()?;
        let again: BTreeSet<&IntegrationId> = self
            .state
            .dead_letters
            .values()
            .filter(|(letter, _)| letter.again)
            .map(|(letter, _)| &letter.integration_id)
            .collect();
        let waits = |delivery: &Delivery| {
            again.contains(&delivery.integration_id) || self.state.undelivered(delivery).next().is_some()
        };
        let deliveries = self.state.deliveries.values();
        let is_due = |it: &Delivery| it.is_due(horizon) && !it.is_held(horizon);
        let due = deliveries.filter(|delivery| is_due(delivery) && waits(delivery));
        let mut due: Vec<Delivery> = due.cloned().collect();
        due.sort_by_key(|delivery| delivery.not_before);
        due.truncate(limit);
        Ok(due)
    }

    fn undelivered(&mut self) -> TxResult<Vec<Backlog>> {
        self.reading()?;
        let backlogs = self.state.deliveries.values().filter_map(|delivery| {
            let mut entries = self.state.undelivered(delivery).peekable();
            let oldest_at = entries.peek()?.at;
            let integration_id = delivery.integration_id.clone();
            Some(Backlog { integration_id, entries: count(entries.count()), oldest_at })
        });
        Ok(backlogs.collect())
    }

    fn put_dead_letter(&mut self, letter: &DeadLetter, body: &str) -> TxResult<()> {
        self.writing()?;
        let key = (letter.integration_id.clone(), letter.id.clone());
        Arc::make_mut(&mut self.state.dead_letters).insert(key, (letter.clone(), body.to_owned()));
        Ok(())
    }

    fn dead_letters(&mut self, integration: Option<&IntegrationId>) -> TxResult<Vec<DeadLetter>> {
        self.reading()?;
        let letters = self.state.dead_letters.values().map(|(letter, _)| letter);
        let of = letters.filter(|letter| integration.is_none_or(|id| letter.integration_id == *id));
        let mut of: Vec<DeadLetter> = of.cloned().collect();
        of.sort_by(|one, other| (&one.integration_id, one.first_seq).cmp(&(&other.integration_id, other.first_seq)));
        Ok(of)
    }

    fn dead_letter_body(&mut self, integration: &IntegrationId, id: &DeliveryId) -> TxResult<Option<String>> {
        self.reading()?;
        let letter = self.state.dead_letters.get(&(integration.clone(), id.clone()));
        Ok(letter.map(|(_, body)| body.clone()))
    }

    fn mark_dead_letter(&mut self, integration: &IntegrationId, id: &DeliveryId) -> TxResult<bool> {
        self.writing()?;
        let letters = Arc::make_mut(&mut self.state.dead_letters);
        let letter = letters.get_mut(&(integration.clone(), id.clone()));
        Ok(letter.map(|(letter, _)| letter.again = true).is_some())
    }

    fn delete_dead_letter(&mut self, integration: &IntegrationId, id: &DeliveryId) -> TxResult<bool> {
        self.writing()?;
        let letters = Arc::make_mut(&mut self.state.dead_letters);
        Ok(letters.remove(&(integration.clone(), id.clone())).is_some())
    }

    fn insert_webhooks(&mut self, webhooks: &[WebhookRecord]) -> TxResult<Vec<bool>> {
        self.writing()?;
        self.accept(webhooks.iter().map(|webhook| webhook.id.as_str()))?;
        let stored = Arc::make_mut(&mut self.state.webhooks);
        let insert = |webhook: &WebhookRecord| match stored.entry(webhook.id.clone()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(webhook.clone());
                true
            }
        };
        Ok(webhooks.iter().map(insert).collect())
    }

    fn trim_webhooks(&mut self, before: Timestamp) -> TxResult<u64> {
        self.writing()?;
        let webhooks = Arc::make_mut(&mut self.state.webhooks);
        let held = webhooks.len();
        webhooks.retain(|_, webhook| webhook.received_at >= before);
        Ok(count(held - webhooks.len()))
    }

    fn put_quarantined(&mut self, records: &[Quarantined]) -> TxResult<()> {
        self.writing()?;
        let quarantine = Arc::make_mut(&mut self.state.quarantine);
        for record in records {
            let key = (record.integration_id.clone(), record.endpoint, record.record_id.clone());
            quarantine.insert(key, record.clone());
        }
        Ok(())
    }

    fn clear_quarantined(&mut self, integration: &IntegrationId, endpoint: Endpoint, ids: &[String]) -> TxResult<u64> {
        self.writing()?;
        let quarantine = Arc::make_mut(&mut self.state.quarantine);
        let cleared =
            ids.iter().filter(|id| quarantine.remove(&(integration.clone(), endpoint, (*id).clone())).is_some());
        Ok(count(cleared.count()))
    }

    fn clear_quarantined_before(
        &mut self,
        integration: &IntegrationId,
        endpoint: Endpoint,
        run: RunId,
    ) -> TxResult<u64> {
        self.writing()?;
        let quarantine = Arc::make_mut(&mut self.state.quarantine);
        let held = quarantine.len();
        quarantine.retain(|(of, at, _), record| of != integration || *at != endpoint || record.run_id == run);
        Ok(count(held - quarantine.len()))
    }

    fn quarantined(&mut self, integration: Option<&IntegrationId>) -> TxResult<Vec<Quarantined>> {
        self.reading()?;
        let all = self.state.quarantine.values();
        Ok(all.filter(|record| integration.is_none_or(|id| record.integration_id == *id)).cloned().collect())
    }

    fn first_quarantined(&mut self, integration: Option<&IntegrationId>, limit: usize) -> TxResult<Vec<Quarantined>> {
        let mut first = self.quarantined(integration)?;
        first.truncate(limit);
        Ok(first)
    }

    fn quarantined_from(
        &mut self,
        integration: &IntegrationId,
        endpoint: Endpoint,
        from: &str,
        limit: usize,
    ) -> TxResult<Vec<Quarantined>> {
        let mut records = self.quarantined(Some(integration))?;
        records.retain(|record| record.endpoint == endpoint && record.record_id.as_str() >= from);
        records.truncate(limit);
        Ok(records)
    }

    fn quarantine_total(&mut self) -> TxResult<u64> {
        self.quarantined(None).map(|all| count(all.len()))
    }

    fn quarantine_size(&mut self, integration: &IntegrationId, endpoint: Endpoint) -> TxResult<u64> {
        self.reading()?;
        let all = self.state.quarantine.keys();
        Ok(count(all.filter(|(id, of, _)| id == integration && *of == endpoint).count()))
    }
}

fn is_held(request: &Request, horizon: &Horizon) -> bool {
    request.lease.as_ref().is_some_and(|held| horizon.is_held(held.expires_at))
}

/// The id of the record whose member list holds the row.
fn parent(model: Model, row: &StoredRow) -> Option<&str> {
    let column = model.parent_column()?;
    if model.key_columns().first() == Some(&column) {
        return Some(row.row.key.first());
    }
    row.row.get(model, column)?.text()
}

fn failed(message: &str) -> StoreError {
    StoreError::Failed { message: message.to_owned(), source: None }
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
