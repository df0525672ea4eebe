use anyhow::Result;

use super::report::Outcome;
use crate::process::{cargo, is_there, succeeds};

pub(crate) fn licences_bans_sources() -> Result<Outcome> {
    if let Some(missing) = missing_deny() {
        return Ok(missing);
    }
    succeeds(&mut cargo(&["deny", "--all-features", "check", "licenses", "bans", "sources"])).map(Outcome::of_tool)
}

/// Checks for known vulnerabilities. Without network access to their database, the check is skipped.
pub(crate) fn advisories() -> Result<Outcome> {
    if let Some(missing) = missing_deny() {
        return Ok(missing);
    }
    if !is_there(&mut cargo(&["deny", "fetch", "db"])) {
        return Ok(Outcome::Skipped("the advisory database is out of reach from here".into()));
    }
    succeeds(&mut cargo(&["deny", "--all-features", "check", "--disable-fetch", "advisories"])).map(Outcome::of_tool)
}

pub(crate) fn unused() -> Result<Outcome> {
    if !is_there(&mut cargo(&["machete", "--version"])) {
        return Ok(Outcome::missing("cargo-machete", "cargo install --locked cargo-machete"));
    }
    // The fuzz targets compile files of other crates. The tool does not see that they use those files' dependencies.
    succeeds(&mut cargo(&["machete", "crates", "xtask"])).map(Outcome::of_tool)
}

fn missing_deny() -> Option<Outcome> {
    let there = is_there(&mut cargo(&["deny", "--version"]));
    (!there).then(|| Outcome::missing("cargo-deny", "cargo install --locked cargo-deny"))
}
