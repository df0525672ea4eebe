//! Turns webhooks into requests. A webhook is a hint, never an input: it is stored in one transaction with the requests
//! it causes, and nothing else of it is used.

mod action;
pub mod planner;
mod read;
pub(crate) mod record;
pub(crate) mod status;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kombo_model::{IntegrationCategory, IntegrationId, ModelName, Timestamp, Webhook, WebhookEvent};

use crate::jobs::integration::{IntegrationRecord, IntegrationStatus};
use crate::jobs::request::Target;
use crate::ports::error::{Invariant, TxResult};
use crate::ports::store::{Scope, Store, Tx};
use crate::webhooks::planner::PlanPolicy;

use action::{Action, Fetch};

pub use read::read;
pub use record::WebhookRecord;
pub use status::set_status;

/// Settings for the handling of webhooks.
#[derive(Debug, Clone)]
pub struct IntakePolicy {
    /// Settings for the planning of fetches.
    pub plan: PlanPolicy,
    /// Whether integrations that webhooks announce are registered and loaded.
    pub accept_unknown: bool,
    /// Interval between fetches of a paused integration, in case the webhook that ends the pause is lost.
    pub look_at_paused_every: Duration,
}

/// The result of receiving a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intake {
    /// An event with this id is already stored. Nothing was done.
    Repeated,
    /// The webhook was stored, and these fetches were requested.
    Stored(Vec<Target>),
}

/// Returns the scope of the transaction that stores a webhook: that of its integration, unless the webhook is only
/// recorded.
pub fn scope(webhook: &Webhook) -> Scope {
    let event = &webhook.event;
    let is_only_noted = match event {
        WebhookEvent::DataChanged(_)
        | WebhookEvent::IntegrationCreated(_)
        | WebhookEvent::IntegrationDeleted(_)
        | WebhookEvent::IntegrationStateChanged(_) => event.category().is_some_and(is_foreign),
        WebhookEvent::SyncFinished(_) | WebhookEvent::ConnectionFlowFailed(_) | WebhookEvent::Other { .. } | _ => true,
    };
    match event.integration_id() {
        Some(id) if !is_only_noted && !is_blank(id) => Scope::Integration(id.clone()),
        Some(_) | None => Scope::Shared,
    }
}

/// Whether a category is unrelated to learning.
fn is_foreign(category: &IntegrationCategory) -> bool {
    match category {
        IntegrationCategory::Hris | IntegrationCategory::Ats | IntegrationCategory::Assessment => true,
        IntegrationCategory::Lms | IntegrationCategory::Other(_) => false,
    }
}

fn is_blank(id: &IntegrationId) -> bool {
    id.as_str().trim().is_empty()
}

/// Stores a verified webhook, with the requests it causes. The caller has checked its signature.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::time::Duration;
/// # use kombo_model::{Endpoint, Webhook};
/// # use sync_testkit::MemoryStore;
/// use sync_core::pull::SyncPolicy;
/// use sync_core::webhooks::{Intake, IntakePolicy, receive};
///
/// # let store = MemoryStore::new();
/// # let now = "2026-01-01T00:00:00Z".parse()?;
/// let webhook: Webhook = serde_json::from_str(
///     r#"{"id": "1", "type": "data-changed", "data": {
///         "integration_id": "sandbox:a", "integration_tool": "sandbox", "integration_category": "LMS",
///         "changed_models": [{"name": "lms_users"}]}}"#,
/// )?;
/// let policy = IntakePolicy {
///     plan: SyncPolicy::new([Endpoint::Users, Endpoint::Courses].into()).plan,
///     accept_unknown: true,
///     look_at_paused_every: Duration::from_secs(3_600),
/// };
/// let received = receive(&store, &webhook, &policy, now).await?;
/// let Intake::Stored(targets) = received else { panic!("it is new") };
/// // Nothing is loaded yet, so the change leads to a full fetch.
/// assert_eq!(targets[0].to_string(), "full users of sandbox:a");
///
/// // A second delivery changes nothing.
/// assert_eq!(receive(&store, &webhook, &policy, now).await?, Intake::Repeated);
/// # Ok(())
/// # }
/// ```
pub async fn receive<S: Store>(
    store: &S,
    webhook: &Webhook,
    policy: &IntakePolicy,
    now: Timestamp,
) -> TxResult<Intake> {
    let (webhook, policy) = (Arc::new(webhook.clone()), Arc::new(policy.clone()));
    let received = receive_all(store, scope(&webhook), || vec![webhook], policy, now).await?;
    // There is one result for each webhook.
    Ok(received.into_iter().next().unwrap_or(Intake::Repeated))
}

/// Stores verified webhooks in this order, and returns the result for each. The caller has checked their signatures.
///
/// If several webhooks announce changes of an integration, their fetches are requested once. There are no more fetches
/// than for webhooks that arrive one by one, and none begins later. Webhooks about the state of an integration take
/// effect in their order.
///
/// The transaction runs in `scope`. `take` is called once it has begun, and returns webhooks of this scope.
///
/// # Errors
/// [`Invariant::OutOfScope`] if the [`scope`] of a webhook is another one. Then nothing is stored.
pub async fn receive_all<S: Store>(
    store: &S,
    scope: Scope,
    take: impl FnOnce() -> Vec<Arc<Webhook>> + Send + 'static,
    policy: Arc<IntakePolicy>,
    now: Timestamp,
) -> TxResult<Vec<Intake>> {
    let within = scope.clone();
    let work = move |tx: &mut dyn Tx| {
        let webhooks = take();
        for webhook in &webhooks {
            if let Scope::Integration(id) = self::scope(webhook)
                && within != Scope::Integration(id.clone())
            {
                return Err(Invariant::OutOfScope(id).into());
            }
        }
        receive_within(tx, &webhooks, &policy, now)
    };
    store.transact(scope, work).await
}

fn receive_within(
    tx: &mut dyn Tx,
    webhooks: &[Arc<Webhook>],
    policy: &IntakePolicy,
    now: Timestamp,
) -> TxResult<Vec<Intake>> {
    let mut unit = Unit { tx, policy, now, known: BTreeMap::new(), received: Vec::with_capacity(webhooks.len()) };
    let mut stretch = Vec::new();
    for webhook in webhooks {
        let webhook = webhook.as_ref();
        let action = Action::of(webhook, unit.known(webhook.event.integration_id())?.as_ref(), policy, now);
        if matches!(action, Action::Integration(_)) {
            unit.settle(std::mem::take(&mut stretch))?;
            unit.settle(vec![(webhook, action)])?;
        } else {
            stretch.push((webhook, action));
        }
    }
    unit.settle(stretch)?;
    Ok(unit.received)
}

/// A transaction that stores webhooks.
struct Unit<'a> {
    tx: &'a mut dyn Tx,
    policy: &'a IntakePolicy,
    now: Timestamp,
    /// Integrations that were looked up and have not changed since.
    known: BTreeMap<IntegrationId, Option<IntegrationRecord>>,
    received: Vec<Intake>,
}

impl Unit<'_> {
    fn known(&mut self, id: Option<&IntegrationId>) -> TxResult<Option<IntegrationRecord>> {
        let Some(id) = id else { return Ok(None) };
        if let Some(known) = self.known.get(id) {
            return Ok(known.clone());
        }
        let known = self.tx.integration(id)?;
        self.known.insert(id.clone(), known.clone());
        Ok(known)
    }

    /// Stores webhooks that do not affect each other's actions, and performs the actions of the new ones.
    fn settle(&mut self, webhooks: Vec<(&Webhook, Action)>) -> TxResult<()> {
        if webhooks.is_empty() {
            return Ok(());
        }
        let records: TxResult<Vec<_>> =
            webhooks.iter().map(|(webhook, action)| self.record_of(webhook, action)).collect();
        let is_new = self.tx.insert_webhooks(&records?)?;
        let first = self.received.len();
        let mut wishes = Wishes::default();
        for (place, ((webhook, action), is_new)) in webhooks.into_iter().zip(is_new).enumerate() {
            self.received.push(if is_new { Intake::Stored(Vec::new()) } else { Intake::Repeated });
            match action {
                Action::Record(result) if is_new => {
                    let (id, kind) = (webhook.id.as_str(), webhook.event.kind());
                    tracing::info!(webhook.id = id, webhook.kind = kind, result, "a webhook needs no fetch");
                }
                Action::Fetch(fetch) if is_new => wishes.add(first + place, &fetch),
                Action::Integration(standing) if is_new => {
                    let id = standing.id.clone();
                    let known = self.known(Some(&id))?;
                    let targets = standing.perform(self.tx, known.as_ref(), self.policy, self.now)?;
                    self.note(first + place, targets);
                    self.known.remove(&id);
                }
                Action::Record(_) | Action::Fetch(_) | Action::Integration(_) => {}
            }
        }
        for Wish { all, each } in wishes.0.into_values() {
            let known = self.known(Some(&all.id))?;
            let fetches = all.perform(self.tx, known.as_ref(), self.policy, self.now)?;
            self.known.remove(&all.id);
            for (place, models) in each {
                let own =
                    fetches.iter().filter(|(planned, _)| planned.because.iter().any(|name| models.contains(name)));
                self.note(place, own.map(|(_, target)| target.clone()).collect());
            }
        }
        Ok(())
    }

    fn record_of(&mut self, webhook: &Webhook, action: &Action) -> TxResult<WebhookRecord> {
        let id = webhook.event.integration_id();
        let held = self.known(id)?.is_some_and(|known| known.status == IntegrationStatus::Held);
        Ok(WebhookRecord {
            id: webhook.id.to_string(),
            kind: webhook.event.kind().to_owned(),
            integration_id: id.cloned(),
            received_at: self.now,
            models: action.models().iter().map(ToString::to_string).collect(),
            result: action.describe(held),
        })
    }

    fn note(&mut self, place: usize, targets: Vec<Target>) {
        if let Some(received) = self.received.get_mut(place) {
            *received = Intake::Stored(targets);
        }
    }
}

/// The requested fetches of each integration.
#[derive(Default)]
struct Wishes(BTreeMap<IntegrationId, Wish>);

/// The fetch of all requested changes, and the models that each webhook named, by its position.
struct Wish {
    all: Fetch,
    each: Vec<(usize, Vec<ModelName>)>,
}

impl Wishes {
    fn add(&mut self, place: usize, fetch: &Fetch) {
        let none = || Wish { all: Fetch::none(fetch.id.clone()), each: Vec::new() };
        let wish = self.0.entry(fetch.id.clone()).or_insert_with(none);
        wish.all.join(fetch);
        wish.each.push((place, fetch.models().to_vec()));
    }
}
