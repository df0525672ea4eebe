use anyhow::Result;

use super::report::Outcome;
use crate::docs::{outdated, written};

/// What is written of the program by the program itself is what it says now.
pub(crate) fn check() -> Result<Outcome> {
    Ok(Outcome::of(&outdated()?, written()))
}
