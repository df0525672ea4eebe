use std::path::Path;

use anyhow::{Result, ensure};

use crate::process::{cargo, succeeds};

/// Checks the sandbox's answers against the `OpenAPI` document at `contract`.
pub(crate) fn run(contract: &Path) -> Result<bool> {
    ensure!(contract.is_file(), "no file {}", contract.display());
    let mut check = cargo(&["run", "--package", "kombo-sandbox", "--features", "contract-check", "--"]);
    succeeds(check.args(["check-contract", "--contract"]).arg(contract))
}
