//! What a webhook leads to. A webhook is a hint, never an input: it is stored with the requests it causes in one unit,
//! and nothing else of it is used.

mod read;

use std::collections::BTreeMap;
use std::time::Duration;

use kombo_model::{
    Endpoint, IntegrationCategory, IntegrationId, IntegrationState, ModelName, Timestamp, Webhook, WebhookEvent,
};

use crate::planner::{PlanPolicy, plan};
use crate::port::{Tx, TxResult};
use crate::queue;
use crate::types::{
    EndpointState, EndpointStatus, IntegrationRecord, IntegrationStatus, RequestCause, SyncKind, Target, WebhookRecord,
};

pub use read::read;

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

/// Stores a webhook whose signature was verified, with the requests it causes.
///
/// ```
/// # use std::time::Duration;
/// # use kombo_model::{Endpoint, Webhook};
/// # use sync_testkit::MemoryStore;
/// use sync_core::engine::SyncPolicy;
/// use sync_core::intake::{Intake, IntakePolicy, receive};
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
/// let received = store.edit(|tx| receive(tx, &webhook, &policy, now))?;
/// let Intake::Stored(targets) = received else { panic!("it is new") };
/// // Nothing is loaded yet, so what changed means all there is.
/// assert_eq!(targets[0].to_string(), "full users of sandbox:a");
///
/// // Kombo delivers it once more.
/// assert_eq!(store.edit(|tx| receive(tx, &webhook, &policy, now))?, Intake::Repeated);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn receive(tx: &mut dyn Tx, webhook: &Webhook, policy: &IntakePolicy, now: Timestamp) -> TxResult<Intake> {
    let known = match webhook.event.integration_id() {
        Some(id) => tx.integration(id)?,
        None => None,
    };
    let action = Action::of(webhook, known.as_ref(), policy);
    let held = known.as_ref().is_some_and(|known| known.status == IntegrationStatus::Held);
    let record = WebhookRecord {
        id: webhook.id.to_string(),
        kind: webhook.event.kind().to_owned(),
        integration_id: webhook.event.integration_id().cloned(),
        received_at: now,
        models: action.models().iter().map(ToString::to_string).collect(),
        result: action.describe(held),
    };
    if !tx.insert_webhook(&record)? {
        return Ok(Intake::Repeated);
    }
    action.perform(tx, known.as_ref(), policy, now).map(Intake::Stored)
}

/// What is to be done about a webhook.
enum Action {
    Record(&'static str),
    Fetch(IntegrationId, String, Vec<ModelName>),
    Register(IntegrationId, String),
    Delete(IntegrationId, String),
    Pause(IntegrationId, String, String),
    Resume(IntegrationId, String),
}

impl Action {
    fn of(webhook: &Webhook, known: Option<&IntegrationRecord>, policy: &IntakePolicy) -> Self {
        if webhook.event.category().is_some_and(|category| *category != IntegrationCategory::Lms) {
            return Self::Record("ignored: not of the LMS category");
        }
        if let Some(id) = webhook.event.integration_id() {
            if id.as_str().trim().is_empty() {
                return Self::Record("ignored: it names no integration");
            }
            match known {
                Some(known) if known.status == IntegrationStatus::Deleted => {
                    return Self::Record("ignored: the integration was deleted");
                }
                None if !policy.accept_unknown => return Self::Record("ignored: the integration is unknown"),
                Some(_) | None => {}
            }
        }
        match &webhook.event {
            WebhookEvent::DataChanged(data) => {
                let models = data.changed_models.iter().map(|model| model.name.clone()).collect();
                Self::Fetch(data.integration_id.clone(), data.integration_tool.clone(), models)
            }
            WebhookEvent::IntegrationCreated(data) => Self::Register(data.id.clone(), data.tool.clone()),
            WebhookEvent::IntegrationDeleted(data) => Self::Delete(data.id.clone(), data.tool.clone()),
            WebhookEvent::IntegrationStateChanged(data) => {
                let (id, tool) = (data.integration_id.clone(), data.integration_tool.clone());
                match &data.state {
                    IntegrationState::Active => Self::Resume(id, tool),
                    IntegrationState::Invalid | IntegrationState::Inactive => {
                        Self::Pause(id, tool, format!("Kombo says that the integration is {}", data.state))
                    }
                    IntegrationState::Other(_) => Self::Record("recorded: a state that this version does not know"),
                }
            }
            WebhookEvent::SyncFinished(_) | WebhookEvent::ConnectionFlowFailed(_) => Self::Record("recorded"),
            WebhookEvent::Other { .. } | _ => Self::Record("recorded: of a type that this version does not know"),
        }
    }

    fn models(&self) -> &[ModelName] {
        if let Self::Fetch(_, _, models) = self { models } else { &[] }
    }

    fn describe(&self, held: bool) -> String {
        match self {
            Self::Fetch(..) | Self::Pause(..) | Self::Resume(..) if held => {
                "noted: a person paused the integration".to_owned()
            }
            Self::Record(result) => (*result).to_owned(),
            Self::Fetch(..) => "planned".to_owned(),
            Self::Register(..) => "registered".to_owned(),
            Self::Delete(..) => "stopped: the integration was deleted".to_owned(),
            Self::Pause(_, _, reason) => format!("paused: {reason}"),
            Self::Resume(..) => "resumed".to_owned(),
        }
    }

    fn perform(
        self,
        tx: &mut dyn Tx,
        known: Option<&IntegrationRecord>,
        policy: &IntakePolicy,
        now: Timestamp,
    ) -> TxResult<Vec<Target>> {
        match self {
            Self::Record(_) => Ok(Vec::new()),
            Self::Fetch(id, tool, models) => {
                // An integration of which data arrives is no longer out of order, whatever was last heard of it.
                if known.is_some_and(|known| known.status != IntegrationStatus::Active) {
                    queue::set_going(tx, &id, now)?;
                }
                hear(tx, known, &id, &tool, IntegrationStatus::Active, None, now)?;
                fetch_changed(tx, &id, &models, policy, now)
            }
            Self::Register(id, tool) | Self::Resume(id, tool) => {
                hear(tx, known, &id, &tool, IntegrationStatus::Active, None, now)?;
                fetch_all(tx, &id, policy, now)
            }
            Self::Pause(id, tool, reason) => {
                hear(tx, known, &id, &tool, IntegrationStatus::Paused, Some(reason), now)?;
                // Not for ever: the webhook that ends the pause may be lost.
                let next_look = now.saturating_add(policy.look_at_paused_every);
                for request in tx.requests()?.into_iter().filter(|request| request.target.integration_id == id) {
                    if let Some(mut request) = tx.request(&request.target)? {
                        request.not_before = request.not_before.max(next_look);
                        tx.put_request(&request)?;
                    }
                }
                Ok(Vec::new())
            }
            Self::Delete(id, tool) => {
                let reason = "Kombo says that the integration was deleted".to_owned();
                put_status(tx, known, &id, &tool, IntegrationStatus::Deleted, Some(reason), now)?;
                // Whoever works on one of them loses the lease with the request.
                for request in tx.requests()?.into_iter().filter(|request| request.target.integration_id == id) {
                    tx.delete_request(&request.target)?;
                }
                Ok(Vec::new())
            }
        }
    }
}

/// Asks for what a set of changed models needs.
fn fetch_changed(
    tx: &mut dyn Tx,
    id: &IntegrationId,
    models: &[ModelName],
    policy: &IntakePolicy,
    now: Timestamp,
) -> TxResult<Vec<Target>> {
    let mut states: BTreeMap<Endpoint, EndpointState> =
        tx.endpoints_of(id)?.into_iter().map(|state| (state.endpoint, state)).collect();
    let enabled = states.values().filter(|state| policy.plan.endpoints.contains(&state.endpoint));
    let last_blind_full = enabled.filter_map(|state| state.last_blind_full_at).max();
    let plan = plan(models, &policy.plan, last_blind_full, now);
    let mut targets = Vec::new();
    for fetch in plan.fetches {
        let state = states.entry(fetch.endpoint).or_insert_with(|| EndpointState::new(id.clone(), fetch.endpoint));
        let target = Target { integration_id: id.clone(), endpoint: fetch.endpoint, kind: fetch.kind };
        let not_before = fetch.not_before.unwrap_or(now);
        if fetch.kind == SyncKind::Full {
            // One that waits for its time already must not be put off by every further webhook. It is asked for again
            // all the same: it may be half done, and what changed now may lie on pages that it has behind it.
            let is_asked_for = tx.request(&target)?.is_some();
            if fetch.not_before.is_none() || !is_asked_for {
                state.last_blind_full_at = Some(not_before);
                tx.put_endpoint(state)?;
            }
        }
        targets.push(queue::request_of(tx, state, target, RequestCause::Webhook, not_before, now)?.target);
    }
    Ok(targets)
}

/// Asks for what changed at every endpoint, for all of it where nothing is loaded, and sets going what waits.
fn fetch_all(tx: &mut dyn Tx, id: &IntegrationId, policy: &IntakePolicy, now: Timestamp) -> TxResult<Vec<Target>> {
    let mut targets = Vec::new();
    for endpoint in &policy.plan.endpoints {
        let target = Target { integration_id: id.clone(), endpoint: *endpoint, kind: SyncKind::Delta };
        targets.push(queue::request(tx, target, RequestCause::Webhook, now, now)?.target);
        let mut state = queue::state(tx, id, *endpoint)?;
        if matches!(state.status, EndpointStatus::Failed | EndpointStatus::WaitingForSetup) {
            let reason = state.reason.take();
            queue::set_status(&mut state, EndpointStatus::Retrying, reason, now);
            tx.put_endpoint(&state)?;
        }
    }
    queue::set_going(tx, id, now)?;
    Ok(targets)
}

/// Notes how an integration stands by Kombo's word, which does not end a pause by a person.
fn hear(
    tx: &mut dyn Tx,
    known: Option<&IntegrationRecord>,
    id: &IntegrationId,
    tool: &str,
    status: IntegrationStatus,
    reason: Option<String>,
    now: Timestamp,
) -> TxResult<()> {
    let held = known.filter(|known| known.status == IntegrationStatus::Held);
    let (status, reason) = held.map_or((status, reason), |known| (known.status, known.reason.clone()));
    put_status(tx, known, id, tool, status, reason, now)
}

/// Registers an integration, or notes how it stands.
pub fn set_status(
    tx: &mut dyn Tx,
    id: &IntegrationId,
    tool: &str,
    status: IntegrationStatus,
    reason: Option<String>,
    now: Timestamp,
) -> TxResult<()> {
    let known = tx.integration(id)?;
    put_status(tx, known.as_ref(), id, tool, status, reason, now)
}

/// The same, where it is known how the integration stands.
fn put_status(
    tx: &mut dyn Tx,
    known: Option<&IntegrationRecord>,
    id: &IntegrationId,
    tool: &str,
    status: IntegrationStatus,
    reason: Option<String>,
    now: Timestamp,
) -> TxResult<()> {
    let tool = Some(tool.to_owned()).filter(|tool| !tool.is_empty());
    let record = match known {
        Some(known) => IntegrationRecord {
            id: id.clone(),
            tool: tool.or_else(|| known.tool.clone()),
            status,
            status_since: if known.status == status { known.status_since } else { now },
            reason,
            registered_at: known.registered_at,
        },
        None => IntegrationRecord { id: id.clone(), tool, status, status_since: now, reason, registered_at: now },
    };
    if known == Some(&record) { Ok(()) } else { tx.put_integration(&record) }
}
