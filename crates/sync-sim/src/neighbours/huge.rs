//! An integration with many records beside small ones, under one rate limit. Its full fetch must not delay their changes.

use std::io;
use std::sync::Arc;

use fastrand::Rng;
use kombo_model::Endpoint;
use sync_core::jobs::{RequestCause, SyncKind, Target, queue};

use crate::Outcome;
use crate::manner::Manner;
use crate::mutant::Mutant;
use crate::neighbours::fleet::{delays, healthy_manner, load, p95};
use crate::sender::WebhookSender;
use crate::world::World;

const INTEGRATIONS: usize = 40;
/// Requests a minute that Kombo allows. The changes need less than half of them; a full fetch could use them all.
const LIMIT: u64 = 300;
/// Pages of the large integration, of one user each: more than the limit allows while the changes are measured.
const PAGES: usize = 2_000;

/// Lets the full fetch of a large integration run beside small ones. The outcome is a failure if the changes of the small
/// ones take more than twice the time that they take without it, of 95 in 100 changes.
///
/// # Errors
///
/// There is no runtime for it.
pub fn simulate_huge(seed: u64) -> io::Result<Outcome> {
    live(seed, None)
}

/// As [`simulate_huge`], with a bug.
pub(crate) fn live(seed: u64, mutant: Option<Mutant>) -> io::Result<Outcome> {
    let mut rng = Rng::with_seed(seed);
    let manner = Manner { kombo_limit: Some(LIMIT), page_size: 1, ..healthy_manner(&mut rng, INTEGRATIONS) };
    crate::run(|| World::of(seed, manner, rng, false, mutant), fetch_beside)
}

async fn fetch_beside(world: &Arc<World>) -> Result<(), String> {
    let sender = WebhookSender::default();
    let fleet = load(world).await;
    let Some((huge, small)) = world.tenants.split_first() else { return Ok(()) };
    let without = delays(world, &sender, &[], small).await?;
    world.wind();
    huge.kombo.edit(|lms| (0..PAGES).for_each(|number| lms.add_user(&format!("huge {number}"))));
    let _ = huge.kombo.changed_models();
    let target = Target { integration_id: huge.id.clone(), endpoint: Endpoint::LmsUsers, kind: SyncKind::Full };
    let now = world.true_now();
    world
        .store
        .edit(|tx| queue::request(tx, target.clone(), RequestCause::Command, now, now))
        .map_err(|error| error.to_string())?;
    let beside = delays(world, &sender, &[], small).await?;
    let requests = world.store.look(|tx| tx.requests()).map_err(|error| error.to_string())?;
    if !requests.iter().any(|request| request.target == target) {
        return Err("the full fetch ended too early".to_owned());
    }
    fleet.stop().await?;
    let (without, beside) = (p95(&without), p95(&beside));
    if beside > without * 2 {
        return Err(format!("95 in 100 changes take {beside:?} beside a full fetch, {without:?} without"));
    }
    Ok(())
}
