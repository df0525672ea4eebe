#![doc = include_str!("../README.md")]

mod checks;
mod hand;
mod life;
mod manner;
mod mutant;
mod neighbours;
mod process;
mod quota;
mod receiver;
mod sender;
mod source;
mod step;
mod store;
mod tally;
mod trouble;
mod world;

use std::io;
use std::sync::Arc;

pub use mutant::Mutant;
pub use neighbours::fleet::simulate_fleet;
pub use neighbours::huge::simulate_huge;
pub use tally::{Fault, Tally};
use world::World;

/// Default number of steps of a simulation.
pub const STEPS: usize = 60;

/// The result of a simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// The violated invariant, if any.
    pub failure: Option<String>,
    /// Counts of events.
    pub tally: Tally,
    /// A digest of everything that happened, in order.
    pub trace: u64,
}

/// Runs the simulation of a seed, in virtual time, on this thread. The same seed and number of steps give the same
/// trace. `shown` writes the trace to standard error.
///
/// # Errors
///
/// Fails if its runtime cannot be created.
pub fn simulate(seed: u64, steps: usize, shown: bool) -> io::Result<Outcome> {
    live(seed, steps, shown, None)
}

/// Like [`simulate`], with a bug.
fn live(seed: u64, steps: usize, shown: bool, mutant: Option<Mutant>) -> io::Result<Outcome> {
    run(|| World::new(seed, shown, mutant), async |world| life::live(world, steps).await)
}

/// Lives through a simulation in the world that `begin` makes.
fn run(
    begin: impl FnOnce() -> Arc<World>,
    live: impl AsyncFnOnce(&Arc<World>) -> Result<(), String>,
) -> io::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let world = runtime.block_on(async {
        let world = begin();
        let ended = tokio::select! {
            biased;
            () = world.failed.cancelled() => Ok(()),
            ended = live(&world) => ended,
        };
        if let Err(what) = ended {
            world.fail(what);
        }
        let mut tally = world.tally();
        tally.virtual_millis = u64::try_from(world.elapsed().as_millis()).unwrap_or(u64::MAX);
        drop(tally);
        world
    });
    drop(runtime);
    // Breaks a cycle: the world owns the processes, and they own the world.
    world.processes().clear();
    let tally = world.tally().clone();
    Ok(Outcome { seed: world.seed, failure: world.failure(), tally, trace: world.trace_hash() })
}

/// Searches, seed by seed, for the first simulation that fails with a bug and passes without it.
///
/// # Errors
///
/// Fails if a runtime cannot be created.
pub fn find(mutant: Mutant, seeds: u64, steps: usize) -> io::Result<Option<Outcome>> {
    for seed in 0..seeds {
        let (with, without) = if mutant.is_of_fleet() {
            (neighbours::fleet::live(seed, Some(mutant))?, simulate_fleet(seed)?)
        } else if mutant == Mutant::FullsAsDeltas {
            (neighbours::huge::live(seed, Some(mutant))?, simulate_huge(seed)?)
        } else {
            (live(seed, steps, false, Some(mutant))?, simulate(seed, steps, false)?)
        };
        if with.failure.is_some() && without.failure.is_none() {
            return Ok(Some(with));
        }
    }
    Ok(None)
}
