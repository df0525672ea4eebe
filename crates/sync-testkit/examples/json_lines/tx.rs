//! The statements of a unit.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use sync_core::delivery::{Backlog, DeadLetter, Delivery, DeliveryId, Undelivered};
use sync_core::mirror::{Key, Model, StoredRow};
use sync_core::pacing::Pacing;
use sync_core::port::{StoreError, TryRequest, Tx, TxResult};
use sync_core::types::{
    Change, EndpointState, IntegrationRecord, Quarantined, Request, Run, RunId, SyncKind, Target, WebhookRecord,
};

use crate::edit::{Edit, Line};
use crate::journal::failed;
use crate::rows::Rows;
use crate::state::{State, Table};

/// A unit under way: the state as it sees it, and the line that it will leave, unless it only reads.
pub(crate) struct Unit {
    state: State,
    line: Option<Line>,
}

impl Unit {
    pub(crate) fn reading(state: State) -> Self {
        Self { state, line: None }
    }

    pub(crate) fn writing(state: State) -> Self {
        Self { state, line: Some(Line::default()) }
    }

    /// What it leaves.
    pub(crate) fn end(self) -> (Line, State) {
        (self.line.unwrap_or_default(), self.state)
    }

    fn edit(&mut self, edit: Edit) -> TxResult<()> {
        let Some(line) = &mut self.line else {
            return Err(StoreError::Failed { message: "a unit that reads must not write".to_owned(), source: None });
        };
        line.add(&edit).map_err(|error| failed("write a line", error))?;
        self.state.apply(edit);
        Ok(())
    }

    /// The entries that are not delivered yet.
    fn after<'a>(&'a self, delivery: &'a Delivery) -> impl Iterator<Item = &'a Change> {
        let later = self.state.changes.range((Excluded(delivery.delivered_seq), Unbounded)).map(|(_, change)| change);
        later.filter(|change| change.integration_id == delivery.integration_id)
    }

    /// A table, which is empty before anything is written to it.
    fn table(&self, model: Model, integration: &IntegrationId) -> &Table {
        static EMPTY: Table = Table::new();
        self.state.tables.get(&(model, integration.clone())).map_or(&EMPTY, |table| table)
    }
}

impl Tx for Unit {
    fn rows(&mut self, model: Model, integration: &IntegrationId, keys: &[Key]) -> TxResult<Vec<StoredRow>> {
        let (table, keys) = (self.table(model, integration), BTreeSet::from_iter(keys));
        Ok(keys.into_iter().filter_map(|key| table.get(key).cloned()).collect())
    }

    fn members(&mut self, model: Model, integration: &IntegrationId, parents: &[String]) -> TxResult<Vec<StoredRow>> {
        let parents: BTreeSet<&str> = parents.iter().map(String::as_str).collect();
        let is_member = |row: &&StoredRow| parent(model, row).is_some_and(|parent| parents.contains(parent));
        let rows = self.table(model, integration).values().filter(|row| row.removed_at.is_none());
        Ok(rows.filter(is_member).cloned().collect())
    }

    fn put_rows(&mut self, model: Model, integration: &IntegrationId, rows: &[StoredRow]) -> TxResult<()> {
        self.edit(Edit::Rows(Rows { model, integration_id: integration.clone(), stored: rows.to_vec() }))
    }

    fn rows_after(
        &mut self,
        model: Model,
        integration: &IntegrationId,
        after: Option<&Key>,
        limit: usize,
    ) -> TxResult<Vec<StoredRow>> {
        let rows = self.table(model, integration).range::<Key, _>((after.map_or(Unbounded, Excluded), Unbounded));
        Ok(rows.take(limit).map(|(_, row)| row.clone()).collect())
    }

    fn live_rows(&mut self, model: Model, integration: &IntegrationId) -> TxResult<u64> {
        Ok(count(self.table(model, integration).values().filter(|row| row.is_live()).count()))
    }

    fn put_seen(&mut self, run: RunId, batch: i64, ids: &[String]) -> TxResult<()> {
        self.edit(Edit::Seen { run, batch, ids: ids.to_vec() })
    }

    fn seen_batches(&mut self, run: RunId) -> TxResult<i64> {
        let notes = self.state.seen.range((run, i64::MIN)..=(run, i64::MAX)).count();
        Ok(i64::try_from(notes).unwrap_or(i64::MAX))
    }

    fn clear_seen(&mut self, run: RunId) -> TxResult<()> {
        self.edit(Edit::SeenCleared(run))
    }

    fn unseen(
        &mut self,
        model: Model,
        integration: &IntegrationId,
        run: RunId,
        after: Option<&str>,
        limit: usize,
    ) -> TxResult<Vec<String>> {
        let notes = self.state.seen.range((run, i64::MIN)..=(run, i64::MAX));
        let seen: BTreeSet<&String> = notes.flat_map(|(_, ids)| ids).collect();
        let rows = self.table(model, integration).values().filter(|row| row.removed_at.is_none());
        let ids = rows.map(|row| row.row.key.first().to_owned());
        let unseen = ids.filter(|id| !seen.contains(id) && after.is_none_or(|after| id.as_str() > after));
        Ok(unseen.take(limit).collect())
    }

    /// Units that write run one after the other, so whoever sees an entry sees all those before it.
    fn append_changes(&mut self, changes: &[Change]) -> TxResult<()> {
        let numbers = self.state.last_change + 1..;
        let numbered = numbers.zip(changes).map(|(seq, change)| Change { seq, ..change.clone() });
        let numbered = numbered.collect();
        self.edit(Edit::Changes(numbered))
    }

    fn changes(&mut self, integration: Option<&IntegrationId>, seq: i64, limit: usize) -> TxResult<Vec<Change>> {
        let changes = self.state.changes.range((Excluded(seq), Unbounded)).map(|(_, change)| change);
        let of = changes.filter(|change| integration.is_none_or(|id| change.integration_id == *id));
        Ok(of.take(limit).cloned().collect())
    }

    fn latest_changes(
        &mut self,
        integration: &IntegrationId,
        record_id: Option<&str>,
        before: i64,
        limit: usize,
    ) -> TxResult<Vec<Change>> {
        let changes = self.state.changes.range(..before).rev().map(|(_, change)| change);
        let of = changes.filter(|change| change.integration_id == *integration);
        let of = of.filter(|change| record_id.is_none_or(|id| change.record_id == id));
        Ok(of.take(limit).cloned().collect())
    }

    fn last_change(&mut self) -> TxResult<i64> {
        Ok(self.state.changes.last_key_value().map_or(0, |(seq, _)| *seq))
    }

    fn trim_changes(&mut self, before: Timestamp, undelivered: Undelivered) -> TxResult<u64> {
        let had = self.state.changes.len();
        self.edit(Edit::ChangesTrimmed { before, undelivered })?;
        Ok(count(had - self.state.changes.len()))
    }

    fn integration(&mut self, id: &IntegrationId) -> TxResult<Option<IntegrationRecord>> {
        Ok(self.state.integrations.get(id).cloned())
    }

    fn integrations(&mut self) -> TxResult<Vec<IntegrationRecord>> {
        Ok(self.state.integrations.values().cloned().collect())
    }

    fn put_integration(&mut self, integration: &IntegrationRecord) -> TxResult<()> {
        self.edit(Edit::Integration(integration.clone()))
    }

    fn endpoint(&mut self, integration: &IntegrationId, endpoint: Endpoint) -> TxResult<Option<EndpointState>> {
        Ok(self.state.endpoints.get(&(integration.clone(), endpoint)).cloned())
    }

    fn endpoints(&mut self) -> TxResult<Vec<EndpointState>> {
        Ok(self.state.endpoints.values().cloned().collect())
    }

    fn endpoints_of(&mut self, integration: &IntegrationId) -> TxResult<Vec<EndpointState>> {
        let states = self.state.endpoints.values();
        Ok(states.filter(|state| state.integration_id == *integration).cloned().collect())
    }

    fn put_endpoint(&mut self, state: &EndpointState) -> TxResult<()> {
        self.edit(Edit::Endpoint(state.clone()))
    }

    /// There is nothing to lock: nobody else writes before the unit ends.
    fn request(&mut self, target: &Target) -> TxResult<Option<Request>> {
        Ok(self.state.requests.get(target).cloned())
    }

    fn try_request(&mut self, target: &Target) -> TxResult<TryRequest> {
        Ok(self.request(target)?.map_or(TryRequest::Missing, TryRequest::Locked))
    }

    fn requests(&mut self) -> TxResult<Vec<Request>> {
        let mut requests: Vec<Request> = self.state.requests.values().cloned().collect();
        requests.sort_by_key(|request| request.requested_at);
        Ok(requests)
    }

    fn due_requests(&mut self, now: Timestamp, limit: usize) -> TxResult<Vec<Request>> {
        let is_held = |request: &Request| request.lease.as_ref().is_some_and(|lease| lease.expires_at > now);
        let requests = self.state.requests.values();
        let due = requests.filter(|request| request.not_before <= now && !is_held(request));
        let mut due: Vec<Request> = due.cloned().collect();
        due.sort_by_key(|request| (request.target.kind != SyncKind::Delta, request.requested_at));
        due.truncate(limit);
        Ok(due)
    }

    fn put_request(&mut self, request: &Request) -> TxResult<()> {
        self.edit(Edit::Request(request.clone()))
    }

    fn insert_request(&mut self, request: &Request) -> TxResult<bool> {
        if self.state.requests.contains_key(&request.target) {
            return Ok(false);
        }
        self.put_request(request)?;
        Ok(true)
    }

    fn delete_request(&mut self, target: &Target) -> TxResult<()> {
        self.edit(Edit::RequestDeleted(target.clone()))
    }

    fn insert_run(&mut self, run: &Run) -> TxResult<RunId> {
        let id = RunId(self.state.last_run + 1);
        self.put_run(&Run { id, ..run.clone() })?;
        Ok(id)
    }

    fn put_run(&mut self, run: &Run) -> TxResult<()> {
        self.edit(Edit::Run(Box::new(run.clone())))
    }

    fn run(&mut self, id: RunId) -> TxResult<Option<Run>> {
        Ok(self.state.runs.get(&id).cloned())
    }

    fn latest_run(&mut self, target: &Target) -> TxResult<Option<Run>> {
        Ok(self.state.runs.values().rev().find(|run| run.target == *target).cloned())
    }

    fn recent_runs(&mut self, integration: Option<&IntegrationId>, limit: usize) -> TxResult<Vec<Run>> {
        let runs = self.state.runs.values().rev();
        let of = runs.filter(|run| integration.is_none_or(|id| run.target.integration_id == *id));
        Ok(of.take(limit).cloned().collect())
    }

    fn runs_before(&mut self, integration: Option<&IntegrationId>, before: RunId, limit: usize) -> TxResult<Vec<Run>> {
        let runs = self.state.runs.range(..before).rev().map(|(_, run)| run);
        let of = runs.filter(|run| integration.is_none_or(|id| run.target.integration_id == *id));
        Ok(of.take(limit).cloned().collect())
    }

    fn trim_runs(&mut self, before: Timestamp) -> TxResult<u64> {
        let had = self.state.runs.len();
        self.edit(Edit::RunsTrimmed { before })?;
        Ok(count(had - self.state.runs.len()))
    }

    fn pacing(&mut self) -> TxResult<Pacing> {
        Ok(self.state.pacing.clone())
    }

    fn put_pacing(&mut self, pacing: &Pacing) -> TxResult<()> {
        self.edit(Edit::Pacing(pacing.clone()))
    }

    fn delivery_start(&mut self) -> TxResult<Option<i64>> {
        Ok(self.state.delivery_start)
    }

    fn insert_delivery_start(&mut self, seq: i64) -> TxResult<()> {
        if self.state.delivery_start.is_none() { self.edit(Edit::DeliveryStart(seq)) } else { Ok(()) }
    }

    fn undelivered_integrations(&mut self) -> TxResult<Vec<IntegrationId>> {
        let registered = self.state.integrations.keys();
        Ok(registered.filter(|id| !self.state.deliveries.contains_key(id)).cloned().collect())
    }

    fn insert_delivery(&mut self, delivery: &Delivery) -> TxResult<()> {
        let is_there = self.state.deliveries.contains_key(&delivery.integration_id);
        if is_there { Ok(()) } else { self.put_delivery(delivery) }
    }

    fn put_delivery(&mut self, delivery: &Delivery) -> TxResult<()> {
        self.edit(Edit::Delivery(delivery.clone()))
    }

    fn delivery(&mut self, integration: &IntegrationId) -> TxResult<Option<Delivery>> {
        Ok(self.state.deliveries.get(integration).cloned())
    }

    fn try_delivery(&mut self, integration: &IntegrationId) -> TxResult<Option<Delivery>> {
        self.delivery(integration)
    }

    fn deliveries(&mut self) -> TxResult<Vec<Delivery>> {
        Ok(self.state.deliveries.values().cloned().collect())
    }

    fn due_deliveries(&mut self, now: Timestamp, limit: usize) -> TxResult<Vec<Delivery>> {
        let is_again = |id: &IntegrationId| {
            let mut letters = self.state.dead_letters.values();
            letters.any(|(letter, _)| letter.again && letter.integration_id == *id)
        };
        let waits = |it: &Delivery| self.after(it).next().is_some() || is_again(&it.integration_id);
        let deliveries = self.state.deliveries.values();
        let due = deliveries.filter(|it| it.not_before <= now && !it.is_held(now) && waits(it));
        let mut due: Vec<Delivery> = due.cloned().collect();
        due.sort_by_key(|delivery| delivery.not_before);
        due.truncate(limit);
        Ok(due)
    }

    fn undelivered(&mut self) -> TxResult<Vec<Backlog>> {
        let backlogs = self.state.deliveries.values().filter_map(|delivery| {
            let oldest_at = self.after(delivery).next()?.at;
            let entries = count(self.after(delivery).count());
            Some(Backlog { integration_id: delivery.integration_id.clone(), entries, oldest_at })
        });
        Ok(backlogs.collect())
    }

    fn put_dead_letter(&mut self, letter: &DeadLetter, body: &str) -> TxResult<()> {
        self.edit(Edit::DeadLetter { letter: letter.clone(), body: body.to_owned() })
    }

    fn dead_letters(&mut self, integration: Option<&IntegrationId>) -> TxResult<Vec<DeadLetter>> {
        let letters = self.state.dead_letters.values().map(|(letter, _)| letter);
        let of = letters.filter(|letter| integration.is_none_or(|id| letter.integration_id == *id));
        let mut of: Vec<DeadLetter> = of.cloned().collect();
        of.sort_by_cached_key(|letter| (letter.integration_id.clone(), letter.first_seq));
        Ok(of)
    }

    fn dead_letter_body(&mut self, integration: &IntegrationId, id: &DeliveryId) -> TxResult<Option<String>> {
        let letter = self.state.dead_letters.get(&(integration.clone(), id.clone()));
        Ok(letter.map(|(_, body)| body.clone()))
    }

    fn mark_dead_letter(&mut self, integration: &IntegrationId, id: &DeliveryId) -> TxResult<bool> {
        let letter = self.state.dead_letters.get(&(integration.clone(), id.clone())).cloned();
        let Some((letter, body)) = letter else { return Ok(false) };
        self.edit(Edit::DeadLetter { letter: DeadLetter { again: true, ..letter }, body })?;
        Ok(true)
    }

    fn delete_dead_letter(&mut self, integration: &IntegrationId, id: &DeliveryId) -> TxResult<bool> {
        let had = self.state.dead_letters.len();
        self.edit(Edit::DeadLetterDeleted { integration_id: integration.clone(), id: id.clone() })?;
        Ok(had > self.state.dead_letters.len())
    }

    fn insert_webhooks(&mut self, webhooks: &[WebhookRecord]) -> TxResult<Vec<bool>> {
        let insert = |webhook: &WebhookRecord| {
            if self.state.webhooks.contains_key(&webhook.id) {
                return Ok(false);
            }
            self.edit(Edit::Webhook(webhook.clone())).map(|()| true)
        };
        webhooks.iter().map(insert).collect()
    }

    fn trim_webhooks(&mut self, before: Timestamp) -> TxResult<u64> {
        let had = self.state.webhooks.len();
        self.edit(Edit::WebhooksTrimmed { before })?;
        Ok(count(had - self.state.webhooks.len()))
    }

    fn put_quarantined(&mut self, records: &[Quarantined]) -> TxResult<()> {
        self.edit(Edit::Quarantined(records.to_vec()))
    }

    fn clear_quarantined(&mut self, integration: &IntegrationId, endpoint: Endpoint, ids: &[String]) -> TxResult<u64> {
        let had = self.state.quarantine.len();
        self.edit(Edit::QuarantineCleared { integration_id: integration.clone(), endpoint, ids: ids.to_vec() })?;
        Ok(count(had - self.state.quarantine.len()))
    }

    fn quarantined(&mut self, integration: Option<&IntegrationId>) -> TxResult<Vec<Quarantined>> {
        self.first_quarantined(integration, usize::MAX)
    }

    fn first_quarantined(&mut self, integration: Option<&IntegrationId>, limit: usize) -> TxResult<Vec<Quarantined>> {
        let records = self.state.quarantine.values();
        let of = records.filter(|record| integration.is_none_or(|id| record.integration_id == *id));
        Ok(of.take(limit).cloned().collect())
    }

    fn quarantine_total(&mut self) -> TxResult<u64> {
        Ok(count(self.state.quarantine.len()))
    }

    fn quarantine_size(&mut self, integration: &IntegrationId, endpoint: Endpoint) -> TxResult<u64> {
        let records = self.state.quarantine.keys();
        Ok(count(records.filter(|(of, list, _)| of == integration && *list == endpoint).count()))
    }
}

/// The id of the record in whose list of members the row is.
fn parent(model: Model, row: &StoredRow) -> Option<&str> {
    let column = model.parent_column()?;
    if model.key_columns().first() == Some(&column) {
        return Some(row.row.key.first());
    }
    row.row.get(model, column)?.text()
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
