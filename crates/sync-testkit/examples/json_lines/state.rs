//! All that is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kombo_model::{Endpoint, IntegrationId};
use sync_core::delivery::{DeadLetter, Delivery, DeliveryId, Undelivered};
use sync_core::mirror::{Key, Model, StoredRow};
use sync_core::pacing::Pacing;
use sync_core::types::{
    Change, EndpointState, IntegrationRecord, Quarantined, Request, Run, RunId, Target, WebhookRecord,
};

use crate::edit::Edit;
use crate::rows::Rows;

/// In the order of keys, which is that of bytes.
pub(crate) type Table = BTreeMap<Key, StoredRow>;

/// All that is stored. A clone is cheap: it shares what is large, until one of the two edits it and gets a copy of its own.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) tables: BTreeMap<(Model, IntegrationId), Arc<Table>>,
    pub(crate) seen: Arc<BTreeMap<(RunId, i64), BTreeSet<String>>>,
    pub(crate) changes: Arc<BTreeMap<i64, Change>>,
    pub(crate) last_change: i64,
    pub(crate) integrations: BTreeMap<IntegrationId, IntegrationRecord>,
    pub(crate) endpoints: BTreeMap<(IntegrationId, Endpoint), EndpointState>,
    pub(crate) requests: BTreeMap<Target, Request>,
    pub(crate) runs: Arc<BTreeMap<RunId, Run>>,
    pub(crate) last_run: i64,
    pub(crate) pacing: Pacing,
    pub(crate) delivery_start: Option<i64>,
    pub(crate) deliveries: BTreeMap<IntegrationId, Delivery>,
    pub(crate) dead_letters: Arc<BTreeMap<(IntegrationId, DeliveryId), (DeadLetter, String)>>,
    pub(crate) webhooks: Arc<BTreeMap<String, WebhookRecord>>,
    pub(crate) quarantine: Arc<BTreeMap<(IntegrationId, Endpoint, String), Quarantined>>,
}

impl State {
    /// The one place where anything changes, be it in a unit or when the journal is read. It cannot fail, and follows
    /// from the state and the edit alone: so what is read is what was there.
    pub(crate) fn apply(&mut self, edit: Edit) {
        match edit {
            Edit::Rows(Rows { model, integration_id, stored }) => {
                let table = Arc::make_mut(self.tables.entry((model, integration_id)).or_default());
                table.extend(stored.into_iter().map(|row| (row.row.key.clone(), row)));
            }
            Edit::Seen { run, batch, ids } => {
                Arc::make_mut(&mut self.seen).insert((run, batch), ids.into_iter().collect());
            }
            Edit::SeenCleared(run) => Arc::make_mut(&mut self.seen).retain(|(of, _), _| *of != run),
            Edit::Changes(changes) => {
                self.last_change = changes.iter().map(|change| change.seq).fold(self.last_change, i64::max);
                Arc::make_mut(&mut self.changes).extend(changes.into_iter().map(|change| (change.seq, change)));
            }
            Edit::ChangesTrimmed { before, undelivered } => {
                let delivered = |change: &Change| {
                    let delivery = self.deliveries.get(&change.integration_id);
                    delivery.is_none_or(|delivery| change.seq <= delivery.delivered_seq)
                };
                let goes = |change: &Change| undelivered == Undelivered::Remove || delivered(change);
                Arc::make_mut(&mut self.changes).retain(|_, change| change.at >= before || !goes(change));
            }
            Edit::Integration(integration) => {
                self.integrations.insert(integration.id.clone(), integration);
            }
            Edit::Endpoint(state) => {
                self.endpoints.insert((state.integration_id.clone(), state.endpoint), state);
            }
            Edit::Request(request) => {
                self.requests.insert(request.target.clone(), request);
            }
            Edit::RequestDeleted(target) => {
                self.requests.remove(&target);
            }
            Edit::Run(run) => {
                self.last_run = self.last_run.max(run.id.0);
                Arc::make_mut(&mut self.runs).insert(run.id, *run);
            }
            Edit::RunsTrimmed { before } => {
                let runs = Arc::make_mut(&mut self.runs);
                let latest: BTreeMap<Target, RunId> = runs.values().map(|run| (run.target.clone(), run.id)).collect();
                let is_latest = |run: &Run| latest.get(&run.target) == Some(&run.id);
                runs.retain(|_, run| run.finished_at.is_none_or(|at| at >= before) || is_latest(run));
            }
            Edit::Pacing(pacing) => self.pacing = pacing,
            Edit::DeliveryStart(seq) => self.delivery_start = Some(seq),
            Edit::Delivery(delivery) => {
                self.deliveries.insert(delivery.integration_id.clone(), delivery);
            }
            Edit::DeadLetter { letter, body } => {
                let key = (letter.integration_id.clone(), letter.id.clone());
                Arc::make_mut(&mut self.dead_letters).insert(key, (letter, body));
            }
            Edit::DeadLetterDeleted { integration_id, id } => {
                Arc::make_mut(&mut self.dead_letters).remove(&(integration_id, id));
            }
            Edit::Webhook(webhook) => {
                Arc::make_mut(&mut self.webhooks).insert(webhook.id.clone(), webhook);
            }
            Edit::WebhooksTrimmed { before } => {
                Arc::make_mut(&mut self.webhooks).retain(|_, webhook| webhook.received_at >= before);
            }
            Edit::Quarantined(records) => {
                let named = |it: Quarantined| ((it.integration_id.clone(), it.endpoint, it.record_id.clone()), it);
                Arc::make_mut(&mut self.quarantine).extend(records.into_iter().map(named));
            }
            Edit::QuarantineCleared { integration_id, endpoint, ids } => {
                let quarantine = Arc::make_mut(&mut self.quarantine);
                for id in ids {
                    quarantine.remove(&(integration_id.clone(), endpoint, id));
                }
            }
            Edit::Numbers { change, run } => {
                self.last_change = self.last_change.max(change);
                self.last_run = self.last_run.max(run);
            }
        }
    }

    /// Edits that lead from nothing to this state: a row, an entry or a record each.
    pub(crate) fn edits(&self) -> impl Iterator<Item = Edit> {
        let rows = self.tables.iter().flat_map(|((model, id), table)| {
            let alone = |row: &StoredRow| Rows { model: *model, integration_id: id.clone(), stored: vec![row.clone()] };
            table.values().map(move |row| Edit::Rows(alone(row)))
        });
        let seen = self.seen.iter().map(|((run, batch), ids)| Edit::Seen {
            run: *run,
            batch: *batch,
            ids: ids.iter().cloned().collect(),
        });
        let letters = self.dead_letters.values().cloned().map(|(letter, body)| Edit::DeadLetter { letter, body });
        rows.chain(seen)
            .chain(self.changes.values().map(|it| Edit::Changes(vec![it.clone()])))
            .chain(self.integrations.values().cloned().map(Edit::Integration))
            .chain(self.endpoints.values().cloned().map(Edit::Endpoint))
            .chain(self.requests.values().cloned().map(Edit::Request))
            .chain(self.runs.values().cloned().map(|it| Edit::Run(Box::new(it))))
            .chain(self.delivery_start.map(Edit::DeliveryStart))
            .chain(self.deliveries.values().cloned().map(Edit::Delivery))
            .chain(letters)
            .chain(self.webhooks.values().cloned().map(Edit::Webhook))
            .chain(self.quarantine.values().map(|it| Edit::Quarantined(vec![it.clone()])))
            .chain([Edit::Pacing(self.pacing.clone()), Edit::Numbers { change: self.last_change, run: self.last_run }])
    }
}
