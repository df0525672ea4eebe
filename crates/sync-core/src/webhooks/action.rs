use std::collections::BTreeMap;
use std::time::Duration;

use kombo_model::{Category, Endpoint, IntegrationCategory, IntegrationId, IntegrationState, ModelName, Timestamp};

use super::WebhookPolicy;
use super::hint::{Announced, FOREIGN, Hint, PendingWebhook, category_of};
use super::status::{ReportedStatus, put_reported, put_status, state_updated_at};
use crate::horizon::{happened, latest};
use crate::jobs::endpoint::{EndpointState, EndpointStatus};
use crate::jobs::integration::{IntegrationRecord, IntegrationStatus};
use crate::jobs::queue;
use crate::jobs::request::{RequestCause, SyncKind, Target};
use crate::ports::error::TxResult;
use crate::ports::lock::LockMode;
use crate::ports::store::Tx;
use crate::rows::Model;
use crate::webhooks::planner::{PlanPolicy, PlannedFetch, plan};

const OUTDATED: &str = "ignored: a later state of the integration is known";

/// The action that a webhook requires.
pub(super) enum Action {
    Record(&'static str),
    Fetch(Fetch),
    /// A change of the integration's state. The actions of later webhooks may depend on it.
    Integration(IntegrationEvent),
}

/// A change of an integration's state.
pub(super) struct IntegrationEvent {
    pub(super) id: IntegrationId,
    tool: String,
    category: Option<Category>,
    change: Change,
    /// Kombo's time of the change, if given.
    updated_at: Option<Timestamp>,
}

enum Change {
    Register,
    Delete,
    Pause(String),
    Resume,
}

/// A fetch of the changes of an integration.
pub(super) struct Fetch {
    pub(super) id: IntegrationId,
    tool: String,
    category: Option<Category>,
    /// The models that each webhook named, without repetitions. Each set is planned separately: together they might
    /// lead to a full fetch where one of them needs only a delta, which is sooner.
    changed: Vec<Vec<ModelName>>,
}

impl Action {
    pub(super) fn of(
        pending: &PendingWebhook,
        known: Option<&IntegrationRecord>,
        policy: &WebhookPolicy,
        now: Timestamp,
    ) -> Self {
        let PendingWebhook { integration_id: id, hint, .. } = pending;
        // This version does not recognize the category. The integration or the models may identify it.
        let is_unknown = matches!(&hint.category, IntegrationCategory::Other(name) if !name.is_empty());
        if is_unknown && known.is_none() && !names_a_model(hint) {
            return Self::Record(FOREIGN);
        }
        match known {
            Some(known) if known.status == IntegrationStatus::Deleted => {
                return Self::Record("ignored: the integration was deleted");
            }
            None if !policy.accept_unknown => return Self::Record("ignored: the integration is unknown"),
            None if category_of(hint).is_some_and(|category| policy.plan.of(Some(category)).endpoints.is_empty()) => {
                return Self::Record("ignored: no endpoint of its category is enabled");
            }
            Some(_) | None => {}
        }
        // Webhooks may arrive in any order, and again under other ids.
        let latest = known.and_then(|known| state_updated_at(known, now));
        let (change, updated_at) = match &hint.announced {
            Announced::Data(models) => {
                let (tool, category) = (hint.tool.clone(), category_of(hint));
                return Self::Fetch(Fetch { id: id.clone(), tool, category, changed: vec![models.clone()] });
            }
            Announced::Created
                if latest.is_some() && known.is_some_and(|known| known.status == IntegrationStatus::Paused) =>
            {
                return Self::Record(OUTDATED);
            }
            Announced::Created => (Change::Register, None),
            // The integration was registered again after this deletion.
            Announced::Deleted(at) if at.is_some_and(|time| Some(time) <= latest) => return Self::Record(OUTDATED),
            Announced::Deleted(at) => (Change::Delete, *at),
            Announced::State(_, at) if at.is_some_and(|time| Some(time) < latest) => return Self::Record(OUTDATED),
            Announced::State(IntegrationState::Active, at) => (Change::Resume, *at),
            Announced::State(state @ (IntegrationState::Invalid | IntegrationState::Inactive), at) => {
                (Change::Pause(format!("Kombo says that the integration is {state}")), *at)
            }
            Announced::State(IntegrationState::Other(_), _) => {
                return Self::Record("recorded: a state that this version does not know");
            }
        };
        let (tool, category) = (hint.tool.clone(), category_of(hint));
        Self::Integration(IntegrationEvent { id: id.clone(), tool, category, change, updated_at })
    }

    /// Returns the result of the webhook, for people.
    pub(super) fn describe(&self, held: bool) -> String {
        let change = match self {
            Self::Record(result) => return (*result).to_owned(),
            Self::Fetch(_) => None,
            Self::Integration(event) => Some(&event.change),
        };
        match change {
            None | Some(Change::Pause(_) | Change::Resume) if held => {
                "noted: a person paused the integration".to_owned()
            }
            None => "planned".to_owned(),
            Some(Change::Register) => "registered".to_owned(),
            Some(Change::Delete) => "stopped: the integration was deleted".to_owned(),
            Some(Change::Pause(reason)) => format!("paused: {reason}"),
            Some(Change::Resume) => "resumed".to_owned(),
        }
    }
}

/// Whether a webhook names a model of the mirror.
fn names_a_model(hint: &Hint) -> bool {
    hint.models().iter().any(|model| Model::from_name(model.as_str()).is_some())
}

impl IntegrationEvent {
    /// Applies the change of state and returns the requested fetches.
    pub(super) fn perform(
        self,
        tx: &mut dyn Tx,
        known: Option<&IntegrationRecord>,
        policy: &WebhookPolicy,
        now: Timestamp,
    ) -> TxResult<Vec<Target>> {
        let Self { id, tool, category, change, updated_at } = self;
        let reported = |status, reason| ReportedStatus { id: &id, tool: &tool, category, status, reason, updated_at };
        match change {
            Change::Register | Change::Resume => {
                put_reported(tx, known, reported(IntegrationStatus::Active, None), now)?;
                fetch_all(tx, &id, policy, now)
            }
            Change::Pause(reason) => {
                put_reported(tx, known, reported(IntegrationStatus::Paused, Some(reason)), now)?;
                // The wait is limited, because the webhook that ends the pause may be lost.
                let next_look = now.saturating_add(policy.look_at_paused_every);
                for request in tx.requests_of(std::slice::from_ref(&id))? {
                    if let Some(mut request) = tx.request(&request.target, LockMode::Wait)?.locked() {
                        request.not_before = request.not_before.max(next_look);
                        tx.put_request(&request)?;
                    }
                }
                Ok(Vec::new())
            }
            Change::Delete => {
                let reason = "Kombo says that the integration was deleted".to_owned();
                put_status(tx, known, reported(IntegrationStatus::Deleted, Some(reason)), now)?;
                // A worker of a deleted request loses its lease.
                for request in tx.requests_of(std::slice::from_ref(&id))? {
                    tx.delete_request(&request.target)?;
                }
                Ok(Vec::new())
            }
        }
    }
}

impl Fetch {
    /// Returns an empty fetch.
    pub(super) fn none(id: IntegrationId) -> Self {
        Self { id, tool: String::new(), category: None, changed: Vec::new() }
    }

    /// Adds the models of a later webhook.
    pub(super) fn join(&mut self, later: &Self) {
        if !later.tool.is_empty() {
            later.tool.clone_into(&mut self.tool);
        }
        self.category = self.category.or(later.category);
        for models in &later.changed {
            if !self.changed.contains(models) {
                self.changed.push(models.clone());
            }
        }
    }

    /// Plans the fetches for all changes.
    fn plan(&self, policy: &PlanPolicy, last_blind_full: Option<Timestamp>, now: Timestamp) -> Vec<PlannedFetch> {
        let mut fetches: Vec<PlannedFetch> = Vec::new();
        for fetch in self.changed.iter().flat_map(|models| plan(models, policy, last_blind_full, now).fetches) {
            match fetches.iter_mut().find(|known| known.endpoint == fetch.endpoint && known.kind == fetch.kind) {
                Some(known) => known.because.extend(fetch.because),
                None => fetches.push(fetch),
            }
        }
        fetches
    }

    /// Requests the necessary fetches.
    pub(super) fn perform(
        &self,
        tx: &mut dyn Tx,
        known: Option<&IntegrationRecord>,
        policy: &WebhookPolicy,
        now: Timestamp,
    ) -> TxResult<Vec<(PlannedFetch, Target)>> {
        let Self { id, tool, category, .. } = self;
        // An integration with new data is active, whatever its stored status is.
        if known.is_some_and(|known| known.status != IntegrationStatus::Active) {
            queue::set_going(tx, id, now)?;
        }
        let category = *category;
        let active =
            ReportedStatus { id, tool, category, status: IntegrationStatus::Active, reason: None, updated_at: None };
        put_reported(tx, known, active, now)?;
        let plan = policy.plan.of(known.and_then(|known| known.category).or(category));
        let mut states: BTreeMap<Endpoint, EndpointState> =
            tx.endpoints(Some(id))?.into_iter().map(|state| (state.endpoint, state)).collect();
        let mut last_blind_full = None;
        for state in states.values().filter(|state| plan.endpoints.contains(&state.endpoint)) {
            last_blind_full = last_blind_full.max(last_blind_full_of(tx, state, plan.blind_full_min_interval, now)?);
        }
        let mut asked = Vec::new();
        for fetch in self.plan(&plan, last_blind_full, now) {
            let state = states.entry(fetch.endpoint).or_insert_with(|| EndpointState::new(id.clone(), fetch.endpoint));
            let target = Target { integration_id: id.clone(), endpoint: fetch.endpoint, kind: fetch.kind };
            let not_before = fetch.not_before.unwrap_or(now);
            if fetch.kind == SyncKind::Full && fetch.endpoint.info().has_updated_after {
                // Further webhooks must not postpone a full fetch that already waits. It is requested again
                // nevertheless: it may be partly done, and the new changes may be on pages that it has passed.
                let is_asked_for = tx.request(&target, LockMode::Wait)?.locked().is_some();
                if fetch.not_before.is_none() || !is_asked_for {
                    state.last_blind_full_at = Some(not_before);
                    tx.put_endpoint(state)?;
                }
            }
            let request = queue::request_of(tx, state, target, RequestCause::Webhook, not_before, now)?;
            asked.push((fetch, request.target));
        }
        Ok(asked)
    }
}

/// Returns when the latest full fetch for models that a delta may not show began or will begin.
fn last_blind_full_of(
    tx: &mut dyn Tx,
    state: &EndpointState,
    interval: Duration,
    now: Timestamp,
) -> TxResult<Option<Timestamp>> {
    // A future fetch counts if it is no further ahead than the interval.
    let last = state.last_blind_full_at.filter(|last| *last <= latest(now, interval));
    let full = Target { integration_id: state.integration_id.clone(), endpoint: state.endpoint, kind: SyncKind::Full };
    if last.is_some_and(|last| last > now) && tx.request(&full, LockMode::Wait)?.locked().is_none() {
        // The waiting fetch was started early.
        return Ok(happened(state.last_full_at, now));
    }
    Ok(last)
}

/// Requests a delta of every endpoint, or a full fetch if nothing is loaded, and makes waiting requests due.
fn fetch_all(tx: &mut dyn Tx, id: &IntegrationId, policy: &WebhookPolicy, now: Timestamp) -> TxResult<Vec<Target>> {
    let mut targets = Vec::new();
    let known = tx.integration(id)?;
    for endpoint in known.iter().flat_map(|known| known.endpoints(&policy.plan.endpoints)) {
        let target = Target { integration_id: id.clone(), endpoint, kind: SyncKind::Delta };
        targets.push(queue::request(tx, target, RequestCause::Webhook, now, now)?.target);
        let mut state = queue::state(tx, id, endpoint)?;
        if matches!(state.status, EndpointStatus::Failed | EndpointStatus::WaitingForSetup) {
            let reason = state.reason.take();
            queue::set_status(&mut state, EndpointStatus::Retrying, reason, now);
            tx.put_endpoint(&state)?;
        }
    }
    queue::set_going(tx, id, now)?;
    Ok(targets)
}
