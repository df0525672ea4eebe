//! What webhooks lead to. A webhook is a hint, never an input: it is stored with the requests it causes in one unit,
//! and nothing else of it is used.

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

/// What a deployment does about webhooks.
#[derive(Debug, Clone)]
pub struct IntakePolicy {
    /// How changes are planned.
    pub plan: PlanPolicy,
    /// Whether integrations that webhooks announce are registered and loaded.
    pub accept_unknown: bool,
    /// How often a paused integration is tried, should the webhook that ends the pause be lost.
    pub look_at_paused_every: Duration,
}

/// What became of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intake {
    /// An event with its id is stored already: nothing was done.
    Repeated,
    /// It was stored, and these fetches were asked for.
    Stored(Vec<Target>),
}

/// Which units have to wait for the one that takes in a webhook: those of its integration, unless all that is done is
/// to note that it came.
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

/// Whether this is a category that has nothing to do with learning.
fn is_foreign(category: &IntegrationCategory) -> bool {
    match category {
        IntegrationCategory::Hris | IntegrationCategory::Ats | IntegrationCategory::Assessment => true,
        IntegrationCategory::Lms | IntegrationCategory::Other(_) => false,
    }
}

fn is_blank(id: &IntegrationId) -> bool {
    id.as_str().trim().is_empty()
}

/// Stores a webhook whose signature was verified, with the requests it causes.
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
/// // Nothing is loaded yet, so what changed means all there is.
/// assert_eq!(targets[0].to_string(), "full users of sandbox:a");
///
/// // Kombo delivers it once more.
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
    // One for each.
    Ok(received.into_iter().next().unwrap_or(Intake::Repeated))
}

/// Stores webhooks whose signatures were verified, in this order, and says what became of each.
///
/// What several of them say of one integration is asked for once: no more fetches than if they had come one by one, and
/// none that begins later. Such as say how an integration stands take effect in their place.
///
/// The transaction is one in `scope`; `take` is called when it has begun, and returns webhooks of this scope.
///
/// # Errors
/// [`Invariant::OutOfScope`] if [`scope`] says of one that it belongs elsewhere: nothing is stored then.
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

/// A unit of work that takes in webhooks.
struct Unit<'a> {
    tx: &'a mut dyn Tx,
    policy: &'a IntakePolicy,
    now: Timestamp,
    /// How integrations stand, as far as that was looked up and is still so.
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

    /// Stores webhooks of which none changes what is to be done about the others, and does what those ask for that are
    /// new.
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

/// What webhooks together want fetched of each integration.
#[derive(Default)]
struct Wishes(BTreeMap<IntegrationId, Wish>);

/// What is to be fetched, and which webhooks, by their place, named which models.
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
