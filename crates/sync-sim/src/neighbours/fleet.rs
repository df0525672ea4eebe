//! Many integrations that share the workers of one process. Some fail; the changes of the others must not wait for them.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use kombo_model::Endpoint;
use sync_core::pull::SyncPolicy;
use sync_testkit::history::Edit;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Outcome;
use crate::checks::is_at_rest;
use crate::manner::Manner;
use crate::mutant::Mutant;
use crate::process::Fleet;
use crate::sender::WebhookSender;
use crate::trouble::Trouble;
use crate::world::{Tenant, World, locked};

const INTEGRATIONS: usize = 300;
/// How many answer 503, and how many never answer.
const DOWN: usize = 50;
const SILENT: usize = 10;
const WORKERS: usize = 8;
/// How many changes of healthy integrations are measured, without failures and beside them.
const CHANGES: usize = 200;
/// The longest time between two changes.
const PACE: Duration = Duration::from_secs(1);
/// The time between two looks whether a change is in the mirror.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Longer than any change may take.
const GIVEN_UP: Duration = Duration::from_secs(3_600);

/// Lets a fifth of a fleet fail. The outcome is a failure if the changes of the others take more than twice the time that
/// they take without failures, of 95 in 100 changes.
///
/// # Errors
///
/// There is no runtime for it.
pub fn simulate_fleet(seed: u64) -> io::Result<Outcome> {
    live(seed, None)
}

/// As [`simulate_fleet`], with a bug.
pub(crate) fn live(seed: u64, mutant: Option<Mutant>) -> io::Result<Outcome> {
    let mut rng = Rng::with_seed(seed);
    let manner = healthy_manner(&mut rng, INTEGRATIONS);
    crate::run(|| World::of(seed, manner, rng, false, mutant), fail_beside)
}

/// Returns the settings of a fleet of users that share one process, without limits and wrong clocks.
pub(super) fn healthy_manner(rng: &mut Rng, tenants: usize) -> Manner {
    let policy = SyncPolicy { change_values: true, ..SyncPolicy::new([Endpoint::LmsUsers].into()) };
    Manner {
        tenants,
        replicas: 1,
        workers: WORKERS,
        policy,
        poll_every: None,
        delivers: false,
        per_minute: 0,
        kombo_limit: None,
        kombo_skew: 0,
        wild_clocks: false,
        undated: false,
        ..Manner::draw(rng)
    }
}

/// Starts a process, and returns once it has loaded an integration of one user for each tenant.
pub(super) async fn load(world: &Arc<World>) -> Fleet {
    for tenant in &world.tenants {
        world.wind();
        tenant.kombo.edit(|lms| Edit::AddUser(0).apply(lms));
        let _ = tenant.kombo.changed_models();
        world.checks().note(world, tenant, &[]);
    }
    let fleet = Fleet::start(world);
    while is_at_rest(world).is_err() {
        sleep(Duration::from_secs(1)).await;
    }
    fleet
}

async fn fail_beside(world: &Arc<World>) -> Result<(), String> {
    let sender = WebhookSender::default();
    let fleet = load(world).await;
    let (failing, healthy) = world.tenants.split_at(DOWN + SILENT);
    let without = delays(world, &sender, failing, healthy).await?;
    for (place, tenant) in failing.iter().enumerate() {
        world.begin_trouble(&tenant.id, if place < DOWN { Trouble::Down } else { Trouble::Silent });
    }
    let beside = delays(world, &sender, failing, healthy).await?;
    for tenant in failing {
        world.end_trouble(&tenant.id);
    }
    fleet.stop().await?;
    let (without, beside) = (p95(&without), p95(&beside));
    if beside > without * 2 {
        return Err(format!("95 in 100 changes take {beside:?} beside integrations that fail, {without:?} without"));
    }
    Ok(())
}

pub(super) fn p95(delays: &[Duration]) -> Duration {
    delays.get(delays.len() * 95 / 100).copied().unwrap_or_default()
}

/// Changes records of all integrations, and returns how long those of the healthy ones took, in order.
pub(super) async fn delays(
    world: &Arc<World>,
    sender: &WebhookSender,
    failing: &[Tenant],
    healthy: &[Tenant],
) -> Result<Vec<Duration>, String> {
    let (mut under_way, delays) = (JoinSet::new(), Arc::new(Mutex::new(Vec::new())));
    for number in 0..CHANGES {
        // As many of the failing ones as they are.
        if healthy.len().checked_div(failing.len()).is_some_and(|every| number % every == 0) {
            // The dice must be free again before the change.
            let place = world.dice().usize(0..failing.len());
            if let Some(tenant) = failing.get(place) {
                change(world, sender, tenant);
            }
        }
        let Some(tenant) = healthy.get(world.dice().usize(0..healthy.len())).cloned() else { continue };
        change(world, sender, &tenant);
        let (world, delays, began) = (Arc::clone(world), Arc::clone(&delays), world.elapsed());
        let pause = world.between(Duration::ZERO, PACE);
        under_way.spawn({
            let world = Arc::clone(&world);
            async move {
                while world.checks().behind(&world, &tenant, began).is_some() {
                    if world.elapsed() > began + GIVEN_UP {
                        return;
                    }
                    sleep(LOOK_EVERY).await;
                }
                locked(&delays).push(world.elapsed().saturating_sub(began));
            }
        });
        sleep(pause).await;
    }
    while under_way.join_next().await.is_some() {}
    let mut delays = locked(&delays).clone();
    if delays.len() < CHANGES {
        return Err(format!("{} changes never arrived", CHANGES - delays.len()));
    }
    delays.sort_unstable();
    Ok(delays)
}

fn change(world: &Arc<World>, sender: &WebhookSender, tenant: &Tenant) {
    world.wind();
    let name = world.dice().u8(..);
    tenant.kombo.edit(|lms| Edit::RenameUser(0, name).apply(lms));
    let changed = tenant.kombo.changed_models();
    world.checks().note(world, tenant, &changed);
    sender.tell(world, tenant, changed);
}
