use std::env;

use anyhow::Result;

use super::report::Outcome;
use crate::process::{cargo, succeeds};

/// Checks that the fuzz targets, a separate workspace, build and pass the seeds and earlier findings.
pub(crate) fn corpus() -> Result<Outcome> {
    // Without the fuzzer itself, which needs a C++ compiler.
    let mut tests = cargo(&["test", "--quiet", "--manifest-path", "fuzz/Cargo.toml", "--no-default-features"]);
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    succeeds(tests.env("CARGO_TARGET_DIR", target)).map(Outcome::of_tool)
}
