//! Simulations in the regular tests: a fixed set of seeds, and the reproducibility of each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use sync_sim::{Mutant, STEPS, Tally, find, simulate, simulate_fleet, simulate_huge};

/// Number of seeds in a regular run.
const SEEDS: u64 = 200;
/// Number of seeds in which every planted bug must be found.
const MUTANT_SEEDS: u64 = 200;

#[test]
fn a_fixed_set_of_seeds_holds_and_meets_every_fault() {
    let (next, sum) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Tally::default())));
    let threads = (0..2).map(|_| {
        let (next, sum) = (Arc::clone(&next), Arc::clone(&sum));
        std::thread::spawn(move || {
            let mut seed = next.fetch_add(1, Ordering::SeqCst);
            while seed < SEEDS {
                let outcome = simulate(seed, STEPS, false).unwrap();
                let again = format!("again: cargo xtask sim --seed {seed} --steps {STEPS}");
                assert_eq!(outcome.failure, None, "seed {seed}; {again}");
                sum.lock().unwrap().add(&outcome.tally);
                seed = next.fetch_add(1, Ordering::SeqCst);
            }
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
    let sum = sum.lock().unwrap();
    let never: Vec<_> = sum.faults().filter(|(_, number)| *number == 0).collect();
    assert!(never.is_empty(), "faults that never happened: {never:?}");
}

#[test]
fn a_seed_says_all_that_happens() {
    for seed in [1, 4, 9, 17, 33] {
        let (one, other) = (simulate(seed, STEPS, false).unwrap(), simulate(seed, STEPS, false).unwrap());
        assert_eq!(one, other);
    }
    assert_ne!(simulate(1, STEPS, false).unwrap().trace, simulate(2, STEPS, false).unwrap().trace);
}

#[test]
fn every_mutant_is_found() {
    for mutant in Mutant::ALL {
        let found = find(*mutant, MUTANT_SEEDS, STEPS).unwrap();
        assert!(found.is_some(), "not found in {MUTANT_SEEDS} seeds: {mutant}");
    }
}

#[test]
fn a_fifth_of_a_fleet_that_fails_does_not_delay_the_others() {
    assert_eq!(simulate_fleet(0).unwrap().failure, None);
}

#[test]
fn a_full_fetch_of_many_records_does_not_delay_the_changes_of_others() {
    assert_eq!(simulate_huge(0).unwrap().failure, None);
}
