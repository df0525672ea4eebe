use std::env;

use anyhow::Result;

use super::report::Outcome;
use crate::process::{cargo, succeeds};

/// The fuzz targets build, which is a workspace of its own, and hold against the seeds and what was once found.
pub(crate) fn corpus() -> Result<Outcome> {
    // Without the fuzzer itself, which takes a C++ compiler.
    let mut tests = cargo(&["test", "--quiet", "--manifest-path", "fuzz/Cargo.toml", "--no-default-features"]);
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    succeeds(tests.env("CARGO_TARGET_DIR", target)).map(Outcome::of_tool)
}
