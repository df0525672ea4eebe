//! The bookkeeping tables, one file each, with row type and statements side by side.

mod changes;
mod claims;
mod dead_letters;
mod deliveries;
mod endpoints;
mod integrations;
mod pacing;
mod quarantine;
mod requests;
mod runs;
pub(crate) mod seen;
mod webhooks;

use std::fmt::Display;
use std::str::FromStr;

use kombo_model::Timestamp;
use sync_core::ports::StoreError;

use crate::error::corrupt;
use crate::types::Moment;

/// Parses a value of a closed set.
fn word<T: FromStr<Err: ToString>>(table: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|error: T::Err| corrupt(table, &error))
}

/// Parses a value of a closed set, or returns `otherwise`: a value written by hand must not hide all rows that are read
/// with it.
fn word_or<T: FromStr<Err: ToString>>(table: &'static str, row: &dyn Display, text: &str, otherwise: T) -> T {
    text.parse().unwrap_or_else(|error: T::Err| {
        tracing::warn!(table, row = %row, "this row contains an unknown value: {}", error.to_string());
        otherwise
    })
}

/// Returns the readable rows. A row written by hand must not hide the others.
fn readable<R, T: TryFrom<R, Error = StoreError>>(rows: Vec<R>) -> Vec<T> {
    let read = |row: R| row.try_into().inspect_err(|error: &StoreError| tracing::warn!("left out: {error}")).ok();
    rows.into_iter().filter_map(read).collect()
}

fn moment(time: Option<Timestamp>) -> Option<Moment> {
    time.map(Moment)
}

/// Reads an optional time. The bounds mark values that were written by hand and cannot be read.
fn time(moment: Option<Moment>) -> Option<Timestamp> {
    moment.map(|moment| moment.0).filter(|time| *time > Timestamp::MIN && *time < Timestamp::MAX)
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
