use anyhow::Result;

use super::report::Outcome;
use crate::docs::{outdated, written};

/// Checks that generated documentation matches the program.
pub(crate) fn check() -> Result<Outcome> {
    Ok(Outcome::of(&outdated()?, written()))
}
