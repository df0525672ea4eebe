//! Plans stored webhooks.

use std::collections::BTreeSet;
use std::sync::Arc;

use kombo_model::{Endpoint, IntegrationId, ModelName, Timestamp};

use super::WebhookPolicy;
use super::action::{Action, Fetch};
use super::hint::PendingWebhook;
use crate::jobs::dispatch;
use crate::jobs::integration::{IntegrationRecord, IntegrationStatus};
use crate::jobs::request::Target;
use crate::ports::error::TxResult;
use crate::ports::store::{Scope, Store, Tx};

/// A webhook that was planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedWebhook {
    /// Kombo's id of the event.
    pub id: String,
    /// The result, for people.
    pub result: String,
    /// The requested fetches.
    pub targets: Vec<Target>,
}

/// Plans the oldest pending webhooks of an integration, `limit` at most, in the order in which they were stored.
///
/// If several webhooks announce changes, their fetches are requested once. There are no more fetches than for webhooks
/// that are planned one by one, and none begins later. Webhooks about the state of an integration take effect in their
/// order.
pub async fn plan_pending<S: Store>(
    store: &S,
    integration: IntegrationId,
    limit: usize,
    policy: Arc<WebhookPolicy>,
    now: Timestamp,
) -> TxResult<Vec<PlannedWebhook>> {
    let scope = Scope::Integration(integration.clone());
    let work = move |tx: &mut dyn Tx| {
        let pending = tx.pending_webhooks(&integration, limit)?;
        if pending.is_empty() {
            return Ok(Vec::new());
        }
        let planned = Planning { tx, policy: &policy, now, integration: &integration }.run(&pending)?;
        let results: Vec<(&str, &str)> = planned.iter().map(|it| (it.id.as_str(), it.result.as_str())).collect();
        tx.settle_webhooks(&integration, &results)?;
        Ok(planned)
    };
    store.transact(scope, work).await
}

/// Ends the waiting of the oldest pending webhook of an integration, because the store refuses its plan, and requests a
/// delta of every loaded endpoint instead.
pub async fn skip_pending<S: Store>(
    store: &S,
    integration: IntegrationId,
    endpoints: BTreeSet<Endpoint>,
    now: Timestamp,
) -> TxResult<()> {
    let scope = Scope::Integration(integration.clone());
    let work = move |tx: &mut dyn Tx| {
        for webhook in tx.pending_webhooks(&integration, 1)? {
            tx.settle_webhooks(&integration, &[(&webhook.id, "not planned: everything is fetched instead")])?;
            dispatch::catch_up(tx, &endpoints, Some(&[integration.clone()].into()), now)?;
        }
        Ok(())
    };
    store.transact(scope, work).await
}

/// The planning of one integration's webhooks.
struct Planning<'a> {
    tx: &'a mut dyn Tx,
    policy: &'a WebhookPolicy,
    now: Timestamp,
    integration: &'a IntegrationId,
}

impl Planning<'_> {
    fn run(&mut self, pending: &[PendingWebhook]) -> TxResult<Vec<PlannedWebhook>> {
        let mut known = self.tx.integration(self.integration)?;
        let mut planned: Vec<PlannedWebhook> = Vec::with_capacity(pending.len());
        let mut fetches = Fetches::default();
        for webhook in pending {
            let action = Action::of(webhook, known.as_ref(), self.policy, self.now);
            let is_held = known.as_ref().is_some_and(|known| known.status == IntegrationStatus::Held);
            let mut result =
                PlannedWebhook { id: webhook.id.clone(), result: action.describe(is_held), targets: Vec::new() };
            match action {
                Action::Record(_) => {}
                Action::Fetch(fetch) => fetches.add(planned.len(), webhook.hint.models(), &fetch),
                Action::Integration(event) => {
                    self.request(std::mem::take(&mut fetches), known.as_ref(), &mut planned)?;
                    known = self.tx.integration(self.integration)?;
                    result.targets = event.perform(self.tx, known.as_ref(), self.policy, self.now)?;
                    known = self.tx.integration(self.integration)?;
                }
            }
            planned.push(result);
        }
        self.request(fetches, known.as_ref(), &mut planned)?;
        Ok(planned)
    }

    /// Requests the fetches, and notes them for the webhooks that caused them.
    fn request(
        &mut self,
        fetches: Fetches,
        known: Option<&IntegrationRecord>,
        planned: &mut [PlannedWebhook],
    ) -> TxResult<()> {
        let Some(all) = fetches.all else { return Ok(()) };
        let requested = all.perform(self.tx, known, self.policy, self.now)?;
        for (place, models) in fetches.of {
            let own = requested.iter().filter(|(fetch, _)| fetch.because.iter().any(|name| models.contains(name)));
            if let Some(webhook) = planned.get_mut(place) {
                webhook.targets = own.map(|(_, target)| target.clone()).collect();
            }
        }
        Ok(())
    }
}

/// The fetches that webhooks require before the next change of the integration's state.
#[derive(Default)]
struct Fetches {
    all: Option<Fetch>,
    /// The models that each webhook named, by its place.
    of: Vec<(usize, Vec<ModelName>)>,
}

impl Fetches {
    fn add(&mut self, place: usize, models: &[ModelName], fetch: &Fetch) {
        self.all.get_or_insert_with(|| Fetch::none(fetch.id.clone())).join(fetch);
        self.of.push((place, models.to_vec()));
    }
}
