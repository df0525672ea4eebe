use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kombo_model::{
    ChangedModel, DataChanged, Endpoint, Extra, IntegrationCategory, IntegrationId, ModelName, Timestamp, Webhook,
    WebhookEvent,
};
use sync_core::SyncError;
use sync_core::changes::Change;
use sync_core::jobs::queue::{self, Claim};
use sync_core::jobs::{Lease, LeaseToken, QueuedRequest, RequestCause, SyncKind, Target};
use sync_core::ports::{Clock, Scope, Silent, Store, StoreError, Tx};
use sync_core::pull::RunId;
use sync_core::pull::{Engine, SyncPolicy};
use sync_core::rows::{Model, StoredRow};
use sync_core::webhooks::{self, WebhookPolicy};
use tokio_util::sync::CancellationToken;

use crate::lease_next_of;
use crate::{FakeKombo, ManualClock};

/// The tables of a mirror, each in key order.
pub type Tables = BTreeMap<Model, Vec<StoredRow>>;

/// The work of a daemon for one integration, one step at a time: it receives webhooks, requests fetches, and works on
/// what is due.
#[derive(Debug)]
pub struct Daemon<St> {
    store: Arc<St>,
    kombo: FakeKombo,
    clock: ManualClock,
    policy: SyncPolicy,
    id: IntegrationId,
    number: AtomicU64,
}

impl<St: Store> Daemon<St> {
    /// Creates a daemon that keeps the mirror of `id` in `store`.
    pub fn new(store: Arc<St>, kombo: FakeKombo, clock: ManualClock, policy: SyncPolicy, id: IntegrationId) -> Self {
        Self { store, kombo, clock, policy, id, number: AtomicU64::new(0) }
    }

    /// Receives a webhook that names the models changed at Kombo since the last one, if there are any.
    ///
    /// # Panics
    ///
    /// Panics if the store does not accept it.
    pub async fn hear(&self) {
        let changed = self.kombo.changed_models();
        if changed.is_empty() {
            return;
        }
        let webhook = self.webhook(changed);
        let policy = WebhookPolicy {
            plan: self.policy.plan.clone(),
            accept_unknown: true,
            look_at_paused_every: Duration::from_secs(3_600),
        };
        let now = self.clock.now();
        webhooks::receive(&*self.store, &webhook, &policy, now).await.unwrap_or_else(|error| panic!("{error}"));
    }

    fn webhook(&self, changed: Vec<ModelName>) -> Webhook {
        let models = changed.into_iter().map(|name| ChangedModel { name, extra: Extra::new() });
        let event = WebhookEvent::DataChanged(DataChanged {
            integration_id: self.id.clone(),
            integration_tool: "sandbox".to_owned(),
            integration_category: IntegrationCategory::Lms,
            changed_models: models.collect(),
            extra: Extra::new(),
        });
        Webhook { id: self.unique("event").as_str().into(), event }
    }

    /// Requests a fetch. A request by a person also allows pending removals.
    pub async fn ask(&self, endpoint: Endpoint, kind: SyncKind, cause: RequestCause) {
        let (target, now) = (Target { integration_id: self.id.clone(), endpoint, kind }, self.clock.now());
        self.transaction(move |tx| {
            let mut request = queue::request(tx, target.clone(), cause, now, now)?;
            request.approved_removals = (cause == RequestCause::Command).then_some(i64::MAX);
            tx.put_request(&request)
        })
        .await;
    }

    /// Works until nothing is due, or until `stop`. The engine itself delays a request that failed at Kombo. Errors
    /// that prevented even the delay are returned.
    ///
    /// # Panics
    ///
    /// Panics if work does not end.
    pub async fn work(&self, stop: &CancellationToken) -> Vec<SyncError> {
        let (store, kombo) = (Arc::clone(&self.store), Arc::new(self.kombo.clone()));
        let engine = Engine::new(store, kombo, self.clock.clone(), Silent, self.policy.clone());
        let mut broken = Vec::new();
        // More rounds than any test needs: a lease that is never released must not block a test forever.
        for _ in 0..1_000 {
            if stop.is_cancelled() {
                return broken;
            }
            let Some(lease) = self.lease().await else { return broken };
            broken.extend(engine.work(&lease, stop).await.err());
        }
        panic!("work that never ends: {:#?}", self.requests().await);
    }

    async fn lease(&self) -> Option<Lease> {
        let (id, now) = (self.id.clone(), self.clock.now());
        let token = LeaseToken(self.unique("lease"));
        let claim = Claim {
            owner: "history".to_owned(),
            token,
            ttl: self.policy.lease_ttl,
            longest_wait: self.policy.longest_wait(),
        };
        self.transaction(move |tx| lease_next_of(tx, &id, &claim, now)).await
    }

    /// Returns the requests of the integration.
    pub async fn requests(&self) -> Vec<QueuedRequest> {
        let id = self.id.clone();
        self.look(move |tx| tx.requests_of(std::slice::from_ref(&id))).await
    }

    /// Returns the watermark of the endpoint.
    pub async fn watermark(&self, endpoint: Endpoint) -> Option<Timestamp> {
        let id = self.id.clone();
        self.look(move |tx| queue::state(tx, &id, endpoint)).await.watermark
    }

    /// Returns all rows of the integration.
    pub async fn tables(&self) -> Tables {
        let id = self.id.clone();
        self.look(move |tx| {
            let rows = |model| Ok((model, tx.rows_after(model, &id, None, usize::MAX)?));
            Model::LMS.into_iter().map(rows).collect()
        })
        .await
    }

    /// Returns the change log of the integration after `seq`.
    pub async fn log(&self, seq: i64) -> Vec<Change> {
        let id = self.id.clone();
        self.look(move |tx| tx.changes(Some(&id), seq, usize::MAX)).await
    }

    /// Returns outcome and error of the latest runs, to diagnose a failed test.
    pub async fn runs(&self) -> Vec<(RunId, Target, String)> {
        let id = self.id.clone();
        let runs = self.look(move |tx| tx.runs(Some(&id), None, 10)).await;
        runs.into_iter().map(|run| (run.id, run.target, format!("{} {:?}", run.outcome, run.error))).collect()
    }

    fn unique(&self, what: &str) -> String {
        format!("{} {what} {}", self.id, self.number.fetch_add(1, Ordering::SeqCst))
    }

    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Tx) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        self.store.read(work).await.expect("the store can be read")
    }

    /// Runs a transaction, and retries it after a transient failure, like its real caller.
    async fn transaction<T: Send + 'static>(
        &self,
        work: impl Fn(&mut dyn Tx) -> Result<T, StoreError> + Clone + Send + 'static,
    ) -> T {
        loop {
            match self.store.transact(Scope::Integration(self.id.clone()), work.clone()).await {
                Err(error) if error.is_transient() => {}
                done => return done.expect("the transaction passes"),
            }
        }
    }
}
