#![doc = include_str!("../README.md")]

mod checks;
mod courier;
mod hand;
mod life;
mod manner;
mod mutant;
mod neighbours;
mod process;
mod quota;
mod receiver;
mod source;
mod step;
mod store;
mod tally;
mod trouble;
mod world;

use std::io;

pub use mutant::Mutant;
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let world = runtime.block_on(async {
        let world = World::new(seed, shown, mutant);
        let ended = tokio::select! {
            biased;
            () = world.failed.cancelled() => Ok(()),
            ended = life::live(&world, steps) => ended,
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
    Ok(Outcome { seed, failure: world.failure(), tally, trace: world.trace_hash() })
}

/// Searches, seed by seed, for the first simulation that fails with a bug and passes without it.
///
/// # Errors
///
/// Fails if a runtime cannot be created.
pub fn find(mutant: Mutant, seeds: u64, steps: usize) -> io::Result<Option<Outcome>> {
    for seed in 0..seeds {
        let with = live(seed, steps, false, Some(mutant))?;
        if with.failure.is_some() && simulate(seed, steps, false)?.failure.is_none() {
            return Ok(Some(with));
        }
    }
    Ok(None)
}
