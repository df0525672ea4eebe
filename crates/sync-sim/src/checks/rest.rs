use std::sync::atomic::Ordering;

use sync_core::jobs::{EndpointState, EndpointStatus, IntegrationStatus};
use sync_core::ports::StoreError;

use crate::world::World;

/// Checks that nothing is requested or running, and that there are no problems except those that need a person.
pub(crate) fn is_at_rest(world: &World) -> Result<(), String> {
    let webhooks = world.under_way.load(Ordering::SeqCst);
    let state = world.store.look(|tx| Ok::<_, StoreError>((tx.requests()?, tx.integrations()?, tx.endpoints(None)?)));
    let (requests, integrations, endpoints) = state.map_err(|error| error.to_string())?;
    let undelivered = world.store.look(|tx| tx.undelivered()).map_err(|error| error.to_string())?;
    let unplanned =
        world.store.look(|tx| tx.integrations_with_pending_webhooks(9)).map_err(|error| error.to_string())?;
    let undelivered: u64 = undelivered.iter().map(|backlog| backlog.entries).sum();
    let active = integrations.iter().all(|integration| integration.status == IntegrationStatus::Active);
    let in_order = |state: &EndpointState| {
        state.loaded_at.is_some()
            && matches!(state.status, EndpointStatus::Ok | EndpointStatus::MassRemoval | EndpointStatus::Unreadable)
    };
    let loaded = world.tenants.len() * world.manner.policy.plan.endpoints.len();
    if webhooks == 0
        && unplanned.is_empty()
        && undelivered == 0
        && requests.is_empty()
        && active
        && integrations.len() == world.tenants.len()
        && endpoints.len() == loaded
        && endpoints.iter().all(in_order)
    {
        return Ok(());
    }
    Err(format!(
        "{webhooks} webhooks, {unplanned:?} unplanned, {undelivered} undelivered entries, {requests:#?}, {integrations:#?}, {endpoints:#?}"
    ))
}
