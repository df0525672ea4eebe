//! Turns webhooks into requests. A webhook is a hint, never an input: its announcement leads to fetches, and nothing
//! else of it is used.
//!
//! [`append`] stores webhooks of any integrations in one transaction, which waits for nobody. [`plan_pending`] later
//! requests the fetches of one integration, in its scope. A webhook may be answered once it is appended: until it is
//! planned it stays in the store, so that any process can plan it after a crash.

mod action;
mod hint;
mod pending;
pub mod planner;
mod read;
pub(crate) mod record;
pub(crate) mod status;

use std::sync::Arc;
use std::time::Duration;

use kombo_model::{IntegrationId, Timestamp, Webhook};

use crate::jobs::request::Target;
use crate::ports::error::TxResult;
use crate::ports::store::{Scope, Store, Tx};
use crate::webhooks::planner::PlanPolicy;

pub use hint::{Announced, Hint, PendingWebhook};
pub use pending::{PlannedWebhook, plan_pending, skip_pending};
pub use read::read;
pub use record::WebhookRecord;
pub use status::set_status;

/// Result of a webhook that is not planned yet.
const PENDING: &str = "waiting to be planned";

/// Settings for the handling of webhooks.
#[derive(Debug, Clone)]
pub struct WebhookPolicy {
    /// Settings for the planning of fetches.
    pub plan: PlanPolicy,
    /// Whether integrations that webhooks announce are registered and loaded.
    pub accept_unknown: bool,
    /// Interval between fetches of a paused integration, in case the webhook that ends the pause is lost.
    pub look_at_paused_every: Duration,
}

/// The result of receiving a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// An event with this id is already stored. Nothing was done.
    Repeated,
    /// The webhook was stored, and these fetches were requested.
    Stored(Vec<Target>),
}

/// Returns the integration that a webhook concerns; `None` if the webhook is only recorded.
pub fn integration_of(webhook: &Webhook) -> Option<IntegrationId> {
    Hint::of(webhook).map(|(id, _)| id)
}

/// Stores a webhook whose signature was verified, and requests the fetches it causes.
///
/// If an error occurs after the webhook was stored, it stays pending: receiving it again plans it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::time::Duration;
/// # use kombo_model::{Endpoint, Webhook};
/// # use sync_testkit::MemoryStore;
/// use sync_core::pull::SyncPolicy;
/// use sync_core::webhooks::{Received, WebhookPolicy, receive};
///
/// # let store = MemoryStore::new();
/// # let now = "2026-01-01T00:00:00Z".parse()?;
/// let webhook: Webhook = serde_json::from_str(
///     r#"{"id": "1", "type": "data-changed", "data": {
///         "integration_id": "sandbox:a", "integration_tool": "sandbox", "integration_category": "LMS",
///         "changed_models": [{"name": "lms_users"}]}}"#,
/// )?;
/// let policy = WebhookPolicy {
///     plan: SyncPolicy::new([Endpoint::LmsUsers, Endpoint::LmsCourses].into()).plan,
///     accept_unknown: true,
///     look_at_paused_every: Duration::from_secs(3_600),
/// };
/// let received = receive(&store, &webhook, &policy, now).await?;
/// let Received::Stored(targets) = received else { panic!("it is new") };
/// // Nothing is loaded yet, so what changed means all there is.
/// assert_eq!(targets[0].to_string(), "full lms/users of sandbox:a");
///
/// // Kombo delivers it once more.
/// assert_eq!(receive(&store, &webhook, &policy, now).await?, Received::Repeated);
/// # Ok(())
/// # }
/// ```
pub async fn receive<S: Store>(
    store: &S,
    webhook: &Webhook,
    policy: &WebhookPolicy,
    now: Timestamp,
) -> TxResult<Received> {
    let (webhook, policy) = (Arc::new(webhook.clone()), Arc::new(policy.clone()));
    let event = webhook.id.to_string();
    let (concerned, appended) = (integration_of(&webhook), append(store, || vec![webhook], now).await?);
    let mut targets = Vec::new();
    let mut is_pending = concerned.is_some();
    while let (true, Some(id)) = (is_pending, &concerned) {
        let planned = plan_pending(store, id.clone(), PLAN_AT_ONCE, Arc::clone(&policy), now).await?;
        is_pending = planned.len() == PLAN_AT_ONCE;
        targets.extend(planned.into_iter().filter(|planned| planned.id == event).flat_map(|planned| planned.targets));
    }
    Ok(if appended == [true] { Received::Stored(targets) } else { Received::Repeated })
}

/// Usual number of webhooks that [`plan_pending`] plans in one transaction.
pub const PLAN_AT_ONCE: usize = 256;

/// Stores webhooks whose signatures were verified, in this order, and returns for each whether it was new. Those that
/// concern an integration wait to be planned by [`plan_pending`].
///
/// The transaction waits for no other. `take` is called once it has begun, and returns the webhooks.
pub async fn append<S: Store>(
    store: &S,
    take: impl FnOnce() -> Vec<Arc<Webhook>> + Send + 'static,
    now: Timestamp,
) -> TxResult<Vec<bool>> {
    store.transact(Scope::Shared, move |tx: &mut dyn Tx| append_within(tx, &take(), now)).await
}

fn append_within(tx: &mut dyn Tx, webhooks: &[Arc<Webhook>], now: Timestamp) -> TxResult<Vec<bool>> {
    let hints: Vec<_> = webhooks.iter().map(|webhook| Hint::of(webhook)).collect();
    let record = |(webhook, hint): (&Arc<Webhook>, &Option<(IntegrationId, Hint)>)| WebhookRecord {
        id: webhook.id.to_string(),
        kind: webhook.event.kind().to_owned(),
        integration_id: webhook.event.integration_id().cloned(),
        received_at: now,
        models: hint.iter().flat_map(|(_, hint)| hint.models()).map(ToString::to_string).collect(),
        result: if hint.is_some() { PENDING } else { hint::why_recorded(&webhook.event) }.to_owned(),
    };
    let records: Vec<WebhookRecord> = webhooks.iter().zip(&hints).map(record).collect();
    let is_new = tx.insert_webhooks(&records)?;
    let pending = records.into_iter().zip(hints).zip(&is_new).filter(|(_, is_new)| **is_new);
    let pending: Vec<PendingWebhook> = pending
        .filter_map(|((record, hint), _)| {
            let (integration_id, hint) = hint?;
            Some(PendingWebhook { id: record.id, integration_id, received_at: now, hint })
        })
        .collect();
    if !pending.is_empty() {
        tx.put_pending_webhooks(&pending)?;
    }
    Ok(is_new)
}
