use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use sync_core::changes::Change;
use sync_core::jobs::{EndpointState, IntegrationRecord, QueuedRequest, Target};
use sync_core::outbox::{DeadLetter, Delivery, DeliveryId};
use sync_core::pull::{Quarantined, Run, RunId};
use sync_core::ratelimit::Pacing;
use sync_core::rows::{Key, Model, StoredRow};
use sync_core::webhooks::{PendingWebhook, WebhookRecord};

pub(super) type Table = BTreeMap<Key, StoredRow>;
pub(super) type Notes = BTreeMap<RunId, BTreeMap<(i64, Model), BTreeSet<Key>>>;

/// The content of the store. Clones share large parts until one of them writes to a part.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) tables: Arc<BTreeMap<(Model, IntegrationId), Arc<Table>>>,
    pub(super) seen: Arc<Notes>,
    pub(super) changes: Arc<BTreeMap<i64, Change>>,
    pub(super) last_change: i64,
    pub(super) integrations: Arc<BTreeMap<IntegrationId, IntegrationRecord>>,
    /// The time of the next look at an integration; now if it is missing.
    pub(super) next_looks: Arc<BTreeMap<IntegrationId, Timestamp>>,
    pub(super) endpoints: Arc<BTreeMap<(IntegrationId, Endpoint), EndpointState>>,
    pub(super) requests: BTreeMap<Target, QueuedRequest>,
    pub(super) runs: Arc<BTreeMap<RunId, Run>>,
    pub(super) last_run: i64,
    pub(super) pacing: Pacing,
    pub(super) webhooks: Arc<BTreeMap<String, WebhookRecord>>,
    /// Webhooks that are not planned yet, by the order of their storing.
    pub(super) pending_webhooks: BTreeMap<u64, PendingWebhook>,
    pub(super) last_pending: u64,
    pub(super) delivery_start: Option<i64>,
    pub(super) deliveries: BTreeMap<IntegrationId, Delivery>,
    pub(super) dead_letters: Arc<BTreeMap<(IntegrationId, DeliveryId), (DeadLetter, String)>>,
    pub(super) quarantine: Arc<BTreeMap<(IntegrationId, Endpoint, String), Quarantined>>,
}

impl State {
    pub(super) fn table(&self, model: Model, integration: &IntegrationId) -> Option<&Table> {
        self.tables.get(&(model, integration.clone())).map(Arc::as_ref)
    }

    pub(super) fn table_mut(&mut self, model: Model, integration: &IntegrationId) -> &mut Table {
        Arc::make_mut(Arc::make_mut(&mut self.tables).entry((model, integration.clone())).or_default())
    }

    /// Returns the undelivered entries in order.
    pub(super) fn undelivered<'a>(&'a self, delivery: &'a Delivery) -> impl Iterator<Item = &'a Change> {
        let later = self.changes.range((Bound::Excluded(delivery.delivered_seq), Bound::Unbounded));
        later.map(|(_, change)| change).filter(|change| change.integration_id == delivery.integration_id)
    }
}
