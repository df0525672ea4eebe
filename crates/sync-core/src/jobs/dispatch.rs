//! Finds due fetches and requests them. Functions over a transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kombo_model::{Category, Endpoint, IntegrationCategory, IntegrationId, Timestamp};

use crate::horizon::{happened, is_ahead, latest};
use crate::jobs::endpoint::EndpointState;
use crate::jobs::integration::{IntegrationRecord, IntegrationStatus};
use crate::jobs::queue;
use crate::jobs::request::{QueuedRequest, RequestCause, SyncKind, Target};
use crate::jobs::schedule::jittered;
use crate::ports::error::TxResult;
use crate::ports::store::Tx;
use crate::stable_hash::stable_hash;
use crate::webhooks::status;

/// Settings of the schedule.
#[derive(Debug, Clone)]
pub struct SchedulePolicy {
    /// The enabled endpoints.
    pub endpoints: BTreeSet<Endpoint>,
    /// The longest time without a fetch before a delta is requested; `None` for no polling. Each endpoint waits up to
    /// an eighth less, so that endpoints that were loaded together are not polled together.
    pub poll_every: Option<Duration>,
    /// Interval between full fetches. No full fetch is due later than that.
    pub full_every: Duration,
    /// Interval between fetches of an integration that is paused or was not found. Not longer than
    /// [`SyncPolicy::longest_wait`](crate::pull::SyncPolicy::longest_wait).
    pub look_at_paused_every: Duration,
}

/// Number of integrations to check together.
const LOOK_AT: usize = 100;
/// The longest time between two checks of an integration, even if nothing is due and polls are rarer.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(24 * 3_600);
/// Time until a waiting request is checked again.
const WAITING_FOR: Duration = Duration::from_secs(3_600);
/// Time until Kombo is asked again for the category of an integration.
const ASK_CATEGORY_EVERY: Duration = Duration::from_secs(60);

/// What [`schedule`] found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Scheduled {
    /// Number of requested fetches.
    pub requests: usize,
    /// Integrations of an unknown category. Kombo must be asked for it before anything can be fetched.
    pub uncategorized: Vec<IntegrationId>,
    /// Categories of all registered integrations.
    pub categories: BTreeSet<Category>,
}

/// Requests all due fetches: first loads, full fetches and polls.
///
/// All state is stored, so a restart has no effect, several replicas may call this, and a clock that jumps causes one
/// fetch at most. Only integrations with a due check are read. Each check determines the time of the next.
pub fn schedule(tx: &mut dyn Tx, policy: &SchedulePolicy, now: Timestamp) -> TxResult<Scheduled> {
    let longest = policy.poll_every.map_or(LOOK_AT_LEAST_EVERY, |every| every.min(LOOK_AT_LEAST_EVERY));
    let mut scheduled = Scheduled { categories: tx.categories()?, ..Scheduled::default() };
    loop {
        let integrations = tx.integrations_to_look_at(now, latest(now, longest), LOOK_AT)?;
        let ids: Vec<IntegrationId> = integrations.iter().map(|known| known.id.clone()).collect();
        if ids.is_empty() {
            return Ok(scheduled);
        }
        // Read before the states: if another replica completes a fetch meanwhile, either the request or its result is seen.
        let waiting: BTreeSet<Target> = tx.requests_of(&ids)?.into_iter().map(|request| request.target).collect();
        let states: BTreeMap<(IntegrationId, Endpoint), EndpointState> = tx
            .endpoints_of(&ids)?
            .into_iter()
            .map(|state| ((state.integration_id.clone(), state.endpoint), state))
            .collect();
        let (mut looks, mut new) = (Vec::new(), Vec::new());
        for integration in &integrations {
            let (due, next) = look_at(integration, &states, &waiting, policy, now);
            new.extend(due);
            looks.push((integration.id.clone(), next.min(now.saturating_add(longest))));
            if integration.is_uncategorized() {
                scheduled.uncategorized.push(integration.id.clone());
            }
        }
        scheduled.requests += tx.insert_requests(&new)?;
        tx.put_next_looks(&looks)?;
        if ids.len() < LOOK_AT {
            return Ok(scheduled);
        }
    }
}

/// Returns the requests of the due fetches of an integration, and the time of the next check.
fn look_at(
    integration: &IntegrationRecord,
    states: &BTreeMap<(IntegrationId, Endpoint), EndpointState>,
    waiting: &BTreeSet<Target>,
    policy: &SchedulePolicy,
    now: Timestamp,
) -> (Vec<QueuedRequest>, Timestamp) {
    let mut next_look = Timestamp::MAX;
    let from = match integration.status {
        IntegrationStatus::Active => now,
        // An inactive integration is checked rarely. A successful fetch makes it active again.
        IntegrationStatus::Paused | IntegrationStatus::NotFound => now.saturating_add(policy.look_at_paused_every),
        IntegrationStatus::Deleted | IntegrationStatus::Held => return (Vec::new(), next_look),
    };
    if integration.category.is_none() {
        return (Vec::new(), from.max(now.saturating_add(ASK_CATEGORY_EVERY)));
    }
    let mut requests = Vec::new();
    for endpoint in integration.endpoints(&policy.endpoints) {
        let key = (integration.id.clone(), endpoint);
        let (due_at, kind, cause) = due(states.get(&key), policy, now);
        if due_at > now {
            next_look = next_look.min(due_at);
            continue;
        }
        next_look = next_look.min(now.saturating_add(WAITING_FOR));
        let target = Target { integration_id: key.0, endpoint, kind };
        if !waiting.contains(&target) {
            requests.push(queue::new_request(target, cause, from, now));
        }
    }
    let first = integration.endpoints(&policy.endpoints).next();
    if let Some(endpoint) = first.filter(|_| integration.status != IntegrationStatus::Active) {
        next_look = next_look.min(now.saturating_add(WAITING_FOR));
        if requests.is_empty() && !waiting.iter().any(|target| target.integration_id == integration.id) {
            // Requested even if nothing is due, because only a fetch can show that the integration is available again.
            // All its endpoints are loaded: a first load would be due.
            let target = Target { integration_id: integration.id.clone(), endpoint, kind: delta_or_full(endpoint) };
            requests.push(queue::new_request(target, RequestCause::Poll, from, now));
        }
    }
    (requests, next_look)
}

/// Returns when an endpoint is due, and for which fetch.
fn due(state: Option<&EndpointState>, policy: &SchedulePolicy, now: Timestamp) -> (Timestamp, SyncKind, RequestCause) {
    let Some(state) = state.filter(|state| state.loaded_at.is_some()) else {
        return (now, SyncKind::Full, RequestCause::Load);
    };
    let full_at = state.next_full_at.filter(|due| is_ahead(*due, now, policy.full_every)).unwrap_or(now);
    if full_at <= now {
        return (now, SyncKind::Full, RequestCause::Schedule);
    }
    let last = happened(state.last_delta_at, now).max(happened(state.last_full_at, now));
    let poll_at = policy.poll_every.map(|every| {
        let every = jittered(every, &state.integration_id, state.endpoint);
        last.map_or(now, |last| last.saturating_add(every))
    });
    match poll_at {
        Some(poll_at) if poll_at < full_at => (poll_at, delta_or_full(state.endpoint), RequestCause::Poll),
        Some(_) | None => (full_at, SyncKind::Full, RequestCause::Schedule),
    }
}

/// Returns the kind of fetch that finds changes: a delta, if the endpoint has the parameter `updated_after`.
fn delta_or_full(endpoint: Endpoint) -> SyncKind {
    if endpoint.info().has_updated_after { SyncKind::Delta } else { SyncKind::Full }
}

/// The time between two requests of [`catch_up`]. It is shorter than a fetch, so workers are never idle, and long
/// enough for new webhooks to be due before most of the requests.
const CATCH_UP_INTERVAL: Duration = Duration::from_millis(100);

/// Requests a delta of every loaded endpoint, of `integrations` or of all. It is called when webhooks may have been
/// missed, so that their changes do not wait for the next full fetch. Returns the number of fetches.
///
/// Requests that wait after a failure keep waiting. The others become due one after the other, in an order independent
/// of their names. A webhook makes its own requests due immediately. Repeated calls change nothing while the requests
/// wait.
pub fn catch_up(
    tx: &mut dyn Tx,
    endpoints: &BTreeSet<Endpoint>,
    integrations: Option<&BTreeSet<IntegrationId>>,
    now: Timestamp,
) -> TxResult<usize> {
    let (registered, states, requests) = match integrations {
        None => (tx.integrations()?, tx.endpoints(None)?, tx.requests()?),
        Some(ids) => {
            let ids: Vec<IntegrationId> = ids.iter().cloned().collect();
            let mut registered = Vec::new();
            for id in &ids {
                registered.extend(tx.integration(id)?);
            }
            (registered, tx.endpoints_of(&ids)?, tx.requests_of(&ids)?)
        }
    };
    let is_active = |known: &IntegrationRecord| known.status == IntegrationStatus::Active;
    let active: BTreeSet<IntegrationId> = registered.into_iter().filter(is_active).map(|known| known.id).collect();
    let waiting: BTreeMap<Target, QueuedRequest> =
        requests.into_iter().map(|request| (request.target.clone(), request)).collect();
    let mut behind: Vec<EndpointState> = states
        .into_iter()
        .filter(|state| state.loaded_at.is_some())
        .filter(|state| endpoints.contains(&state.endpoint) && active.contains(&state.integration_id))
        .collect();
    behind.sort_by_key(|state| stable_hash(state.integration_id.as_str(), state.endpoint.short_name()));
    let (mut from, mut new) = (now, Vec::new());
    for state in &behind {
        let (integration_id, endpoint) = (state.integration_id.clone(), state.endpoint);
        let target = Target { integration_id, endpoint, kind: delta_or_full(endpoint) };
        match waiting.get(&target) {
            // A request that appears meanwhile is as good: its fetch begins after the missed webhooks.
            None => new.push(queue::new_request(target, RequestCause::CatchUp, from, now)),
            Some(request) if request.lease.is_none() && (request.attempts > 0 || request.not_before <= from) => {}
            Some(_) => drop(queue::request_of(tx, state, target, RequestCause::CatchUp, from, now)?),
        }
        from = from.saturating_add(CATCH_UP_INTERVAL);
    }
    tx.insert_requests(&new)?;
    Ok(behind.len())
}

/// Registers the configured integrations, with their categories if these are known. Those that were deleted at Kombo
/// stay deleted.
pub fn register(
    tx: &mut dyn Tx,
    integrations: &BTreeMap<IntegrationId, Option<Category>>,
    now: Timestamp,
) -> TxResult<()> {
    let known: BTreeSet<IntegrationId> = tx.integrations()?.into_iter().map(|known| known.id).collect();
    for (id, category) in integrations.iter().filter(|(id, _)| !known.contains(id)) {
        status::register(tx, id, *category, now)?;
    }
    Ok(())
}

/// Notes the category that Kombo has named, and makes the integration's fetches due. An integration of a category that
/// is not mirrored is paused.
pub fn categorize(tx: &mut dyn Tx, id: &IntegrationId, category: &IntegrationCategory, now: Timestamp) -> TxResult<()> {
    let Some(known) = tx.integration(id)?.filter(IntegrationRecord::is_uncategorized) else { return Ok(()) };
    let known = match category.as_str().parse() {
        // Kombo has it, and its category is mirrored.
        Ok(category) if known.status != IntegrationStatus::Active => {
            let (category, status) = (Some(category), IntegrationStatus::Active);
            IntegrationRecord { category, status, status_since: now, reason: None, ..known }
        }
        Ok(category) => IntegrationRecord { category: Some(category), ..known },
        Err(_) if known.status == IntegrationStatus::Paused => return Ok(()),
        Err(_) => IntegrationRecord {
            status: IntegrationStatus::Paused,
            status_since: now,
            reason: Some(format!("it is of category {category}, which is not mirrored")),
            ..known
        },
    };
    tx.put_integration(&known)
}

/// Notes that Kombo does not have an integration of unknown category.
pub fn not_found(tx: &mut dyn Tx, id: &IntegrationId, reason: String, now: Timestamp) -> TxResult<()> {
    let Some(known) = tx.integration(id)?.filter(IntegrationRecord::is_uncategorized) else { return Ok(()) };
    if known.status == IntegrationStatus::NotFound {
        return Ok(());
    }
    let status = IntegrationStatus::NotFound;
    tx.put_integration(&IntegrationRecord { status, status_since: now, reason: Some(reason), ..known })
}

/// Makes requests that wait after failures due immediately, and forgets the failures. It is called when a common cause
/// is resolved. Returns the number of requests.
pub fn retry_failed(tx: &mut dyn Tx, now: Timestamp) -> TxResult<usize> {
    tx.retry_failed_requests(now)
}
