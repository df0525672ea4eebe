use anyhow::Result;

use crate::process::{cargo, succeeds};

/// Runs simulations.
pub(crate) fn run(arguments: &[&str]) -> Result<bool> {
    let mut simulations = cargo(&["run", "--quiet", "--profile", "sim", "--package", "sync-sim"]);
    succeeds(simulations.arg("--").args(arguments))
}
