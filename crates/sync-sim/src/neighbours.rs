//! An integration that fails alone must not delay the others.

pub(crate) mod fleet;
pub(crate) mod huge;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::sender::WebhookSender;
use crate::step::edit;
use crate::tally::Fault;
use crate::trouble::Trouble;
use crate::world::{Tenant, World};

/// Maximum time until a change of a healthy integration is in the mirror, while the requests of another one fail.
const MOST_BESIDE: Duration = Duration::from_secs(30);
/// Additional time if Kombo limits requests: the period of its limit.
const LIMITED: Duration = Duration::from_secs(60);
/// Additional time if the other one gets no useful answers: each of its requests occupies a worker until the client gives up.
const OCCUPIED: Duration = Duration::from_secs(600);
/// Number of changes in the healthy integration.
const ROUNDS: usize = 6;

/// Lets one integration fail for minutes while both change, and measures the delay of the other one's changes in the
/// mirror.
pub(crate) async fn fail_alone(world: &Arc<World>, sender: &WebhookSender) -> Result<(), String> {
    let [failing, healthy, ..] = world.tenants.as_slice() else { return Ok(()) };
    world.count(Fault::FailsAlone);
    let bound = begin(world, failing);
    for _ in 0..ROUNDS {
        for tenant in [failing, healthy] {
            edit(world, tenant);
            let changed = tenant.kombo.changed_models();
            world.checks().note(world, tenant, &changed);
            sender.tell(world, tenant, changed);
        }
        let began = world.elapsed();
        loop {
            let late = world.checks().behind(world, healthy, began);
            let Some(late) = late else { break };
            let waited = world.elapsed().saturating_sub(began);
            if waited > bound {
                return Err(format!("{waited:?} beside {}, which fails, not in the mirror: {late}", failing.id));
            }
            sleep(Duration::from_millis(500)).await;
        }
        let waited = world.elapsed().saturating_sub(began).as_secs();
        world.note_beside(waited);
        sleep(world.between(Duration::from_secs(1), Duration::from_secs(30))).await;
    }
    world.end_trouble(&failing.id);
    Ok(())
}

/// Begins the failures. Returns the maximum delay for changes of others.
fn begin(world: &World, failing: &Tenant) -> Duration {
    let trouble = world.dice().choice(Trouble::ALL).unwrap_or(Trouble::Down);
    world.begin_trouble(&failing.id, trouble);
    let limited = if world.manner.kombo_limit.is_some() { LIMITED } else { Duration::ZERO };
    let occupied = if matches!(trouble, Trouble::Silent | Trouble::Down) { OCCUPIED } else { Duration::ZERO };
    MOST_BESIDE + limited + occupied
}
