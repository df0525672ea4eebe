use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sync_core::jobs::queue;
use sync_core::jobs::{EndpointStatus, RequestCause, SyncKind, Target};
use sync_core::ports::StoreError;
use sync_core::rows::compare::Tombstones;
use tokio::time::sleep;

use crate::checks::is_at_rest;
use crate::hand;
use crate::neighbours::fail_alone;
use crate::process::Fleet;
use crate::sender::WebhookSender;
use crate::step::{any_tenant, draw, purge, step};
use crate::tally::Fault;
use crate::world::World;

/// Longer than all waits of the policies together.
const REST_WITHIN: Duration = Duration::from_secs(7_200);
/// No fault lasts longer, and no webhook is later.
const LASTS: Duration = Duration::from_secs(400);
/// A full fetch of everything is due within a week.
const LONG: Duration = Duration::from_secs(8 * 86_400);

/// Runs one simulation from start to end.
pub(crate) async fn live(world: &Arc<World>, steps: usize) -> Result<(), String> {
    let sender = WebhookSender::default();
    furnish(world);
    sleep(Duration::from_secs(300)).await;
    if world.manner.kombo_skew.abs() >= 60_000 {
        world.count(Fault::KomboSkewed);
    }
    if world.manner.policy.tombstones == Tombstones::Keep {
        world.count(Fault::TombstonesKept);
    }
    if world.manner.undated {
        world.count(Fault::Undated);
    }
    let fleet = Fleet::start(world);
    if world.dice().bool() {
        rest(world).await?;
    }
    world.chaos.store(true, Ordering::SeqCst);
    for _ in 0..steps {
        let wait = world.between(Duration::from_millis(1), world.manner.pace);
        sleep(wait).await;
        step(world, &sender);
    }
    calm(world);
    rest(world).await?;
    fail_alone(world, &sender).await?;
    rest(world).await?;
    world.checks().at_rest(world)?;
    at_rest(world)?;
    fleet.stop().await?;

    // Changes while no process runs.
    for _ in 0..6 {
        let tenant = any_tenant(world);
        let edit = draw(world, &tenant);
        world.count(Fault::EditSilent);
        tenant.kombo.edit_silently(|lms| edit.apply(lms));
        purge(world, &tenant);
        if world.manner.rates.hand > 0 {
            hand::edit(world, &tenant);
        }
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

/// Adds records at Kombo before the first process starts.
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

/// Ends all faults. Lasting ones end within minutes.
fn calm(world: &World) {
    world.log(format_args!("calm"));
    world.chaos.store(false, Ordering::SeqCst);
    world.accept_key();
    for tenant in &world.tenants {
        for endpoint in &world.manner.policy.plan.endpoints {
            tenant.kombo.allow(*endpoint);
        }
    }
}

/// Waits, within a limit, until nothing is left to do, also after the next poll.
async fn rest(world: &World) -> Result<(), String> {
    // Webhooks may still be in transit, and clocks may be wrong.
    sleep(LASTS).await;
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

/// Checks deliveries at rest.
fn at_rest(world: &World) -> Result<(), String> {
    if world.manner.delivers { world.received().at_rest(world) } else { Ok(()) }
}

/// Approves pending removals, as a person does.
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
