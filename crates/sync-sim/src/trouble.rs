//! Lasting faults: of one integration, of the database with some values, and of the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kombo_model::{Endpoint, IntegrationId};
use sync_core::jobs::pause;
use sync_core::ports::StoreError;
use tokio::time::sleep;

use crate::tally::Fault;
use crate::world::{Tenant, World, locked};

/// A fault of one integration that may look like one of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// 401 or 403 without a reason.
    Denied,
    /// 429 of the connected tool or of a gateway.
    RateLimited,
    /// No answer, until the client gives up.
    Silent,
    /// 503, until the client gives up.
    Down,
}

impl Trouble {
    pub(crate) const ALL: [Self; 4] = [Self::Denied, Self::RateLimited, Self::Silent, Self::Down];

    fn fault(self) -> Fault {
        match self {
            Self::Denied => Fault::OneDenied,
            Self::RateLimited => Fault::OneRateLimited,
            Self::Silent => Fault::OneSilent,
            Self::Down => Fault::OneDown,
        }
    }
}

/// Texts that the database refuses.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    needle: String,
    /// Whether the error names the value as the cause.
    is_known: bool,
}

impl Refusal {
    /// Returns the database's error about a text, if there is one.
    pub(crate) fn of(&self, text: &str) -> Option<StoreError> {
        let refuses = text.contains(&self.needle);
        let message = "the value cannot be stored".to_owned();
        refuses.then(|| {
            if self.is_known {
                StoreError::Refused { message }
            } else {
                StoreError::Unexpected { message, source: None }
            }
        })
    }
}

/// The present lasting faults.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    pub(crate) of: BTreeMap<IntegrationId, Trouble>,
    /// Integrations that Kombo refuses.
    refused: BTreeSet<IntegrationId>,
    pub(crate) refusal: Option<Refusal>,
    /// Endpoints that are not configured at present.
    pub(crate) off: BTreeSet<Endpoint>,
}

impl World {
    /// Returns the present fault of an integration.
    pub(crate) fn trouble(&self, id: &IntegrationId) -> Option<Trouble> {
        locked(&self.troubles).of.get(id).copied()
    }

    /// Begins a fault of an integration.
    pub(crate) fn begin_trouble(&self, id: &IntegrationId, trouble: Trouble) {
        self.count(trouble.fault());
        self.log(format_args!("{id}: {trouble:?}"));
        locked(&self.troubles).of.insert(id.clone(), trouble);
    }

    /// Ends the faults of an integration.
    pub(crate) fn end_trouble(&self, id: &IntegrationId) {
        locked(&self.troubles).of.remove(id);
    }

    /// Notes whether Kombo refuses an integration at present.
    pub(crate) fn note_refused(&self, id: &IntegrationId, refused: bool) {
        let mut troubles = locked(&self.troubles);
        if refused {
            troubles.refused.insert(id.clone());
        } else {
            troubles.refused.remove(id);
        }
    }

    /// Whether Kombo serves an integration, apart from brief faults.
    pub(crate) fn is_served(&self, id: &IntegrationId) -> bool {
        let troubles = locked(&self.troubles);
        !troubles.of.contains_key(id) && !troubles.refused.contains(id)
    }

    /// Whether no work can be expected: the key is rejected, or no process is awake.
    pub(crate) fn may_rest(&self) -> bool {
        self.key_rejected.load(Ordering::SeqCst) || !self.processes().iter().any(|process| process.is_awake())
    }

    pub(crate) fn refusal(&self) -> Option<Refusal> {
        locked(&self.troubles).refusal.clone()
    }

    /// Returns the endpoints that are configured at present.
    pub(crate) fn endpoints(&self) -> BTreeSet<Endpoint> {
        let off = locked(&self.troubles).off.clone();
        self.manner.policy.plan.endpoints.difference(&off).copied().collect()
    }
}

/// Runs `what` after a while.
fn later(world: &Arc<World>, a_while: Duration, what: impl FnOnce(&Arc<World>) + Send + 'static) {
    let world = Arc::clone(world);
    tokio::spawn(async move {
        sleep(a_while).await;
        what(&world);
    });
}

/// Begins a fault of one integration, which ends after a while.
pub(crate) fn trouble_one(world: &Arc<World>, tenant: &Tenant, a_while: Duration) {
    let trouble = world.dice().choice(Trouble::ALL).unwrap_or(Trouble::Denied);
    let id = tenant.id.clone();
    world.begin_trouble(&id, trouble);
    later(world, a_while, move |world| world.end_trouble(&id));
}

/// Makes the database refuse some values for a while.
pub(crate) fn refuse_values(world: &Arc<World>, a_while: Duration) {
    let digit = world.dice().u8(0..10);
    let is_known = world.dice().bool();
    let refusal = Refusal { needle: format!("näme {digit}"), is_known };
    world.log(format_args!("the database refuses {refusal:?}"));
    locked(&world.troubles).refusal = Some(refusal);
    later(world, a_while, |world| locked(&world.troubles).refusal = None);
}

/// Makes a record unreadable for a while.
pub(crate) fn spoil(world: &Arc<World>, tenant: &Tenant, a_while: Duration) {
    let endpoint = world.dice().choice(world.manner.policy.plan.endpoints.iter().copied());
    let Some(endpoint) = endpoint else { return };
    let ids = tenant.kombo.ids(endpoint.lists());
    let Some(id) = world.dice().choice(ids) else { return };
    world.count(Fault::RecordSpoiled);
    world.log(format_args!("{id} of {endpoint} of {} cannot be read", tenant.id));
    tenant.kombo.spoil(endpoint, &id);
    let kombo = tenant.kombo.clone();
    later(world, a_while, move |_| kombo.mend(endpoint, &id));
}

/// Pauses an integration as a person does, and resumes it after a while.
pub(crate) fn pause_one(world: &Arc<World>, tenant: &Tenant, a_while: Duration) {
    world.count(Fault::Paused);
    let (id, world) = (tenant.id.clone(), Arc::clone(world));
    tokio::spawn(async move {
        world.log(format_args!("a person pauses {id}"));
        let mut done = pause::pause(&world.store, &id, world.true_now()).await.map(drop);
        if done.is_ok() {
            sleep(a_while).await;
            world.log(format_args!("a person resumes {id}"));
            let (endpoints, now) = (world.endpoints(), world.true_now());
            done = pause::resume(&world.store, &id, &endpoints, now).await.map(drop);
        }
        if let Err(error) = done {
            world.fail(error.to_string());
        }
    });
}

/// Removes an endpoint from the configuration for a while. All processes restart at both changes.
pub(crate) fn switch_off(world: &Arc<World>, a_while: Duration) {
    let on = world.endpoints();
    if on.len() < 2 {
        return;
    }
    let Some(endpoint) = world.dice().choice(on) else { return };
    world.count(Fault::EndpointOff);
    world.log(format_args!("{endpoint} is switched off"));
    locked(&world.troubles).off.insert(endpoint);
    restart(world);
    later(world, a_while, move |world| {
        world.log(format_args!("{endpoint} is switched on"));
        locked(&world.troubles).off.remove(&endpoint);
        restart(world);
    });
}

fn restart(world: &World) {
    for process in world.processes().iter() {
        process.restart();
    }
}
