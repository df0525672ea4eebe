use anyhow::Result;

use crate::process::{cargo, succeeds};

/// Runs simulations. Bugs are planted in a build of their own, which no program shares.
pub(crate) fn run(arguments: &[&str]) -> Result<bool> {
    let mut simulations = cargo(&["run", "--quiet", "--profile", "sim", "--package", "sync-sim"]);
    if arguments.contains(&"--planted") {
        simulations.args(["--features", "planted-bugs"]);
    }
    succeeds(simulations.arg("--").args(arguments))
}
