use anyhow::Result;

use super::report::Outcome;
use crate::process::{cargo, succeeds};

pub(crate) fn format() -> Result<Outcome> {
    succeeds(&mut cargo(&["fmt", "--all", "--check"])).map(Outcome::of_tool)
}

pub(crate) fn lints() -> Result<Outcome> {
    let mut clippy =
        cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--keep-going", "--", "-D", "warnings"]);
    succeeds(&mut clippy).map(Outcome::of_tool)
}

pub(crate) fn documentation() -> Result<Outcome> {
    let mut doc = cargo(&["doc", "--workspace", "--no-deps"]);
    succeeds(doc.env("RUSTDOCFLAGS", "-D warnings")).map(Outcome::of_tool)
}
