use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use sync_core::ports::{Quarantine, QuarantinePart, QuarantineRelease, TxResult, WebhookEvents};
use sync_core::pull::Quarantined;
use sync_core::webhooks::{PendingWebhook, WebhookRecord};

use super::{MemoryTx, count};

impl WebhookEvents for MemoryTx<'_> {
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

    fn put_pending_webhooks(&mut self, webhooks: &[PendingWebhook]) -> TxResult<()> {
        self.writing()?;
        for webhook in webhooks {
            let is_pending =
                |it: &PendingWebhook| (&it.integration_id, &it.id) == (&webhook.integration_id, &webhook.id);
            if !self.state.pending_webhooks.values().any(is_pending) {
                self.state.last_pending += 1;
                self.state.pending_webhooks.insert(self.state.last_pending, webhook.clone());
            }
        }
        Ok(())
    }

    fn pending_webhooks(&mut self, integration: &IntegrationId, limit: usize) -> TxResult<Vec<PendingWebhook>> {
        self.reading()?;
        let own = self.state.pending_webhooks.values().filter(|webhook| webhook.integration_id == *integration);
        Ok(own.take(limit).cloned().collect())
    }

    fn integrations_with_pending_webhooks(&mut self, limit: usize) -> TxResult<Vec<(IntegrationId, Timestamp)>> {
        self.reading()?;
        let mut oldest: BTreeMap<&IntegrationId, Timestamp> = BTreeMap::new();
        for webhook in self.state.pending_webhooks.values() {
            let time = oldest.entry(&webhook.integration_id).or_insert(webhook.received_at);
            *time = webhook.received_at.min(*time);
        }
        let mut oldest: Vec<_> = oldest.into_iter().map(|(id, time)| (id.clone(), time)).collect();
        oldest.sort_by_key(|(_, time)| *time);
        oldest.truncate(limit);
        Ok(oldest)
    }

    fn settle_webhooks(&mut self, integration: &IntegrationId, results: &[(&str, &str)]) -> TxResult<()> {
        self.writing()?;
        self.accept(results.iter().map(|(_, result)| result))?;
        let stored = Arc::make_mut(&mut self.state.webhooks);
        for (id, result) in results {
            self.state.pending_webhooks.retain(|_, it| it.integration_id != *integration || it.id != *id);
            if let Some(event) = stored.get_mut(*id) {
                (*result).clone_into(&mut event.result);
            }
        }
        Ok(())
    }

    fn trim_webhooks(&mut self, before: Timestamp) -> TxResult<u64> {
        self.writing()?;
        let webhooks = Arc::make_mut(&mut self.state.webhooks);
        let held = webhooks.len();
        webhooks.retain(|_, webhook| webhook.received_at >= before);
        Ok(count(held - webhooks.len()))
    }
}

impl Quarantine for MemoryTx<'_> {
    fn put_quarantined(&mut self, records: &[Quarantined]) -> TxResult<()> {
        self.writing()?;
        let quarantine = Arc::make_mut(&mut self.state.quarantine);
        for record in records {
            let key = (record.integration_id.clone(), record.endpoint, record.record_id.clone());
            quarantine.insert(key, record.clone());
        }
        Ok(())
    }

    fn clear_quarantined(
        &mut self,
        integration: &IntegrationId,
        endpoint: Endpoint,
        which: QuarantineRelease<'_>,
    ) -> TxResult<u64> {
        self.writing()?;
        let leaves = |record: &Quarantined| match which {
            QuarantineRelease::Ids(ids) => ids.contains(&record.record_id),
            QuarantineRelease::OfOtherRuns(run) => record.run_id != run,
        };
        let quarantine = Arc::make_mut(&mut self.state.quarantine);
        let had = quarantine.len();
        quarantine.retain(|(of, at, _), record| of != integration || *at != endpoint || !leaves(record));
        Ok(count(had - quarantine.len()))
    }

    fn quarantined(&mut self, part: QuarantinePart<'_>, limit: usize) -> TxResult<Vec<Quarantined>> {
        self.reading()?;
        let records = self.state.quarantine.values().filter(|record| is_in(record, part));
        Ok(records.take(limit).cloned().collect())
    }

    fn quarantine_size(&mut self, part: QuarantinePart<'_>) -> TxResult<u64> {
        self.reading()?;
        Ok(count(self.state.quarantine.values().filter(|record| is_in(record, part)).count()))
    }
}

fn is_in(record: &Quarantined, part: QuarantinePart<'_>) -> bool {
    match part {
        QuarantinePart::All => true,
        QuarantinePart::Integration(id) => record.integration_id == *id,
        QuarantinePart::Endpoint(id, endpoint) => record.integration_id == *id && record.endpoint == endpoint,
        QuarantinePart::From(id, endpoint, from) => {
            record.integration_id == *id && record.endpoint == endpoint && record.record_id.as_str() >= from
        }
    }
}
