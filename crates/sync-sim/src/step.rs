//! The events of a step.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kombo_model::IntegrationState;
use sync_core::jobs::queue;
use sync_core::jobs::{RequestCause, SyncKind, Target};
use sync_core::ports::FailureClass;
use sync_testkit::history::{Edit, Kind};
use tokio::time::sleep;

use crate::sender::WebhookSender;
use crate::tally::Fault;
use crate::world::{Tenant, World};
use crate::{hand, trouble};

/// Makes a random event happen.
pub(crate) fn step(world: &Arc<World>, sender: &WebhookSender) {
    let rates = &world.manner.rates;
    let tenant = any_tenant(world);
    let edits = world.dice().usize(1..4);
    for _ in 0..edits {
        edit(world, &tenant);
    }
    if world.strikes(rates.purge) {
        purge(world, &tenant);
    }
    let changed = tenant.kombo.changed_models();
    world.checks().note(world, &tenant, &changed);
    sender.tell(world, &tenant, changed);
    if world.strikes(rates.webhook_forged) {
        WebhookSender::forge(world, &tenant);
    }
    if world.meets(Fault::CursorsExpired, rates.cursors) {
        tenant.kombo.expire_cursors();
    }
    if world.meets(Fault::DatabaseCrash, rates.database) {
        world.store.crash();
    }
    if world.strikes(rates.full) {
        ask_for_everything(world, &tenant);
    }
    let a_while = world.between(Duration::from_secs(1), Duration::from_secs(180));
    if world.meets(Fault::KeyRejected, rates.key) {
        world.reject_key();
        let world = Arc::clone(world);
        tokio::spawn(async move {
            sleep(a_while).await;
            world.accept_key();
        });
    }
    if world.meets(Fault::ModelUnavailable, rates.model) {
        let endpoint = world.dice().choice(world.manner.policy.plan.endpoints.iter().copied());
        if let Some(endpoint) = endpoint {
            tenant.kombo.refuse(endpoint, FailureClass::ModelUnavailable);
            let kombo = tenant.kombo.clone();
            tokio::spawn(async move {
                sleep(a_while).await;
                kombo.allow(endpoint);
            });
        }
    }
    if world.meets(Fault::IntegrationRefused, rates.integration) {
        refuse(world, sender, &tenant, a_while);
    }
    if world.strikes(rates.hand) {
        hand::edit(world, &tenant);
    }
    if world.strikes(rates.spoiled) {
        trouble::spoil(world, &tenant, a_while);
    }
    if world.strikes(rates.refused) {
        trouble::refuse_values(world, a_while);
    }
    if world.strikes(rates.alone) {
        trouble::trouble_one(world, &tenant, a_while);
    }
    if world.strikes(rates.paused) {
        trouble::pause_one(world, &tenant, a_while);
    }
    if world.strikes(rates.switched) {
        trouble::switch_off(world, a_while);
    }
    if world.manner.wild_clocks && world.strikes(rates.jump) {
        let by = world.dice().i64(-600_000..600_000);
        world.count(if by < 0 { Fault::ClockBack } else { Fault::ClockAhead });
        // Limited to a quarter of an hour, so that no wait for a time lasts forever.
        let off = world.jumped.load(Ordering::SeqCst).saturating_add(by).clamp(-900_000, 900_000);
        world.jumped.store(off, Ordering::SeqCst);
    }
}

pub(crate) fn edit(world: &World, tenant: &Tenant) {
    let edit = draw(world, tenant);
    let mut late = Duration::ZERO;
    if world.meets(Fault::EditLate, world.manner.rates.late) {
        late = world.between(Duration::ZERO, world.manner.policy.overlap.mul_f64(0.8));
    }
    if world.fetching.load(Ordering::SeqCst) > 0 {
        world.count(Fault::EditDuringFetch);
    }
    if world.in_transactions.load(Ordering::SeqCst) > 0 {
        world.count(Fault::EditDuringTransaction);
    }
    world.wind();
    world.tally().edits += 1;
    world.log(format_args!("{}: {edit:?}, late {late:?}", tenant.id));
    tenant.kombo.edit_late(late, |lms| edit.apply(lms));
}

pub(crate) fn purge(world: &World, tenant: &Tenant) {
    let kinds = [Kind::User, Kind::Course, Kind::Revision, Kind::Skill, Kind::Progression];
    let (kind, number) = {
        let mut dice = world.dice();
        (dice.choice(kinds).unwrap_or(Kind::User), dice.u8(0..world.manner.records))
    };
    world.count(Fault::Purge);
    world.tally().edits += 1;
    world.log(format_args!("{}: {kind:?} {number} is purged", tenant.id));
    world.wind();
    tenant.kombo.edit(|lms| Edit::Purge(kind, number).apply(lms));
    world.checks().note_purge(world, tenant);
}

/// Requests full fetches, like a schedule.
fn ask_for_everything(world: &World, tenant: &Tenant) {
    let endpoint = world.dice().choice(world.manner.policy.plan.endpoints.iter().copied());
    let Some(endpoint) = endpoint else { return };
    world.log(format_args!("a full fetch of {endpoint} of {} is due", tenant.id));
    let target = Target { integration_id: tenant.id.clone(), endpoint, kind: SyncKind::Full };
    let now = world.true_now();
    let asked = world.store.edit(|tx| queue::request(tx, target, RequestCause::Schedule, now, now));
    if let Err(error) = asked {
        world.fail(error.to_string());
    }
}

/// Refuses an integration for a while, with or without a webhook.
fn refuse(world: &Arc<World>, sender: &WebhookSender, tenant: &Tenant, a_while: Duration) {
    let classes = [FailureClass::IntegrationUnavailable, FailureClass::IntegrationNotFound, FailureClass::SetupPending];
    let class = world.dice().choice(classes).unwrap_or(FailureClass::SetupPending);
    let endpoints = world.manner.policy.plan.endpoints.clone();
    for endpoint in &endpoints {
        tenant.kombo.refuse(*endpoint, class);
    }
    world.note_refused(&tenant.id, true);
    let tells = class == FailureClass::IntegrationUnavailable;
    if tells {
        sender.tell_state(world, tenant, IntegrationState::Invalid);
    }
    let (world, tenant, sender) = (Arc::clone(world), tenant.clone(), sender.clone());
    tokio::spawn(async move {
        sleep(a_while).await;
        for endpoint in endpoints {
            tenant.kombo.allow(endpoint);
        }
        world.note_refused(&tenant.id, false);
        if tells {
            sender.tell_state(&world, &tenant, IntegrationState::Active);
        }
    });
}

pub(crate) fn draw(world: &World, _tenant: &Tenant) -> Edit {
    let seed = world.dice().u64(..);
    Edit::random(seed, world.manner.records)
}

pub(crate) fn any_tenant(world: &World) -> Tenant {
    let place = world.dice().usize(0..world.tenants.len());
    world.tenants.get(place).or(world.tenants.first()).cloned().unwrap_or_else(|| unreachable!("there is a tenant"))
}
