//! Plans stored webhooks, each integration by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kombo_model::IntegrationId;
use sync_core::ports::{Clock, Store, StoreError, Tx};
use sync_core::webhooks::{self, PLAN_AT_ONCE, WebhookPolicy};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::{MAX_ATTEMPTS, RETRY_AFTER};
use crate::observer::{Notice, RuntimeObserver};
use crate::runtime::Wakers;

/// The time between two searches for webhooks that nobody plans: of a process that ended, or after a failure.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Maximum number of integrations that a search returns. The next search finds the others.
const MOST_FOUND: usize = 1_000;

/// Maximum number of integrations that are planned at a time. Others may want connections to the store too.
const MOST_AT_A_TIME: usize = 32;

/// Requests the fetches of stored webhooks.
#[derive(Debug)]
pub(super) struct Planner<S, C, O>(Arc<Shared<S, C, O>>);

#[derive(Debug)]
struct Shared<S, C, O> {
    store: Arc<S>,
    clock: C,
    observer: O,
    policy: Arc<WebhookPolicy>,
    wakers: Arc<Wakers>,
    turns: Semaphore,
}

/// The result of a task of the planner.
enum Ended {
    /// The webhooks of an integration were planned, or it failed.
    Planned(IntegrationId),
    /// A search found these integrations.
    Found(Vec<IntegrationId>),
}

impl<S: Store, C: Clock + 'static, O: RuntimeObserver + 'static> Planner<S, C, O> {
    pub(super) fn new(store: Arc<S>, clock: C, observer: O, policy: WebhookPolicy, wakers: Arc<Wakers>) -> Self {
        let (policy, turns) = (Arc::new(policy), Semaphore::new(MOST_AT_A_TIME));
        Self(Arc::new(Shared { store, clock, observer, policy, wakers, turns }))
    }

    /// Plans the webhooks of the integrations that arrive, and of those that searches find, until the channel is closed
    /// and everything is planned.
    pub(super) async fn run(self, mut appended: mpsc::UnboundedReceiver<IntegrationId>) {
        let mut tasks: JoinSet<Ended> = JoinSet::new();
        // There is one task for each integration. True if webhooks arrived that it may not have seen.
        let mut busy: BTreeMap<IntegrationId, bool> = BTreeMap::new();
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_open = true;
        while is_open || !tasks.is_empty() {
            let mut arrived = Vec::new();
            tokio::select! {
                biased;
                Some(ended) = tasks.join_next() => match ended {
                    Ok(Ended::Planned(id)) => arrived.extend(busy.remove(&id).unwrap_or_default().then_some(id)),
                    Ok(Ended::Found(ids)) => arrived = ids,
                    // The next search finds what a task that panicked left.
                    Err(_) => busy.clear(),
                },
                came = appended.recv(), if is_open => {
                    is_open = came.is_some();
                    arrived.extend(came);
                }
                _ = looks.tick(), if is_open => {
                    let shared = Arc::clone(&self.0);
                    tasks.spawn(async move { Ended::Found(shared.look().await) });
                }
            }
            for id in arrived {
                if let Some(more) = busy.get_mut(&id) {
                    *more = true;
                } else {
                    busy.insert(id.clone(), false);
                    let shared = Arc::clone(&self.0);
                    tasks.spawn(async move { Ended::Planned(shared.plan(id).await) });
                }
            }
        }
    }
}

impl<S: Store, C: Clock, O: RuntimeObserver> Shared<S, C, O> {
    /// Returns the integrations with pending webhooks.
    async fn look(&self) -> Vec<IntegrationId> {
        let pending = |tx: &mut dyn Tx| tx.integrations_with_pending_webhooks(MOST_FOUND);
        match self.store.read(pending).await {
            Ok(pending) => pending.into_iter().map(|(id, _)| id).collect(),
            Err(error) => {
                self.observer.notice(Notice::WebhooksNotPlanned { integration_id: None, error: &error });
                Vec::new()
            }
        }
    }

    /// Plans all pending webhooks of an integration. After repeated failures they stay for the next search.
    async fn plan(&self, id: IntegrationId) -> IntegrationId {
        let _turn = self.turns.acquire().await;
        let mut attempts = 1;
        let mut limit = PLAN_AT_ONCE;
        loop {
            let now = self.clock.now();
            match webhooks::plan_pending(&*self.store, id.clone(), limit, Arc::clone(&self.policy), now).await {
                Ok(planned) => {
                    let is_all = planned.len() < limit;
                    if planned.iter().any(|webhook| !webhook.targets.is_empty()) {
                        // One worker is enough: it wakes the next.
                        self.wakers.work.notify_one();
                    }
                    if !planned.is_empty() {
                        self.observer.notice(Notice::WebhooksPlanned { integration_id: &id, webhooks: &planned });
                    }
                    if is_all {
                        return id;
                    }
                }
                Err(error) if error.is_transient() && attempts < MAX_ATTEMPTS => {
                    attempts += 1;
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                // The database may reject only one of them, so each is planned alone.
                Err(error) if !error.is_transient() && limit > 1 => limit = 1,
                Err(error) => {
                    self.observer.notice(Notice::WebhooksNotPlanned { integration_id: Some(&id), error: &error });
                    if error.is_transient() || self.skip(&id).await.is_err() {
                        return id;
                    }
                }
            }
        }
    }

    /// Requests deltas of the integration instead of planning its oldest webhook.
    async fn skip(&self, id: &IntegrationId) -> Result<(), StoreError> {
        let endpoints = self.policy.plan.endpoints.clone();
        webhooks::skip_pending(&*self.store, id.clone(), endpoints, self.clock.now()).await?;
        self.wakers.work.notify_one();
        Ok(())
    }
}
