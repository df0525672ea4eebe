use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use kombo_model::{IntegrationId, Timestamp};
use sync_core::changes::{Change, LogPosition};
use sync_core::horizon::Horizon;
use sync_core::outbox::{Backlog, DeadLetter, Delivery, DeliveryId, Undelivered};
use sync_core::ports::{ChangeLog, DeadLetters, Deliveries, Lock, LockMode, TxResult};

use super::{MemoryTx, count, locked};

impl ChangeLog for MemoryTx<'_> {
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

    fn settled_changes(&mut self, after: LogPosition, limit: usize) -> TxResult<Vec<(LogPosition, Change)>> {
        let changes = self.changes(None, after.seq, limit)?;
        Ok(changes.into_iter().map(|change| (LogPosition { transaction_id: 0, seq: change.seq }, change)).collect())
    }

    fn log_position(&mut self, seq: i64) -> TxResult<LogPosition> {
        Ok(LogPosition { transaction_id: 0, seq })
    }

    fn settled_end(&mut self) -> TxResult<LogPosition> {
        self.reading()?;
        Ok(LogPosition { transaction_id: 0, seq: self.state.changes.keys().next_back().copied().unwrap_or(0) })
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
        Ok(self.state.last_change)
    }

    fn last_change_of_all(&mut self) -> TxResult<i64> {
        self.last_change()
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
}

impl Deliveries for MemoryTx<'_> {
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

    fn delivery(&mut self, integration: &IntegrationId, _mode: LockMode) -> TxResult<Lock<Delivery>> {
        self.reading()?;
        Ok(locked(self.state.deliveries.get(integration)))
    }

    fn leased_deliveries(&mut self) -> TxResult<Vec<Delivery>> {
        Ok(self.deliveries()?.into_iter().filter(|delivery| delivery.lease.is_some()).collect())
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
}

impl DeadLetters for MemoryTx<'_> {
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
}
