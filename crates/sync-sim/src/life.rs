use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kombo_model::IntegrationState;
use sync_core::jobs::queue;
use sync_core::jobs::{EndpointStatus, RequestCause, SyncKind, Target};
use sync_core::ports::{FailureClass, StoreError};
use sync_testkit::history::{Edit, Kind};
use tokio::time::sleep;

use crate::checks::is_at_rest;
use crate::courier::Courier;
use crate::process::Fleet;
use crate::tally::Fault;
use crate::world::{Tenant, World};

/// Longer than any wait of the policies, one after the other.
const REST_WITHIN: Duration = Duration::from_secs(7_200);
/// A full fetch of everything is due within a week.
const LONG: Duration = Duration::from_secs(8 * 86_400);

/// One simulation from its beginning to its end.
pub(crate) async fn live(world: &Arc<World>, steps: usize) -> Result<(), String> {
    let courier = Courier::default();
    furnish(world);
    sleep(Duration::from_secs(300)).await;
    if world.manner.kombo_skew.abs() >= 60_000 {
        world.count(Fault::KomboSkewed);
    }
    let fleet = Fleet::start(world);
    if world.dice().bool() {
        rest(world).await?;
    }
    world.chaos.store(true, Ordering::SeqCst);
    for _ in 0..steps {
        let wait = world.between(Duration::from_millis(1), world.manner.pace);
        sleep(wait).await;
        step(world, &courier);
    }
    calm(world);
    rest(world).await?;
    world.checks().at_rest(world)?;
    at_rest(world)?;
    fleet.stop().await?;

    // While nobody looks.
    for _ in 0..6 {
        let tenant = any_tenant(world);
        let edit = draw(world, &tenant);
        world.count(Fault::EditSilent);
        tenant.kombo.edit_silently(|lms| edit.apply(lms));
        purge(world, &tenant);
    }
    world.checks().forget_times();
    world.clocks_agree.store(true, Ordering::SeqCst);
    sleep(LONG).await;
    let fleet = Fleet::start(world);
    rest(world).await?;
    approve(world)?;
    rest(world).await?;
    world.checks().at_the_end(world)?;
    at_rest(world)?;
    fleet.stop().await
}

/// Records that were there before anybody looked.
fn furnish(world: &World) {
    for tenant in &world.tenants {
        for _ in 0..usize::from(world.manner.records) * 10 {
            let edit = draw(world, tenant);
            world.wind();
            tenant.kombo.edit(|lms| edit.apply(lms));
        }
        let _ = tenant.kombo.changed_models();
        world.checks().note(world, tenant, &[]);
    }
}

fn draw(world: &World, _tenant: &Tenant) -> Edit {
    let seed = world.dice().u64(..);
    Edit::random(seed, world.manner.records)
}

fn any_tenant(world: &World) -> Tenant {
    let place = world.dice().usize(0..world.tenants.len());
    world.tenants.get(place).or(world.tenants.first()).cloned().unwrap_or_else(|| unreachable!("there is a tenant"))
}

/// Something happens.
fn step(world: &Arc<World>, courier: &Courier) {
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
    courier.tell(world, &tenant, changed);
    if world.strikes(rates.webhook_forged) {
        Courier::forge(world, &tenant);
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
        world.key_rejected.store(true, Ordering::SeqCst);
        let world = Arc::clone(world);
        tokio::spawn(async move {
            sleep(a_while).await;
            world.key_rejected.store(false, Ordering::SeqCst);
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
        refuse(world, courier, &tenant, a_while);
    }
    if world.manner.wild_clocks && world.strikes(rates.jump) {
        let by = world.dice().i64(-600_000..600_000);
        world.count(if by < 0 { Fault::ClockBack } else { Fault::ClockAhead });
        // Never more than a quarter of an hour off, so that what waits for a time does not wait for ever.
        let off = world.jumped.load(Ordering::SeqCst).saturating_add(by).clamp(-900_000, 900_000);
        world.jumped.store(off, Ordering::SeqCst);
    }
}

fn edit(world: &World, tenant: &Tenant) {
    let edit = draw(world, tenant);
    let mut late = Duration::ZERO;
    if world.meets(Fault::EditLate, world.manner.rates.late) {
        late = world.between(Duration::ZERO, world.manner.policy.overlap.mul_f64(0.8));
    }
    if world.fetching.load(Ordering::SeqCst) > 0 {
        world.count(Fault::EditDuringFetch);
    }
    if world.in_units.load(Ordering::SeqCst) > 0 {
        world.count(Fault::EditDuringUnit);
    }
    world.wind();
    world.tally().edits += 1;
    world.log(format_args!("{}: {edit:?}, late {late:?}", tenant.id));
    tenant.kombo.edit_late(late, |lms| edit.apply(lms));
}

fn purge(world: &World, tenant: &Tenant) {
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

/// As a schedule does whose time has come.
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

/// Refuses an integration for a while, and tells of it or not.
fn refuse(world: &Arc<World>, courier: &Courier, tenant: &Tenant, a_while: Duration) {
    let classes = [FailureClass::IntegrationUnavailable, FailureClass::IntegrationNotFound, FailureClass::SetupPending];
    let class = world.dice().choice(classes).unwrap_or(FailureClass::SetupPending);
    let endpoints = world.manner.policy.plan.endpoints.clone();
    for endpoint in &endpoints {
        tenant.kombo.refuse(*endpoint, class);
    }
    let tells = class == FailureClass::IntegrationUnavailable;
    if tells {
        courier.tell_state(world, tenant, IntegrationState::Invalid);
    }
    let (world, tenant, courier) = (Arc::clone(world), tenant.clone(), courier.clone());
    tokio::spawn(async move {
        sleep(a_while).await;
        for endpoint in endpoints {
            tenant.kombo.allow(endpoint);
        }
        if tells {
            courier.tell_state(&world, &tenant, IntegrationState::Active);
        }
    });
}

/// Ends all that goes wrong.
fn calm(world: &World) {
    world.log(format_args!("calm"));
    world.chaos.store(false, Ordering::SeqCst);
    world.key_rejected.store(false, Ordering::SeqCst);
    for tenant in &world.tenants {
        for endpoint in &world.manner.policy.plan.endpoints {
            tenant.kombo.allow(*endpoint);
        }
    }
}

/// Waits until nothing is left to do, for a bounded time, and until a poll has come after that.
async fn rest(world: &World) -> Result<(), String> {
    // What was under way may still send webhooks.
    sleep(Duration::from_secs(200)).await;
    idle(world).await?;
    if let Some(every) = world.manner.poll_every {
        sleep(every + Duration::from_secs(30)).await;
        idle(world).await?;
    }
    world.log(format_args!("at rest"));
    Ok(())
}

async fn idle(world: &World) -> Result<(), String> {
    let began = world.elapsed();
    while let Err(left) = is_at_rest(world) {
        if world.elapsed() > began + REST_WITHIN {
            return Err(format!("no rest after {REST_WITHIN:?}: {left}"));
        }
        sleep(Duration::from_millis(700)).await;
    }
    Ok(())
}

/// What must hold of deliveries at rest.
fn at_rest(world: &World) -> Result<(), String> {
    if world.manner.delivers { world.received().at_rest(world) } else { Ok(()) }
}

/// A person looks at removals that were held back, and approves of them.
fn approve(world: &World) -> Result<(), String> {
    let approved = world.store.edit(|tx| {
        for state in tx.endpoints(None)? {
            if state.status == EndpointStatus::MassRemoval {
                let now = world.true_now();
                let target =
                    Target { integration_id: state.integration_id, endpoint: state.endpoint, kind: SyncKind::Full };
                let mut request = queue::request(tx, target, RequestCause::Command, now, now)?;
                request.approved_removals = Some(i64::MAX);
                tx.put_request(&request)?;
            }
        }
        Ok::<_, StoreError>(())
    });
    approved.map_err(|error| error.to_string())
}
