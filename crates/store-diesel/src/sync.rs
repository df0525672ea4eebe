//! The bookkeeping tables: one file for each, row type and statements side by side.

pub(crate) mod changes;
pub(crate) mod dead_letters;
pub(crate) mod deliveries;
pub(crate) mod endpoints;
pub(crate) mod integrations;
pub(crate) mod pacing;
pub(crate) mod quarantine;
pub(crate) mod requests;
pub(crate) mod runs;
pub(crate) mod seen;
pub(crate) mod webhooks;

use std::str::FromStr;

use kombo_model::Timestamp;
use sync_core::port::StoreError;

use crate::error::corrupt;
use crate::types::Moment;

/// Reads a word of a closed set.
fn word<T: FromStr<Err: ToString>>(table: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|error: T::Err| corrupt(table, &error))
}

fn moment(time: Option<Timestamp>) -> Option<Moment> {
    time.map(Moment)
}

fn time(moment: Option<Moment>) -> Option<Timestamp> {
    moment.map(|moment| moment.0)
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn limited(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
