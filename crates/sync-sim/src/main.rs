//! Runs simulations: `sync-sim --seeds N`, or one with its trace: `sync-sim --seed S`.
#![allow(clippy::print_stdout, reason = "a command line tool prints its report")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use sync_sim::{Fault, Mutant, Outcome, STEPS, Tally, find, simulate};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask sim", about = "Simulations of the engine, each from a seed")]
struct Arguments {
    /// Number of simulations, from seed 0 or --seed on
    #[arg(long)]
    seeds: Option<u64>,
    /// Seed of the only simulation, with its trace on standard error; with --seeds, the first seed
    #[arg(long)]
    seed: Option<u64>,
    /// Number of steps of each simulation
    #[arg(long, default_value_t = STEPS)]
    steps: usize,
    /// Number of parallel threads
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Introduce the known bugs, one at a time, and find a seed that detects each
    #[arg(long)]
    mutants: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let passed = match (arguments.mutants, arguments.seeds, arguments.seed) {
        (true, seeds, _) => mutants(seeds.unwrap_or(200), arguments.steps)?,
        (false, None, Some(seed)) => one(seed, arguments.steps)?,
        (false, seeds, first) => {
            let first = first.unwrap_or(0);
            many(first..first.saturating_add(seeds.unwrap_or(1_000)), &arguments)
        }
    };
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn one(seed: u64, steps: usize) -> anyhow::Result<bool> {
    let outcome = simulate(seed, steps, true)?;
    println!("{}trace {:016x}", outcome.tally, outcome.trace);
    Ok(report(&outcome, steps))
}

/// Reports how to repeat a failure. Returns whether there was none.
fn report(outcome: &Outcome, steps: usize) -> bool {
    let Some(failure) = &outcome.failure else { return true };
    println!("seed {}: {failure}", outcome.seed);
    println!("again, with its trace: cargo xtask sim --seed {} --steps {steps}", outcome.seed);
    false
}

fn many(seeds: std::ops::Range<u64>, arguments: &Arguments) -> bool {
    let (began, total) = (Instant::now(), seeds.end - seeds.start);
    let (next, failed) = (AtomicU64::new(seeds.start), AtomicU64::new(0));
    let sum: Mutex<(Tally, u64, Duration)> = Mutex::new((Tally::default(), 0, Duration::ZERO));
    let broken = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end {
                        return;
                    }
                    let Ok(outcome) = simulate(seed, arguments.steps, false) else {
                        broken.store(true, Ordering::SeqCst);
                        return;
                    };
                    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                    if !report(&outcome, arguments.steps) {
                        failed.fetch_add(1, Ordering::SeqCst);
                    }
                    sum.0.add(&outcome.tally);
                    sum.1 += 1;
                    if began.elapsed() > sum.2 + Duration::from_secs(10) {
                        sum.2 = began.elapsed();
                        eprintln!("{} of {total} seeds, {} failed", sum.1, failed.load(Ordering::SeqCst));
                    }
                }
            });
        }
    });
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{:>12} seeds of {} steps in {} s\n{}", sum.1, arguments.steps, began.elapsed().as_secs(), sum.0);
    let failed = failed.into_inner();
    println!("{failed} of {total} seeds failed");
    let never: Vec<&str> =
        sum.0.faults().filter(|(_, number)| *number == 0).map(|(fault, _): (Fault, u64)| fault.as_str()).collect();
    if !never.is_empty() {
        println!("faults that never happened: {}", never.join(", "));
    }
    failed == 0 && !broken.into_inner()
}

fn mutants(seeds: u64, steps: usize) -> anyhow::Result<bool> {
    let mut all = true;
    for mutant in Mutant::ALL {
        if let Some(outcome) = find(*mutant, seeds, steps)? {
            let failure = outcome.failure.unwrap_or_default();
            println!("{mutant}: found at seed {}: {}", outcome.seed, failure.lines().next().unwrap_or_default());
        } else {
            println!("{mutant}: not found in {seeds} seeds");
            all = false;
        }
    }
    Ok(all)
}
