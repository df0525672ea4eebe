use anyhow::Result;

use super::report::Outcome;
use crate::public_api::{listed, outdated};

/// What the library crates promise is what is noted beside them.
pub(crate) fn check() -> Result<Outcome> {
    Ok(Outcome::of(&outdated()?, listed()))
}
